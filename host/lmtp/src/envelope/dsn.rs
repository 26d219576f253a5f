//! Parameters that request delivery status notifications (RFC 3461).

use std::fmt;

use super::xtext::XText;

/// What a notification returns of the message (RFC 3461, 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

/// When a recipient's notifications are sent (RFC 3461, 4.1). All `false` is
/// `NEVER`. Displayed as the value of the parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// No notifications.
    pub const NEVER: Self = Self {
        success: false,
        failure: false,
        delay: false,
    };

    /// Whether there are no notifications at all.
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        if value.eq_ignore_ascii_case(b"NEVER") {
            return Some(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in value.split(|&byte| byte == b',') {
            let flag = match word.to_ascii_uppercase().as_slice() {
                b"SUCCESS" => &mut notify.success,
                b"FAILURE" => &mut notify.failure,
                b"DELAY" => &mut notify.delay,
                _ => return None,
            };
            *flag = true;
        }
        Some(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return f.write_str("NEVER");
        }
        let words = [
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ];
        let mut separator = "";
        for (_, word) in words.into_iter().filter(|(set, _)| *set) {
            write!(f, "{separator}{word}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// The recipient as the sender named it (RFC 3461, 4.2): `rfc822;bob@example.org`.
/// Displayed as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    kind: Box<str>,
    address: XText,
}

impl OriginalRecipient {
    /// The type of the address, such as `rfc822` or `utf-8`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address.
    pub fn address(&self) -> &XText {
        &self.address
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let at = memchr::memchr(b';', value)?;
        let (kind, address) = (&value[..at], &value[at + 1..]);
        let is_atom = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if kind.is_empty() || !kind.iter().all(is_atom) {
            return None;
        }
        Some(Self {
            kind: std::str::from_utf8(kind).ok()?.into(),
            address: XText::new(address)?,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.kind.len() + self.address.as_str().len()
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_displayed_as_it_is_sent() {
        for text in ["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"] {
            let notify = Notify::parse(text.as_bytes()).expect("valid");
            assert_eq!(notify.to_string(), text);
        }
        assert_eq!(
            Notify::parse(b"delay,failure").map(|notify| notify.to_string()),
            Some("FAILURE,DELAY".to_owned())
        );
        for text in ["", "NEVER,DELAY", "SUCCESS,", "YES"] {
            assert_eq!(Notify::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_original_recipient_is_displayed_as_it_was_sent() {
        for text in ["rfc822;a+2Bb@c", r"utf-8;j\x{FC}rgen@c", "rfc822;a=b@c"] {
            let original = OriginalRecipient::parse(text.as_bytes()).expect("valid");
            assert_eq!(original.to_string(), text);
        }
        for text in ["", "rfc822", ";a@b", "rfc822;", "rf c;a", "rfc822;+1"] {
            assert_eq!(OriginalRecipient::parse(text.as_bytes()), None, "{text}");
        }
    }
}

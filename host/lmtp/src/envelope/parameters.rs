//! Parameters of MAIL and RCPT (RFC 5321, 4.1.1.11).

use std::fmt;

use super::dsn::{Notify, OriginalRecipient, Ret};
use super::xtext::XText;

/// Longest ENVID (RFC 3461, 4.4), encoded.
const LONGEST_ENVID: usize = 100;

/// The type of the content that the client declares (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// ASCII only.
    SevenBit,
    /// Text with bytes above 127.
    EightBitMime,
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        })
    }
}

/// Parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailParameters {
    pub(crate) size: Option<u64>,
    pub(crate) body: Option<Body>,
    pub(crate) smtputf8: bool,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<XText>,
}

/// Parameters of RCPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RcptParameters {
    pub(crate) notify: Option<Notify>,
    pub(crate) orcpt: Option<OriginalRecipient>,
}

/// Parameters that are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidParameter {
    /// Not one of those that are announced.
    Unknown,
    /// An invalid value, or a parameter that is given twice.
    Invalid(&'static str),
}

/// Reads the parameters of MAIL.
pub(crate) fn mail_parameters(text: &[u8]) -> Result<MailParameters, InvalidParameter> {
    let mut parameters = MailParameters::default();
    for parameter in split(text)? {
        let (keyword, value) = parameter;
        match keyword.to_ascii_uppercase().as_slice() {
            b"SIZE" => set("SIZE", &mut parameters.size, value.and_then(size))?,
            b"BODY" => set("BODY", &mut parameters.body, value.and_then(body))?,
            b"RET" => set("RET", &mut parameters.ret, value.and_then(ret))?,
            b"ENVID" => set("ENVID", &mut parameters.envid, value.and_then(envid))?,
            b"SMTPUTF8" if value.is_none() && !parameters.smtputf8 => parameters.smtputf8 = true,
            b"SMTPUTF8" => return Err(InvalidParameter::Invalid("SMTPUTF8")),
            _ => return Err(InvalidParameter::Unknown),
        }
    }
    Ok(parameters)
}

/// Reads the parameters of RCPT.
pub(crate) fn rcpt_parameters(text: &[u8]) -> Result<RcptParameters, InvalidParameter> {
    let mut parameters = RcptParameters::default();
    for parameter in split(text)? {
        let (keyword, value) = parameter;
        match keyword.to_ascii_uppercase().as_slice() {
            b"NOTIFY" => {
                let notify = value.and_then(Notify::parse);
                set("NOTIFY", &mut parameters.notify, notify)?;
            }
            b"ORCPT" => {
                let orcpt = value.and_then(OriginalRecipient::parse);
                set("ORCPT", &mut parameters.orcpt, orcpt)?;
            }
            _ => return Err(InvalidParameter::Unknown),
        }
    }
    Ok(parameters)
}

type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// Keywords and values. What follows the path must start with a space.
fn split(text: &[u8]) -> Result<impl Iterator<Item = Parameter<'_>>, InvalidParameter> {
    if text.first().is_some_and(|&byte| byte != b' ') {
        return Err(InvalidParameter::Invalid("path"));
    }
    let words = text.split(|&byte| byte == b' ');
    let words = words.filter(|word| !word.is_empty());
    Ok(words.map(|word| match memchr::memchr(b'=', word) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    }))
}

fn set<T>(
    name: &'static str,
    place: &mut Option<T>,
    value: Option<T>,
) -> Result<(), InvalidParameter> {
    if place.is_some() || value.is_none() {
        return Err(InvalidParameter::Invalid(name));
    }
    *place = value;
    Ok(())
}

/// At most 20 digits (RFC 1870, 5).
fn size(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 20 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    Some(text.parse().unwrap_or(u64::MAX))
}

fn body(value: &[u8]) -> Option<Body> {
    match value.to_ascii_uppercase().as_slice() {
        b"7BIT" => Some(Body::SevenBit),
        b"8BITMIME" => Some(Body::EightBitMime),
        _ => None,
    }
}

fn ret(value: &[u8]) -> Option<Ret> {
    match value.to_ascii_uppercase().as_slice() {
        b"FULL" => Some(Ret::Full),
        b"HDRS" => Some(Ret::Headers),
        _ => None,
    }
}

fn envid(value: &[u8]) -> Option<XText> {
    XText::new(value).filter(|value| value.as_str().len() <= LONGEST_ENVID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_mail_are_read_in_any_order_and_case() {
        let text = b"  ret=hdrs SMTPUTF8 BODY=8BITMIME size=123  ENVID=a+2Bb ";
        let parameters = mail_parameters(text).expect("valid");
        let expected = MailParameters {
            size: Some(123),
            body: Some(Body::EightBitMime),
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: XText::new(b"a+2Bb"),
        };
        assert_eq!(parameters, expected);
        assert_eq!(mail_parameters(b""), Ok(MailParameters::default()));
        let large = mail_parameters(b" SIZE=99999999999999999999").expect("valid");
        assert_eq!(large.size, Some(u64::MAX));
    }

    #[test]
    fn invalid_repeated_and_unknown_parameters_of_mail_are_refused() {
        use InvalidParameter::{Invalid, Unknown};
        for (text, expected) in [
            (" SIZE", Invalid("SIZE")),
            (" SIZE=", Invalid("SIZE")),
            (" SIZE=-1", Invalid("SIZE")),
            (" SIZE=+1", Invalid("SIZE")),
            (" SIZE=111111111111111111111", Invalid("SIZE")),
            (" SIZE=1 SIZE=1", Invalid("SIZE")),
            (" BODY=BINARYMIME", Invalid("BODY")),
            (" SMTPUTF8=yes", Invalid("SMTPUTF8")),
            (" SMTPUTF8 SMTPUTF8", Invalid("SMTPUTF8")),
            (" RET=ALL", Invalid("RET")),
            (" ENVID=+", Invalid("ENVID")),
            ("SIZE=1", Invalid("path")),
            (" AUTH=<>", Unknown),
            (" =1", Unknown),
            (" NOTIFY=NEVER", Unknown),
        ] {
            assert_eq!(mail_parameters(text.as_bytes()), Err(expected), "{text}");
        }
        let long = format!(" ENVID={}", "a".repeat(LONGEST_ENVID + 1));
        assert_eq!(mail_parameters(long.as_bytes()), Err(Invalid("ENVID")));
    }

    #[test]
    fn parameters_of_rcpt() {
        let parameters = rcpt_parameters(b" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b").expect("valid");
        assert_eq!(
            parameters.notify.map(|notify| notify.to_string()),
            Some("SUCCESS,DELAY".to_owned())
        );
        assert_eq!(
            parameters.orcpt.map(|orcpt| orcpt.to_string()),
            Some("rfc822;a@b".to_owned())
        );
        for text in [
            " NOTIFY=",
            " ORCPT=a",
            " NOTIFY=NEVER NOTIFY=NEVER",
            " SIZE=1",
        ] {
            assert!(rcpt_parameters(text.as_bytes()).is_err(), "{text}");
        }
    }
}

//! Limits on messages, for everything that costs memory or time.

use thiserror::Error;

use super::Content;
use crate::work;

/// Limits on a message to be processed. Messages that pass unprocessed are not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of header and body (`message-size`).
    pub size: usize,
    /// Bytes of the header (`header-size`).
    pub header_size: usize,
    /// Header fields (`header-fields`).
    pub header_fields: usize,
    /// Envelope recipients (`recipients`).
    pub recipients: usize,
    /// Addresses in the header (`addresses`).
    pub addresses: usize,
    /// MIME parts (`parts`).
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 50 << 20,
            // With signatures, ARC sets and traces of a dozen hops, ordinary headers reach some tens of kilobytes; with long
            // lists of recipients some hundreds.
            header_size: 1 << 20,
            // Ordinary headers have fewer than 200.
            header_fields: 2_000,
            // Postfix permits 1,000 by SMTP (smtpd_recipient_limit), and 10,240 from `sendmail -t`
            // (extract_recipient_limit).
            recipients: 10_240,
            addresses: 5_000,
            // Digests and photo collections have some hundreds.
            parts: 2_000,
        }
    }
}

/// A quantity that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes of header and body.
    Size,
    /// Bytes of the header.
    HeaderSize,
    /// Header fields.
    HeaderFields,
    /// Envelope recipients.
    Recipients,
    /// Addresses in the header.
    Addresses,
    /// MIME parts.
    Parts,
}

/// A message exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message has at least {found} {what}; at most {limit} are accepted (limits.{setting})", what = .measure.what(), setting = .measure.setting())]
pub struct Excess {
    /// The quantity.
    pub measure: Measure,
    /// The measured amount; the message may have more.
    pub found: usize,
    /// The limit.
    pub limit: usize,
}

impl Measure {
    /// Name of the unit.
    pub fn what(self) -> &'static str {
        match self {
            Self::Size => "bytes",
            Self::HeaderSize => "bytes of header",
            Self::HeaderFields => "header fields",
            Self::Recipients => "recipients",
            Self::Addresses => "addresses in its header",
            Self::Parts => "MIME parts",
        }
    }

    /// The setting in `[limits]`.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Size => "message-size",
            Self::HeaderSize => "header-size",
            Self::HeaderFields => "header-fields",
            Self::Recipients => "recipients",
            Self::Addresses => "addresses",
            Self::Parts => "parts",
        }
    }

    /// The status code for the sender (RFC 3463).
    pub fn status(self) -> &'static str {
        match self {
            Self::Recipients => "5.5.3",
            _ => "5.3.4",
        }
    }
}

impl Limits {
    /// Measures a message.
    ///
    /// # Errors
    ///
    /// The first limit that the message exceeds.
    pub fn check(&self, content: &Content, recipients: usize) -> Result<(), Excess> {
        self.within(Measure::Size, content.bytes().len())?;
        self.within(Measure::HeaderSize, content.body_offset())?;
        self.within(Measure::HeaderFields, content.fields().len())?;
        self.within(Measure::Recipients, recipients)?;
        let addresses = content.fields().iter().map(|field| {
            work::spend(1);
            count_addresses(content.name_of(field), content.value_of(field))
        });
        self.within(Measure::Addresses, addresses.sum())?;
        self.within(Measure::Parts, content.structure().parts().len())
    }

    /// Checks an amount against its limit.
    ///
    /// # Errors
    ///
    /// If it exceeds the limit.
    pub fn within(&self, measure: Measure, found: usize) -> Result<(), Excess> {
        let limit = match measure {
            Measure::Size => self.size,
            Measure::HeaderSize => self.header_size,
            Measure::HeaderFields => self.header_fields,
            Measure::Recipients => self.recipients,
            Measure::Addresses => self.addresses,
            Measure::Parts => self.parts,
        };
        if found <= limit {
            return Ok(());
        }
        Err(Excess {
            measure,
            found,
            limit,
        })
    }
}

/// Fields whose values are lists of addresses (RFC 5322, sections 3.6.2, 3.6.3
/// and 3.6.6).
const ADDRESS_FIELDS: [&[u8]; 12] = [
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"bcc",
    b"resent-from",
    b"resent-sender",
    b"resent-to",
    b"resent-cc",
    b"resent-bcc",
    b"resent-reply-to",
];

/// Number of addresses in a header field, at least as many as any parser finds: an entry ends with a comma or
/// semicolon, or has an angle bracket if a separator is missing. Commas in quoted names and comments do not count.
pub fn count_addresses(name: &[u8], value: &[u8]) -> usize {
    let listed = ADDRESS_FIELDS
        .iter()
        .any(|field| field.eq_ignore_ascii_case(name));
    if !listed {
        return 0;
    }
    work::spend(value.len());
    let (mut separators, mut brackets) = (0, 0);
    let (mut quoted, mut comments, mut escaped) = (false, 0_usize, false);
    for &byte in value {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' if quoted || comments > 0 => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => comments += 1,
            b')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => {}
            b',' | b';' => separators += 1,
            b'<' => brackets += 1,
            _ => {}
        }
    }
    brackets.max(separators + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_names_and_comments_are_not_counted() {
        let count = |value: &str| count_addresses(b"To", value.as_bytes());
        assert_eq!(count(" a@b.test"), 1);
        assert_eq!(count(" \"Doe, John\" <a@b.test>, c@d.test (x, y)"), 2);
        assert_eq!(count(" group: a@b, c@d;"), 3);
        assert_eq!(count(" <a@b> <c@d> <e@f>"), 3);
        assert_eq!(count(r#" "a\",b" <a@b>"#), 1);
        assert_eq!(count_addresses(b"Subject", b" a, b, c"), 0);
    }

    #[test]
    fn m1_each_measure_has_its_limit_and_its_setting() {
        let limits = Limits {
            size: 1000,
            header_size: 200,
            header_fields: 5,
            recipients: 3,
            addresses: 4,
            parts: 3,
        };
        let check = |text: &str, recipients| {
            let content = Content::of_file(text.as_bytes().to_vec());
            limits.check(&content, recipients).map_err(|excess| {
                assert!(excess.to_string().contains(excess.measure.setting()));
                (excess.measure, excess.found, excess.limit)
            })
        };
        let part = "--b\n\nx\n";
        let multipart = |parts: usize| {
            let body = part.repeat(parts);
            format!("Content-Type: multipart/mixed; boundary=b\n\n{body}--b--\n")
        };
        assert_eq!(check("From: a@b\n\nx\n", 3), Ok(()));
        assert_eq!(check(&multipart(2), 1), Ok(()));
        let refused = [
            (format!("A: b\n\n{}", "x".repeat(1000)), 1, Measure::Size),
            (
                format!("A: {}\n\nx", "b".repeat(200)),
                1,
                Measure::HeaderSize,
            ),
            ("A: b\n".repeat(6), 1, Measure::HeaderFields),
            ("A: b\n".to_owned(), 4, Measure::Recipients),
            (
                "From: a@b, c@d\nCc: e@f, g@h, i@j\n".to_owned(),
                1,
                Measure::Addresses,
            ),
            (multipart(3), 1, Measure::Parts),
        ];
        for (text, recipients, measure) in refused {
            let found = check(&text, recipients).map_err(|(measure, ..)| measure);
            assert_eq!(found, Err(measure), "{text}");
        }
    }
}

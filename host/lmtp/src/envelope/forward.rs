//! What the MTA knows of the client that it got the message from (Postfix
//! XFORWARD_README).

use std::net::IpAddr;

use super::xtext;

/// Longest value of an attribute in bytes (XFORWARD_README: 255 characters).
const LONGEST: usize = 255;

/// Most attributes of one command: each of them a few times. Postfix sends up to
/// four.
const MOST: usize = 32;

/// The client that the MTA received the message from, as far as the MTA knows and
/// forwards it. Control characters, and bytes that are not UTF-8, are replaced by
/// `?`. None of it is verified: NAME, HELO and IDENT come from outside.
///
/// `IDENT` is the queue id where the message *first* came in, not always that of
/// the file that is being delivered: an MTA that got it by XFORWARD passes the old
/// one on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XForward {
    /// Host name of the client.
    pub name: Option<String>,
    /// Its address: IPv4, or IPv6 with the prefix `IPV6:`; see
    /// [`ip`](Self::ip).
    pub addr: Option<String>,
    /// Its port.
    pub port: Option<String>,
    /// Its protocol, such as `ESMTP`.
    pub proto: Option<String>,
    /// The name that it gave in HELO.
    pub helo: Option<String>,
    /// Identifier of the message at the MTA: the first queue id.
    pub ident: Option<String>,
    /// Whether the message came from the network or from this host.
    pub source: Option<Source>,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From this host, or from a content filter.
    Local,
    /// From another host.
    Remote,
}

/// One attribute with its value; `None` is `[UNAVAILABLE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Name(Option<String>),
    Addr(Option<String>),
    Port(Option<String>),
    Proto(Option<String>),
    Helo(Option<String>),
    Ident(Option<String>),
    Source(Option<Source>),
}

impl XForward {
    /// The address of the client.
    pub fn ip(&self) -> Option<IpAddr> {
        let text = self.addr.as_deref()?;
        let prefix = text.get(..5).filter(|p| p.eq_ignore_ascii_case("IPV6:"));
        text[prefix.map_or(0, str::len)..].parse().ok()
    }

    pub(crate) fn set(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::Name(value) => self.name = value,
            Attribute::Addr(value) => self.addr = value,
            Attribute::Port(value) => self.port = value,
            Attribute::Proto(value) => self.proto = value,
            Attribute::Helo(value) => self.helo = value,
            Attribute::Ident(value) => self.ident = value,
            Attribute::Source(value) => self.source = value,
        }
    }
}

/// Reads the attributes of XFORWARD; `None` if there are none, too many, an unknown
/// one, or an invalid value.
pub(crate) fn attributes(text: &[u8]) -> Option<Vec<Attribute>> {
    let words = text.split(|&byte| byte == b' ');
    let mut found = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        if found.len() == MOST {
            return None;
        }
        let at = memchr::memchr(b'=', word)?;
        let value = value(&word[at + 1..])?;
        found.push(match word[..at].to_ascii_uppercase().as_slice() {
            b"NAME" => Attribute::Name(value),
            b"ADDR" => Attribute::Addr(value),
            b"PORT" => Attribute::Port(value),
            b"PROTO" => Attribute::Proto(value),
            b"HELO" => Attribute::Helo(value),
            b"IDENT" => Attribute::Ident(value),
            b"SOURCE" => Attribute::Source(match value {
                Some(value) => Some(source(&value)?),
                None => None,
            }),
            _ => return None,
        });
    }
    (!found.is_empty()).then_some(found)
}

fn source(value: &str) -> Option<Source> {
    if value.eq_ignore_ascii_case("LOCAL") {
        return Some(Source::Local);
    }
    value
        .eq_ignore_ascii_case("REMOTE")
        .then_some(Source::Remote)
}

/// A decoded value; `Some(None)` if the MTA does not know it.
#[expect(clippy::option_option, reason = "invalid, unknown, or a value")]
fn value(encoded: &[u8]) -> Option<Option<String>> {
    if encoded.eq_ignore_ascii_case(b"[UNAVAILABLE]")
        || encoded.eq_ignore_ascii_case(b"[TEMPUNAVAIL]")
    {
        return Some(None);
    }
    let decoded = xtext::decode(encoded)?;
    if decoded.is_empty() || decoded.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8_lossy(&decoded);
    let is_bad =
        |character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER;
    Some(Some(text.replace(is_bad, "?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(lines: &[&str]) -> XForward {
        let mut forwarded = XForward::default();
        for line in lines {
            for attribute in attributes(line.as_bytes()).expect("valid") {
                forwarded.set(attribute);
            }
        }
        forwarded
    }

    #[test]
    fn attributes_are_decoded_and_later_ones_count() {
        let forwarded = forwarded(&[
            " ADDR=192.0.2.7 PORT=1234",
            " proto=ESMTP HELO=a+20b+0Ac+FF IDENT=4F00D SOURCE=REMOTE name=[UNAVAILABLE]",
            " PORT=[unavailable] IDENT=4F00E",
        ]);
        let expected = XForward {
            addr: Some("192.0.2.7".into()),
            proto: Some("ESMTP".into()),
            helo: Some("a b?c?".into()),
            ident: Some("4F00E".into()),
            source: Some(Source::Remote),
            ..XForward::default()
        };
        assert_eq!(forwarded, expected);
        assert_eq!(forwarded.ip(), "192.0.2.7".parse().ok());
    }

    #[test]
    fn an_ipv6_address_has_a_prefix() {
        assert_eq!(
            forwarded(&[" ADDR=IPv6:2001:db8::1"]).ip(),
            "2001:db8::1".parse().ok()
        );
        assert_eq!(forwarded(&[" ADDR=unknown"]).ip(), None);
        assert_eq!(forwarded(&[" ADDR=äääää"]).ip(), None);
    }

    #[test]
    fn invalid_attributes_are_refused() {
        let long = format!(" HELO={}", "a".repeat(LONGEST + 1));
        let many = " PORT=1".repeat(MOST + 1);
        for text in [
            "",
            " ",
            " HELO",
            " HELO=",
            " WHO=a",
            " HELO=+",
            " SOURCE=x",
            &long,
            &many,
        ] {
            assert_eq!(attributes(text.as_bytes()), None, "{text}");
        }
    }
}

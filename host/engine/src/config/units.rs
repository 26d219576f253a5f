//! Values of settings: sizes, percentages, domains, names of relays.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A number of bytes: `512`, `64 KiB`, `50 MiB`, `1 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// A text is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid size")]
pub struct ByteSizeError;

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: usize = text[..digits].parse().map_err(|_| ByteSizeError)?;
        let factor = match text[digits..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(ByteSizeError),
        };
        number.checked_mul(factor).map(Self).ok_or(ByteSizeError)
    }
}

/// A percentage of the messages, in millionths: `10%`, `0.5 %`, `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

/// A text is not a percentage of messages.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid percentage")]
pub struct ShareError;

impl Share {
    /// All messages.
    pub const ALL: Self = Self(1_000_000);

    /// Half of the messages.
    pub const HALF: Self = Self(500_000);

    /// Whether a message is selected, by its seed, which no sender can choose. A
    /// larger percentage selects all messages that a smaller one does.
    pub fn takes(self, seed: &[u8; 32]) -> bool {
        let [a, b, c, d, ..] = *seed;
        let place = u64::from(u32::from_be_bytes([a, b, c, d]));
        place * 1_000_000 < u64::from(self.0) << 32
    }

    /// The percentage as a number from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

/// A percentage of the messages, or `0%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareOrNone(pub Option<Share>);

impl FromStr for ShareOrNone {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.trim().strip_suffix('%').ok_or(ShareError)?.trim_end();
        match number.parse::<f64>() {
            Ok(0.0) => Ok(Self(None)),
            _ => text.parse().map(|share| Self(Some(share))),
        }
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.trim().strip_suffix('%').ok_or(ShareError)?.trim_end();
        let percent: f64 = number.parse().map_err(|_| ShareError)?;
        let millionths = (percent * 10_000.0).round();
        if (1.0..=1_000_000.0).contains(&millionths) {
            Ok(Self(millionths as u32))
        } else {
            Err(ShareError)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// A domain name in lower-case ASCII (A-labels), without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);

/// A text is not a domain name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid domain name")]
pub struct DomainError;

impl Domain {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `above` or a subdomain of it.
    pub fn is_within(&self, above: &Self) -> bool {
        match self.0.strip_suffix(&*above.0) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// The parent domain; `None` for a top-level domain.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_once('.')?;
        Some(Self(parent.into()))
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// Parses a name. U-labels are converted to A-labels (RFC 5890).
    fn from_str(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let text = match text.is_ascii() {
            true => text.to_ascii_lowercase(),
            false => idna::domain_to_ascii(text).map_err(|_| DomainError)?,
        };
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if text.len() <= 253 && text.split('.').all(is_label) {
            Ok(Self(text.into()))
        } else {
            Err(DomainError)
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a relay. It becomes part of a Postfix service name, which permits
/// only some characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayName(Box<str>);

/// A text is not a name of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "invalid relay name: expected 1 to 32 lower-case letters, digits and hyphens, with a letter first"
)]
pub struct RelayNameError;

impl RelayName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelayName {
    type Err = RelayNameError;

    fn from_str(text: &str) -> Result<Self, RelayNameError> {
        let fits = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(RelayNameError)
        }
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("512", 512),
            ("64 KiB", 65536),
            ("50MiB", 52_428_800),
            ("2 MB", 2_000_000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "MiB",
            "5 apples",
            "99999999999999999999",
            "99999999999 GiB",
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError), "{text}");
        }
    }

    #[test]
    fn a_share_takes_its_part_of_messages() {
        let share: Share = "10%".parse().expect("a share");
        let seeds = (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| [a, b]));
        let taken = seeds.filter(|[a, b]| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&[*a, *b]);
            share.takes(&seed)
        });
        assert_eq!(taken.count(), 6554);
        assert!(Share::ALL.takes(&[255; 32]));
        assert_eq!(
            " 0.5 %".parse::<Share>().expect("a share").to_string(),
            "0.5%"
        );
        for text in ["10", "0%", "101%", "NaN%", "-1%", "much"] {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
        }
    }

    #[test]
    fn relay_names_fit_into_master_cf() {
        assert!("north-2".parse::<RelayName>().is_ok());
        for text in ["", "North", "a b", "2a", "relay:x"] {
            assert!(text.parse::<RelayName>().is_err(), "{text}");
        }
    }

    #[test]
    fn l12_domains_in_other_scripts_are_read_as_a_labels() {
        for text in ["bücher.example", "BÜCHER.Example.", "xn--BCHER-kva.example"] {
            let domain: Domain = text.parse().expect("a domain");
            assert_eq!(domain.as_str(), "xn--bcher-kva.example", "{text}");
        }
        for text in ["b ü.example", "ü..example", "ü@example", "\u{ad}.example"] {
            assert!(text.parse::<Domain>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_domain_is_within_those_above_it() {
        let domain = |text: &str| text.parse::<Domain>().expect("a domain");
        assert!(domain("a.b.test").is_within(&domain("b.test")));
        assert!(domain("b.test").is_within(&domain("b.test")));
        assert!(!domain("ab.test").is_within(&domain("b.test")));
        assert!(!domain("b.test").is_within(&domain("a.b.test")));
        assert_eq!(domain("a.b.test").parent(), Some(domain("b.test")));
        assert_eq!(domain("test").parent(), None);
    }

    #[test]
    fn domains_are_lower_case_without_final_dot() {
        assert_eq!(
            "Acme.TEST.".parse::<Domain>().expect("domain").as_str(),
            "acme.test"
        );
        assert!("acme..test".parse::<Domain>().is_err());
    }
}

//! Variable envelope return paths (R13, R14).
//!
//! Each message has a return path of its own, with its queue id and time of
//! arrival and an authentication tag: a bounce to it identifies the message, and
//! no other system can create one. Mail systems may change the case of a local
//! part and have to accept 64 bytes (RFC 5321, section 4.5.3.1.1): hence base32.

use data_encoding::BASE32_NOPAD_NOCASE;
use jiff::Timestamp;
use thiserror::Error;

use super::Key;
use waxseal_core::message::{Address, AddressError};

/// Prefix of every local part.
const PREFIX: &str = "b-";
/// First byte of the encoded data: the version of its format.
const VERSION: u8 = 1;
/// Bytes of the tag: 80 bits cannot be guessed by sending mail.
const TAG: usize = 10;
/// Bytes before the id: version and seconds.
const HEAD: usize = 5;
/// Longest id in bytes: 38 bytes are 61 characters of base32, and with the
/// prefix the local part stays below 64. Postfix's ids have at most 17,
/// Sendmail's 14.
pub const MAX_ID_LENGTH: usize = 38 - HEAD - TAG;

/// Why a message gets no return path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerpError {
    /// The id is empty or too long.
    #[error("invalid queue id \"{0}\" for a return path: expected 1 to {MAX_ID_LENGTH} bytes")]
    Id(String),
    /// The domain does not form an address.
    #[error("invalid domain \"{domain}\" for return paths: {error}")]
    Domain {
        /// The domain.
        domain: String,
        /// What is wrong.
        error: AddressError,
    },
}

/// The content of a return path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// When the message arrived, to the second.
    pub sent_at: Timestamp,
    /// Its queue id.
    pub id: String,
}

/// Creates the return path of a message in a domain.
///
/// # Errors
///
/// When the id is empty or longer than [`MAX_ID_LENGTH`], or the domain is invalid.
pub fn address(
    key: &Key,
    domain: &str,
    id: &str,
    arrival: Timestamp,
) -> Result<Address, VerpError> {
    if !(1..=MAX_ID_LENGTH).contains(&id.len()) {
        return Err(VerpError::Id(id.to_owned()));
    }
    let no_domain = |error| VerpError::Domain {
        domain: domain.to_owned(),
        error,
    };
    // With one of these characters, another part of the address would be its
    // domain, and `open` would reject it.
    let foreign = |c: &char| c.is_whitespace() || matches!(c, '@' | '<' | '>');
    if let Some(bad) = domain.chars().find(foreign) {
        return Err(no_domain(AddressError::Character(bad)));
    }
    // Seconds fit until the year 2106.
    let seconds = u32::try_from(arrival.as_second()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(HEAD + id.len() + TAG);
    bytes.push(VERSION);
    bytes.extend_from_slice(&seconds.to_be_bytes());
    bytes.extend_from_slice(id.as_bytes());
    let tag = key.tag(&authenticated(&bytes, domain));
    bytes.extend_from_slice(&tag[..TAG]);
    let local = BASE32_NOPAD_NOCASE.encode(&bytes).to_ascii_lowercase();
    Address::parse(&format!("{PREFIX}{local}@{domain}")).map_err(no_domain)
}

/// Reads a return path in upper or lower case; `None` if it is forged, altered or
/// another address.
pub fn open(key: &Key, address: &Address) -> Option<Opened> {
    let local = address.local_part();
    let (prefix, encoded) = local.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let bytes = BASE32_NOPAD_NOCASE.decode(encoded.as_bytes()).ok()?;
    let (head, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
    if !key.check(&authenticated(head, address.domain()?), tag) {
        return None;
    }
    let (&version, rest) = head.split_first()?;
    let (seconds, id) = rest.split_first_chunk::<4>()?;
    if version != VERSION {
        return None;
    }
    Some(Opened {
        sent_at: Timestamp::from_second(u32::from_be_bytes(*seconds).into()).ok()?,
        id: String::from_utf8(id.to_vec()).ok()?,
    })
}

/// The authenticated data. It includes the domain, so that a local part is valid
/// in one domain only.
fn authenticated(head: &[u8], domain: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(head.len() + 1 + domain.len());
    data.extend_from_slice(head);
    data.push(b'@');
    data.extend(domain.bytes().map(|byte| byte.to_ascii_lowercase()));
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Secret;
    use super::*;

    fn key() -> Key {
        Secret::from_bytes([9; 32]).derive("verp")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("time")
    }

    #[test]
    fn l15_no_address_is_made_that_would_not_be_opened() {
        for domain in [
            "",
            "a@b.test",
            " b.test",
            "b.test ",
            "b.test>",
            "b\u{a0}.test",
        ] {
            let made = address(&key(), domain, "4A1", at(1_800_000_000));
            assert!(
                matches!(made, Err(VerpError::Domain { .. })),
                "{domain:?}: {made:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn r13_an_address_of_ours_is_opened_in_any_case(id in "[0-9A-Za-z]{1,23}", second in 0..4_102_444_800_i64) {
            let made = address(&key(), "bounces.acme.test", &id, at(second)).expect("address");
            prop_assert!(made.local_part().len() <= 64, "{}", made);
            let expected = Some(Opened { sent_at: at(second), id });
            prop_assert_eq!(open(&key(), &made), expected.clone());
            let shouted = Address::parse(&made.as_str().to_ascii_uppercase()).expect("address");
            prop_assert_eq!(open(&key(), &shouted), expected);
        }

        #[test]
        fn r14_no_address_that_was_altered_is_opened(
            id in "[0-9A-F]{10}",
            place in any::<prop::sample::Index>(),
            with in "[a-z2-7]",
        ) {
            let made = address(&key(), "bounces.acme.test", &id, at(1_795_000_000)).expect("address");
            let mut text = made.as_str().to_owned();
            let place = place.index(made.local_part().len());
            prop_assume!(&text[place..=place] != with.as_str());
            text.replace_range(place..=place, &with);
            prop_assert_eq!(open(&key(), &Address::parse(&text).expect("address")), None);
            let cut = Address::parse(&made.as_str().replacen(&made.local_part()[place..=place], "", 1)).expect("address");
            prop_assert_eq!(open(&key(), &cut), None);
        }

        #[test]
        fn r14_no_address_that_was_made_up_is_opened(local in "b-[a-z2-7]{1,62}") {
            prop_assert_eq!(open(&key(), &Address::parse(&format!("{local}@acme.test")).expect("address")), None);
        }
    }

    #[test]
    fn r14_an_address_of_one_domain_or_key_is_none_of_another() {
        let made =
            address(&key(), "a.test", "4Fm9Ck3Hl0z1Z2x", at(1_795_000_000)).expect("address");
        let moved = Address::parse(&format!("{}@b.test", made.local_part())).expect("address");
        assert_eq!(open(&key(), &moved), None);
        assert_eq!(
            open(&Secret::from_bytes([8; 32]).derive("verp"), &made),
            None
        );
    }

    #[test]
    fn ids_and_domains_that_fit_no_address_are_refused() {
        for id in ["", "123456789012345678901234"] {
            assert_eq!(
                address(&key(), "a.test", id, at(0)),
                Err(VerpError::Id(id.to_owned()))
            );
        }
        assert!(matches!(
            address(&key(), "a b", "1", at(0)),
            Err(VerpError::Domain { .. })
        ));
    }
}

//! Sealed texts: short texts with an authentication tag.
//!
//! Anyone can read a sealed text; only this installation can create one. It is
//! ASCII without white space and fits in a header field of one line.

use data_encoding::BASE64URL_NOPAD;

use super::Key;

/// Bytes of the tag: 128 bits.
const TAG: usize = 16;

/// Seals a text. The result has four characters for three bytes, and 22 more.
pub fn seal(key: &Key, payload: &str) -> String {
    let mut bytes = Vec::with_capacity(TAG + payload.len());
    bytes.extend_from_slice(&key.tag(payload.as_bytes())[..TAG]);
    bytes.extend_from_slice(payload.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// Opens a text sealed with this key; `None` if it is forged or altered. White
/// space around it is ignored, as in header fields.
pub fn open(key: &Key, sealed: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(sealed.trim().as_bytes()).ok()?;
    let (tag, payload) = bytes.split_at_checked(TAG)?;
    if !key.check(payload, tag) {
        return None;
    }
    String::from_utf8(payload.to_vec()).ok()
}

/// The text in a seal, without any check: anyone can have written it.
pub fn claimed(sealed: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(sealed.trim().as_bytes()).ok()?;
    String::from_utf8(bytes.get(TAG..)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Secret;
    use super::*;

    fn key() -> Key {
        Secret::from_bytes([3; 32]).derive("seal")
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(payload in ".{0,200}") {
            let sealed = seal(&key(), &payload);
            prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(open(&key(), &format!(" {sealed} ")), Some(payload));
        }

        #[test]
        fn what_was_altered_is_not(payload in ".{0,60}", at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
            let mut sealed = seal(&key(), &payload);
            let at = at.index(sealed.len());
            prop_assume!(&sealed[at..=at] != with.as_str());
            sealed.replace_range(at..=at, &with);
            prop_assert_eq!(open(&key(), &sealed), None);
        }

        #[test]
        fn what_we_did_not_seal_is_not_opened(text in ".{0,80}") {
            prop_assert_eq!(open(&key(), &text), None);
        }
    }

    #[test]
    fn another_key_does_not_open_it() {
        let sealed = seal(&key(), "waxseal-northwind");
        assert_eq!(
            open(&Secret::from_bytes([3; 32]).derive("verp"), &sealed),
            None
        );
    }
}

//! Encrypted texts: bytes that only this installation can read or create.
//!
//! Each text has a key of its own, derived from the key of its purpose and 16 random
//! bytes, so that any number of texts can be encrypted with one secret. The cipher
//! is AES-256-GCM (RFC 5116).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use thiserror::Error;

use super::Key;

/// Bytes that [`encrypt`] adds to a text.
pub const OVERHEAD: usize = 16;

/// Random bytes that a text is encrypted with. They are not secret, and are never used
/// for two texts.
pub type Salt = [u8; 16];

/// The system's random number generator failed, or there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot encrypt: the system's random number generator or the cipher failed")]
pub struct EncryptError;

/// A fresh salt.
///
/// # Errors
///
/// When the system's random number generator fails.
pub fn salt() -> Result<Salt, EncryptError> {
    let mut salt = Salt::default();
    rand::fill(&mut salt).map_err(|_| EncryptError)?;
    Ok(salt)
}

/// The first bytes of a key's fingerprint, which say whether a text was encrypted
/// with it. They are not secret.
pub fn key_id(key: &Key) -> [u8; 4] {
    let [a, b, c, d, ..] = key.tag(b"key id");
    [a, b, c, d]
}

/// Encrypts a text, and authenticates it together with `associated`.
///
/// # Errors
///
/// When the cipher fails; only if the text is larger than 64 GiB.
pub fn encrypt(
    key: &Key,
    salt: &Salt,
    associated: &[u8],
    text: Vec<u8>,
) -> Result<Vec<u8>, EncryptError> {
    let mut bytes = text;
    cipher(key, salt)
        .and_then(|cipher| {
            cipher.seal_in_place_append_tag(nonce(), Aad::from(associated), &mut bytes)
        })
        .map_err(|_| EncryptError)?;
    Ok(bytes)
}

/// Decrypts a text. `None` if it was not made with this key, salt and `associated`,
/// or was altered.
pub fn decrypt(key: &Key, salt: &Salt, associated: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let cipher = cipher(key, salt).ok()?;
    let opened = cipher.open_in_place(nonce(), Aad::from(associated), &mut bytes);
    let length = opened.ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn cipher(key: &Key, salt: &Salt) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    let mut info = *b"text ................";
    info[5..].copy_from_slice(salt);
    UnboundKey::new(&AES_256_GCM, &key.tag(&info)).map(LessSafeKey::new)
}

/// Each key encrypts one text, so that its nonce can be constant.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Secret;
    use super::*;

    fn key(purpose: &str) -> Key {
        Secret::from_bytes([3; 32]).derive(purpose)
    }

    proptest! {
        #[test]
        fn what_was_encrypted_is_decrypted_and_nothing_else(
            text in prop::collection::vec(any::<u8>(), 0..200),
            salt: Salt,
            flip in 1..=255u8,
            at in any::<prop::sample::Index>(),
        ) {
            let key = key("plan");
            let bytes = encrypt(&key, &salt, b"v1", text.clone()).expect("encrypted");
            prop_assert_eq!(bytes.len(), text.len() + OVERHEAD);
            prop_assert_eq!(decrypt(&key, &salt, b"v1", bytes.clone()), Some(text));
            prop_assert_eq!(decrypt(&key, &salt, b"v2", bytes.clone()), None);
            let mut altered = bytes;
            let at = at.index(altered.len());
            altered[at] ^= flip;
            prop_assert_eq!(decrypt(&key, &salt, b"v1", altered), None);
        }
    }

    #[test]
    fn another_key_or_salt_does_not_decrypt() {
        let one = key("plan");
        let bytes = encrypt(&one, &[1; 16], b"", b"secret".to_vec()).expect("encrypted");
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        assert_eq!(decrypt(&key("other"), &[1; 16], b"", bytes.clone()), None);
        assert_eq!(decrypt(&one, &[2; 16], b"", bytes), None);
        assert_eq!(decrypt(&one, &[1; 16], b"", Vec::new()), None);
    }

    #[test]
    fn salts_and_ids_of_keys_differ() {
        assert_ne!(salt().expect("salt"), salt().expect("salt"));
        assert_ne!(key_id(&key("plan")), key_id(&key("other")));
    }
}

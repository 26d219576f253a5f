//! A value and bytes as one run of bytes: what stands in a file of the cache,
//! and what a process that compiles is given and gives back.
//!
//! The length of the value as JSON (four bytes, the lowest first), the JSON, and
//! then the bytes as they are: they are megabytes, and no copy is made of them
//! to read them.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Packs a value and bytes.
///
/// # Errors
///
/// When the value cannot be written as JSON.
pub(super) fn encode(value: &impl Serialize, bytes: &[u8]) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).map_err(serde::ser::Error::custom)?;
    let mut frame = Vec::with_capacity(LENGTH + json.len() + bytes.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&json);
    frame.extend_from_slice(bytes);
    Ok(frame)
}

/// Bytes of the length that stands first.
const LENGTH: usize = 4;

/// What was packed; none where the bytes are something else, or not all of it.
pub(super) fn decode<T: DeserializeOwned>(frame: &Bytes) -> Option<(T, Bytes)> {
    let (length, rest) = frame.split_first_chunk::<LENGTH>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let json = rest.get(..length)?;
    let value = serde_json::from_slice(json).ok()?;
    Some((value, frame.slice(LENGTH + length..)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(text in ".{0,40}", bytes in any::<Vec<u8>>()) {
            let frame = Bytes::from(encode(&text, &bytes).expect("packed"));
            let (read, rest) = decode::<String>(&frame).expect("unpacked");
            prop_assert_eq!((read, rest), (text, Bytes::from(bytes)));
        }

        #[test]
        fn anything_else_is_refused_or_read_without_harm(bytes in any::<Vec<u8>>()) {
            let _ = decode::<String>(&Bytes::from(bytes));
        }
    }
}

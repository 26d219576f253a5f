//! Framing of a value and bytes: the format of a cache file, and of requests and replies of
//! the process that compiles.
//!
//! The length of the value as JSON (four bytes, little-endian), the JSON, and then the bytes
//! unchanged: they are megabytes, and reading them does not copy them.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value and bytes.
///
/// # Errors
///
/// If the value cannot be serialized as JSON.
pub(super) fn encode(value: &impl Serialize, bytes: &[u8]) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).map_err(serde::ser::Error::custom)?;
    let mut frame = Vec::with_capacity(LENGTH + json.len() + bytes.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&json);
    frame.extend_from_slice(bytes);
    Ok(frame)
}

/// Length of the length field.
const LENGTH: usize = 4;

/// Decodes a frame; `None` if it is invalid or incomplete.
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
        fn a_frame_is_decoded_as_it_was_encoded(text in ".{0,40}", bytes in any::<Vec<u8>>()) {
            let frame = Bytes::from(encode(&text, &bytes).expect("encoded"));
            let (read, rest) = decode::<String>(&frame).expect("decoded");
            prop_assert_eq!((read, rest), (text, Bytes::from(bytes)));
        }

        #[test]
        fn invalid_frames_cause_no_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode::<String>(&Bytes::from(bytes));
        }
    }
}

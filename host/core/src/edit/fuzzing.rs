//! Transfer encodings for the fuzz targets. Not part of the public interface.

use super::codec::{self, Insert};

/// Decodes quoted-printable.
pub fn qp_decode(text: &[u8]) -> Vec<u8> {
    codec::qp_decode(text)
}

/// Encodes as quoted-printable.
pub fn qp_encode(octets: &[u8], binary: bool) -> Vec<u8> {
    codec::qp_encode(octets, binary)
}

/// Inserts octets into quoted-printable text, at an offset of the decoded text.
pub fn qp_splice(text: &[u8], at: usize, octets: &[u8], binary: bool) -> Option<Vec<u8>> {
    codec::qp_splice(text, &inserted(at, octets), binary)
}

/// Decodes base64.
pub fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    codec::base64_decode(text)
}

/// Encodes as base64.
pub fn base64_encode(octets: &[u8]) -> Vec<u8> {
    codec::base64_encode(octets)
}

/// Inserts octets into base64 text that decodes to `decoded`.
pub fn base64_splice(text: &[u8], decoded: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    codec::base64_splice(text, decoded, &inserted(at, octets))
}

/// Breaks base64 into lines again.
pub fn base64_rewrap(text: &[u8]) -> Vec<u8> {
    codec::base64_rewrap(text)
}

fn inserted(at: usize, octets: &[u8]) -> [Insert; 1] {
    [Insert {
        at,
        bytes: octets.to_vec(),
    }]
}

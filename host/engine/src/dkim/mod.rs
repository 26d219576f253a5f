//! DKIM: keys, signatures and the records to publish (RFC 6376, RFC 8463).
//!
//! Private keys are read here and are not accessible elsewhere: [`Keys`] returns [`Key`]s that can sign and have a public key,
//! and nothing else. [`sign`] verifies each signature before returning it.

mod alignment;
mod error;
mod generate;
mod keys;
mod others;
mod pair;
mod record;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use alignment::are_aligned;
pub use alignment::{AlignmentError, AuthorDomains, Unaligned, aligned, author_domains};
pub use error::KeyError;
pub use generate::{GenerateError, Generated, generate};
pub use keys::{Key, Keys};
pub use pair::Algorithm;
pub use record::Record;
pub use signature::{SignError, Signed, sign};
pub use waxseal_system::secure_fs::PrivateFileError;

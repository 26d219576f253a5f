//! The host's secret, the keys derived from it, and the two kinds of
//! authenticated text made with them: sealed texts and return paths.

pub mod seal;
pub mod secret;
pub mod verp;

pub use secret::{Key, Secret, SecretError};

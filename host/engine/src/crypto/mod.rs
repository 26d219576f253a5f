//! The host's secret, the keys derived from it, and what is made with them: sealed
//! texts, encrypted texts and return paths.

pub mod encrypt;
pub mod seal;
pub mod secret;
pub mod verp;

pub use secret::{Key, Secret, SecretError};

//! Texts that are never shown.

use std::fmt;

use jiff::Timestamp;

/// A secret text: a client secret, a refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An access token: what a server is given at the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    pub(crate) secret: Secret,
    pub(crate) expires: Timestamp,
}

impl AccessToken {
    /// The token.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// When it expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

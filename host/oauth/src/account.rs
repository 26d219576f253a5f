//! Whom tokens are for.

use super::provider::Provider;
use super::secret::Secret;

/// How an access token is obtained (RFC 6749).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// By the refresh token of a user who has consented (section 6).
    RefreshToken,
    /// By the client's own credentials (section 4.4).
    ClientCredentials,
}

/// A client of a service, and how it obtains tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The service.
    pub provider: Provider,
    /// The id that the service has given this client.
    pub client_id: String,
    /// Its secret. Public clients have none.
    pub client_secret: Option<Secret>,
    /// How tokens are obtained.
    pub grant: Grant,
}

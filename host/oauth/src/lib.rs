//! OAuth 2 access tokens for logins at SMTP servers (RFC 6749, RFC 8628).
//!
//! A [`TokenSource`] gives the access token for one account. It asks the token
//! endpoint before the token expires, one request at a time, and keeps what
//! outlives a restart in a private file. [`Login`] gets the first refresh token by
//! the device flow (RFC 8628): the administrator confirms it in a browser anywhere.
//!
//! Guarantees:
//!
//! * A refresh token that an endpoint replaces is on disk before the access token
//!   that came with it is used.
//! * Responses are bounded in size and time; redirects are not followed; a request
//!   goes over TLS, or to a loopback address.
//! * No secret occurs in an error, in `Debug` output or in the log. Texts of an
//!   endpoint are shortened and made printable.
//! * An endpoint that fails is not asked again at once ([`RETRY_AFTER`]).
//!
//! The two grants: `refresh-token` acts for a user who has consented;
//! `client-credentials` acts for an application (Microsoft 365 permits it with the
//! application permission `SMTP.SendAsApp`).

mod account;
mod endpoint;
mod error;
mod http;
mod login;
mod provider;
mod secret;
mod source;
mod store;

#[cfg(test)]
mod tests;

pub use account::{Account, Grant};
pub use error::{StoreError, TokenError};
pub use login::{DeviceCode, Login};
pub use provider::{Provider, ProviderError};
pub use secret::{AccessToken, Secret};
pub use source::{RETRY_AFTER, TokenSource};
pub use store::TokenFile;

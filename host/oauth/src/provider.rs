//! Where tokens come from.

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

/// The endpoints and scopes of a service.
///
/// The presets follow the documentation of the services: Google, "Using OAuth 2.0
/// to Access Google APIs"; Microsoft, "Authenticate an IMAP, POP or SMTP connection
/// using OAuth".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub(crate) token_endpoint: Url,
    pub(crate) device_endpoint: Option<Url>,
    /// For a user who consents.
    pub(crate) user_scopes: Vec<String>,
    /// For an application.
    pub(crate) application_scopes: Vec<String>,
}

/// An address that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It is not a URL.
    #[error("invalid URL `{0}`: {1}")]
    Url(String, url::ParseError),
    /// Tokens would be sent unencrypted.
    #[error("`{0}` must begin with https://: tokens are secrets")]
    Unencrypted(String),
    /// The tenant is part of a path.
    #[error("invalid tenant `{0}`: expected a domain name or the tenant's id")]
    Tenant(String),
}

impl Provider {
    /// Gmail and Google Workspace. Google's device flow does not permit the scope of
    /// mail: the refresh token comes from elsewhere.
    pub fn google() -> Self {
        Self {
            token_endpoint: fixed("https://oauth2.googleapis.com/token"),
            device_endpoint: None,
            user_scopes: vec!["https://mail.google.com/".into()],
            application_scopes: Vec::new(),
        }
    }

    /// Microsoft 365 for a tenant, by its domain name or id.
    ///
    /// # Errors
    ///
    /// When the tenant has other characters than letters, digits, `.` and `-`.
    pub fn microsoft(tenant: &str) -> Result<Self, ProviderError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if tenant.is_empty() || tenant.starts_with('.') || !tenant.chars().all(plain) {
            return Err(ProviderError::Tenant(tenant.to_owned()));
        }
        let base = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0");
        Ok(Self {
            token_endpoint: endpoint(&format!("{base}/token"))?,
            device_endpoint: Some(endpoint(&format!("{base}/devicecode"))?),
            user_scopes: vec![
                "https://outlook.office.com/SMTP.Send".into(),
                "offline_access".into(),
            ],
            application_scopes: vec!["https://outlook.office365.com/.default".into()],
        })
    }

    /// Any other service. The scopes are for users and applications alike.
    ///
    /// # Errors
    ///
    /// When an endpoint is not an `https` URL. `http` is permitted for loopback
    /// addresses.
    pub fn custom(
        token_endpoint: &str,
        device_endpoint: Option<&str>,
        scopes: &[&str],
    ) -> Result<Self, ProviderError> {
        let scopes: Vec<String> = scopes.iter().copied().map(str::to_owned).collect();
        Ok(Self {
            token_endpoint: endpoint(token_endpoint)?,
            device_endpoint: device_endpoint.map(endpoint).transpose()?,
            user_scopes: scopes.clone(),
            application_scopes: scopes,
        })
    }

    /// Where tokens are asked for.
    pub fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Whether the service offers the device flow for mail.
    pub fn has_device_flow(&self) -> bool {
        self.device_endpoint.is_some()
    }
}

/// A URL that is part of this file.
fn fixed(text: &str) -> Url {
    Url::parse(text).expect("a valid URL")
}

fn endpoint(text: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|error| ProviderError::Url(text.to_owned(), error))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(ProviderError::Unencrypted(text.to_owned())),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_tokens_are_asked_for_over_tls_or_on_this_machine() {
        let custom = |url| Provider::custom(url, None, &[]);
        assert!(custom("https://login.example/token").is_ok());
        assert!(custom("http://127.0.0.1:8080/token").is_ok());
        assert!(custom("http://[::1]/token").is_ok());
        for url in [
            "http://login.example/",
            "http://localhost/",
            "ftp://127.0.0.1/",
        ] {
            assert!(
                matches!(custom(url), Err(ProviderError::Unencrypted(_))),
                "{url}"
            );
        }
        assert!(matches!(custom("token"), Err(ProviderError::Url(..))));
    }

    #[test]
    fn r4_a_tenant_adds_nothing_else_to_the_path() {
        for tenant in ["", "a/b", "..", "a?b", "a b"] {
            assert!(Provider::microsoft(tenant).is_err(), "{tenant}");
        }
        let provider = Provider::microsoft("acme.example").expect("a provider");
        assert_eq!(
            provider.token_endpoint().as_str(),
            "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token"
        );
        assert!(provider.has_device_flow() && !Provider::google().has_device_flow());
    }
}

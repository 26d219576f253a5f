//! The first refresh token, by the device flow (RFC 8628).

use std::fmt;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use oauth2::StandardDeviceAuthorizationResponse;

use super::account::Account;
use super::endpoint::Endpoint;
use super::error::TokenError;
use super::store::TokenFile;

/// A login that waits for an administrator.
pub struct Login {
    endpoint: Endpoint,
    details: StandardDeviceAuthorizationResponse,
    code: DeviceCode,
}

/// What the administrator is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceCode {
    /// The page to open, in a browser on any machine.
    pub url: String,
    /// The code to enter there.
    pub code: String,
    /// How long there is time for it.
    pub lifetime: Duration,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// Asks the service for a code.
    ///
    /// # Errors
    ///
    /// When the service refuses or cannot be reached.
    pub async fn start(account: Account) -> Result<Self, TokenError> {
        let certificates = |error: io::Error| TokenError::Unreachable {
            endpoint: "the service".into(),
            reason: format!("cannot read the certificates of the system: {error}"),
        };
        let endpoint = Endpoint::new(account).map_err(certificates)?;
        let details = endpoint.device_code().await?;
        let shown = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).collect();
        let code = DeviceCode {
            url: shown(details.verification_uri()),
            code: shown(details.user_code().secret()),
            lifetime: details.expires_in(),
        };
        Ok(Self {
            endpoint,
            details,
            code,
        })
    }

    /// What the administrator does now.
    pub fn code(&self) -> &DeviceCode {
        &self.code
    }

    /// Waits until the administrator has confirmed, and stores the refresh token.
    ///
    /// # Errors
    ///
    /// When the login is not confirmed in time, or the file cannot be written.
    pub async fn finish(self, file: &TokenFile, now: Timestamp) -> Result<(), TokenError> {
        let issued = self.endpoint.device_tokens(&self.details).await?;
        let refresh = issued.refresh.ok_or_else(|| {
            TokenError::Refused("no refresh token came with the login; check the scopes".into())
        })?;
        file.write(&refresh, now)?;
        Ok(())
    }
}

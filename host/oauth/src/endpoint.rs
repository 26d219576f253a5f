//! Requests to the endpoints of a service, and what their answers mean.

use std::io;
use std::time::Duration;

use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, DeviceAuthorizationUrl, DeviceCodeErrorResponse,
    DeviceCodeErrorResponseType, EndpointMaybeSet, EndpointNotSet, EndpointSet, ErrorResponseType,
    ExtraTokenFields, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
    StandardErrorResponse, StandardRevocableToken, StandardTokenResponse, TokenResponse as _,
    TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::account::Account;
use super::error::TokenError;
use super::http::{HttpClient, HttpError};
use super::secret::Secret;

/// Lifetime of an access token of which nothing is said (RFC 6749, section 5.1).
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);

/// Bounds of a lifetime that is believed.
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// The longest text of an endpoint that is shown.
const TEXT: usize = 200;

/// What some services add to a token.
#[derive(Debug, Deserialize, Serialize)]
struct Fields {
    /// Seconds for which the refresh token is valid (Google, for some clients).
    refresh_token_expires_in: Option<u64>,
}

impl ExtraTokenFields for Fields {}

type TokenResponse = StandardTokenResponse<Fields, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The endpoints of a service for one client.
pub(crate) struct Endpoint {
    client: Client,
    http: HttpClient,
    account: Account,
    /// Scheme, host and port of the token endpoint.
    name: String,
}

/// Tokens that an endpoint has issued.
pub(crate) struct Issued {
    pub(crate) access: Secret,
    pub(crate) lifetime: Duration,
    pub(crate) refresh: Option<Refresh>,
}

/// A refresh token.
pub(crate) struct Refresh {
    pub(crate) secret: Secret,
    pub(crate) lifetime: Option<Duration>,
}

impl Endpoint {
    pub(crate) fn new(account: Account) -> io::Result<Self> {
        let provider = &account.provider;
        let mut client = oauth2::Client::new(ClientId::new(account.client_id.clone()))
            // What both large services document.
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(provider.token_endpoint.clone()))
            .set_device_authorization_url_option(
                provider
                    .device_endpoint
                    .clone()
                    .map(DeviceAuthorizationUrl::from_url),
            );
        if let Some(secret) = &account.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        Ok(Self {
            client,
            http: HttpClient::new()?,
            name: origin(&provider.token_endpoint),
            account,
        })
    }

    /// Asks for an access token by a refresh token (RFC 6749, section 6).
    pub(crate) async fn refresh(&self, token: &Secret) -> Result<Issued, TokenError> {
        let token = RefreshToken::new(token.expose().to_owned());
        let answer = self
            .client
            .exchange_refresh_token(&token)
            .request_async(&self.http)
            .await;
        answer.map(issued).map_err(|error| self.error(error))
    }

    /// Asks for an access token by the client's credentials (RFC 6749, section 4.4).
    pub(crate) async fn client_credentials(&self) -> Result<Issued, TokenError> {
        let answer = self
            .client
            .exchange_client_credentials()
            .add_scopes(scopes(&self.account.provider.application_scopes))
            .request_async(&self.http)
            .await;
        answer.map(issued).map_err(|error| self.error(error))
    }

    /// Begins the device flow (RFC 8628, section 3.1).
    pub(crate) async fn device_code(
        &self,
    ) -> Result<StandardDeviceAuthorizationResponse, TokenError> {
        if self.account.provider.device_endpoint.is_none() {
            return Err(TokenError::NoDeviceFlow);
        }
        let request = self
            .client
            .exchange_device_code()
            .map_err(|_| TokenError::NoDeviceFlow)?
            .add_scopes(scopes(&self.account.provider.user_scopes));
        let answer = request.request_async(&self.http).await;
        answer.map_err(|error| self.error(error))
    }

    /// Asks for tokens until the login was confirmed (RFC 8628, section 3.4).
    pub(crate) async fn device_tokens(
        &self,
        details: &StandardDeviceAuthorizationResponse,
    ) -> Result<Issued, TokenError> {
        let answer = self
            .client
            .exchange_device_access_token(details)
            .request_async(&self.http, tokio::time::sleep, None)
            .await;
        answer.map(issued).map_err(|error| match error {
            RequestTokenError::ServerResponse(response) => self.not_confirmed(&response),
            RequestTokenError::Request(error) => self.http_error(&error),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => self.malformed(),
        })
    }

    fn error(&self, error: RequestTokenError<HttpError, BasicErrorResponse>) -> TokenError {
        match error {
            RequestTokenError::ServerResponse(response) => refusal(&response),
            RequestTokenError::Request(error) => self.http_error(&error),
            // The details quote the answer, which may contain a token.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => self.malformed(),
        }
    }

    fn not_confirmed(&self, response: &DeviceCodeErrorResponse) -> TokenError {
        match response.error() {
            DeviceCodeErrorResponseType::AccessDenied
            | DeviceCodeErrorResponseType::ExpiredToken => TokenError::NotConfirmed(text(response)),
            DeviceCodeErrorResponseType::Basic(
                BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient,
            ) => TokenError::Client(text(response)),
            _ => TokenError::Refused(text(response)),
        }
    }

    fn http_error(&self, error: &HttpError) -> TokenError {
        let endpoint = self.name.clone();
        let reason = printable(&error.to_string());
        match error {
            HttpError::TooLong => TokenError::Malformed { endpoint, reason },
            HttpError::Connection(_) | HttpError::TimedOut | HttpError::Status(_) => {
                TokenError::Unreachable { endpoint, reason }
            }
        }
    }

    fn malformed(&self) -> TokenError {
        TokenError::Malformed {
            endpoint: self.name.clone(),
            reason: "expected JSON as in RFC 6749, section 5".into(),
        }
    }
}

fn issued(response: TokenResponse) -> Issued {
    let (least, most) = LIFETIMES;
    let lifetime = response.expires_in().unwrap_or(UNKNOWN_LIFETIME);
    let refresh = response.refresh_token().map(|token| Refresh {
        secret: Secret::new(token.secret()),
        lifetime: response
            .extra_fields()
            .refresh_token_expires_in
            .map(Duration::from_secs),
    });
    Issued {
        access: Secret::new(response.access_token().secret()),
        lifetime: lifetime.clamp(least, most),
        refresh,
    }
}

fn refusal(response: &BasicErrorResponse) -> TokenError {
    match response.error() {
        BasicErrorResponseType::InvalidGrant => TokenError::Revoked(text(response)),
        BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
            TokenError::Client(text(response))
        }
        _ => TokenError::Refused(text(response)),
    }
}

/// Code and description of an error.
fn text<T: ErrorResponseType + std::fmt::Display>(response: &StandardErrorResponse<T>) -> String {
    let code = response.error().to_string();
    let whole = match response.error_description() {
        Some(description) => format!("{code}: {description}"),
        None => code,
    };
    printable(&whole)
}

/// The beginning of a text from outside, in one line of printable ASCII.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    let mut shown: String = text.chars().take(TEXT).map(plain).collect();
    if text.chars().nth(TEXT).is_some() {
        shown.push_str("...");
    }
    shown.trim().to_owned()
}

fn scopes(names: &[String]) -> impl Iterator<Item = Scope> {
    names.iter().cloned().map(Scope::new)
}

/// Scheme, host and port of a URL: what may be shown of it.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

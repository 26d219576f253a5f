//! The access token of one account.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::account::{Account, Grant};
use super::endpoint::{Endpoint, Issued};
use super::error::TokenError;
use super::secret::AccessToken;
use super::store::{TokenFile, later};

/// How long an endpoint that failed is left alone, and a fresh token is believed
/// that a server has refused.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A token is replaced this long before it expires, at most.
const EARLY: Duration = Duration::from_secs(300);

/// The access token of one account, renewed before it expires.
///
/// Cheap to clone; all clones share the token.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    grant: Grant,
    file: TokenFile,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    failed: Option<(TokenError, Timestamp)>,
}

struct Current {
    token: AccessToken,
    issued: Timestamp,
    /// From then on another one is asked for.
    renew: Timestamp,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

impl TokenSource {
    /// The tokens of an account. The file holds the refresh token; client
    /// credentials need none.
    ///
    /// # Errors
    ///
    /// When the system's certificates cannot be read.
    pub fn new(account: Account, file: TokenFile) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            grant: account.grant,
            endpoint: Endpoint::new(account)?,
            file,
            state: Mutex::default(),
        })))
    }

    /// An access token that is valid for some minutes at least.
    ///
    /// Who stops waiting does not stop the request: a refresh token that comes with
    /// its answer would be lost.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn token(&self, now: Timestamp) -> Result<AccessToken, TokenError> {
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move { inner.token(now).await });
        task.await.unwrap_or_else(|error| {
            // The runtime is stopping, or the task panicked.
            Err(TokenError::Refused(error.to_string()))
        })
    }

    /// A server has refused this token at the login: it is not used again, unless it
    /// was issued within [`RETRY_AFTER`], since then it is not the token's fault.
    pub async fn refused(&self, token: &AccessToken, now: Timestamp) {
        let mut state = self.0.state.lock().await;
        let old = |current: &Current| {
            current.token == *token
                && later(current.issued, RETRY_AFTER).is_some_and(|young| young <= now)
        };
        if state.current.as_ref().is_some_and(old) {
            state.current = None;
        }
    }

    /// When the refresh token expires, if the service has said so.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn login_expires(&self) -> Result<Option<Timestamp>, super::error::StoreError> {
        Ok(self.0.file.read()?.and_then(|stored| stored.expires))
    }

    /// Forgets what it has: somebody has logged in.
    pub async fn reset(&self) {
        *self.0.state.lock().await = State::default();
    }
}

impl Inner {
    async fn token(&self, now: Timestamp) -> Result<AccessToken, TokenError> {
        // Held while the endpoint is asked: others wait for the same answer.
        let mut state = self.state.lock().await;
        if let Some(current) = &state.current
            && now < current.renew
        {
            return Ok(current.token.clone());
        }
        let asked = match &state.failed {
            Some((last, until)) if now < *until => Err(TokenError::Waiting {
                last: Box::new(last.clone()),
                until: *until,
            }),
            _ => self.ask(now).await,
        };
        match asked {
            Ok(issued) => {
                let current = Current::new(issued, now);
                let token = current.token.clone();
                *state = State {
                    current: Some(current),
                    failed: None,
                };
                Ok(token)
            }
            // A token that is to be renewed may still be valid.
            Err(error) => {
                if !matches!(error, TokenError::Waiting { .. }) {
                    let until = later(now, RETRY_AFTER).unwrap_or(now);
                    state.failed = Some((error.clone(), until));
                }
                match &state.current {
                    Some(current) if now < current.token.expires => Ok(current.token.clone()),
                    _ => Err(error),
                }
            }
        }
    }

    async fn ask(&self, now: Timestamp) -> Result<Issued, TokenError> {
        match self.grant {
            Grant::ClientCredentials => self.endpoint.client_credentials().await,
            Grant::RefreshToken => {
                let stored = self.file.read()?.ok_or(TokenError::NotLoggedIn)?;
                let issued = self.endpoint.refresh(&stored.secret).await?;
                if let Some(refresh) = &issued.refresh {
                    self.file.write(refresh, now)?;
                }
                Ok(issued)
            }
        }
    }
}

impl Current {
    fn new(issued: Issued, now: Timestamp) -> Self {
        let early = EARLY.min(issued.lifetime / 4);
        let at = |lifetime| later(now, lifetime).unwrap_or(Timestamp::MAX);
        Self {
            token: AccessToken {
                secret: issued.access,
                expires: at(issued.lifetime),
            },
            issued: now,
            renew: at(issued.lifetime - early),
        }
    }
}

//! The HTTP client: bounded requests to one endpoint, over TLS.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use thiserror::Error;

/// How long a request may take in all.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The largest response: a token takes some kilobytes.
const RESPONSE: usize = 64 * 1024;

/// A client that trusts the certificates of the system.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A request without a response that can be used.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    /// No connection, or none that stays.
    #[error("{0}")]
    Connection(String),
    /// No response in time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The server is in trouble.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The response is too long.
    #[error("the answer is longer than {RESPONSE} bytes")]
    TooLong,
}

impl HttpClient {
    /// Reads the system's certificates.
    pub(crate) fn new() -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request. Redirects are not followed.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(request));
        exchange.await.unwrap_or(Err(HttpError::TimedOut))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let response = self.0.request(request).await.map_err(|error| {
            // Its own text says only that a connection failed.
            let reason = error.source().map(ToString::to_string);
            HttpError::Connection(reason.unwrap_or_else(|| error.to_string()))
        })?;
        if response.status().is_server_error() || response.status().is_redirection() {
            return Err(HttpError::Status(response.status().as_u16()));
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, RESPONSE).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpError::TooLong,
            false => HttpError::Connection(error.to_string()),
        })?;
        Ok(HttpResponse::from_parts(head, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

//! The client of the control channel, used by commands.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use super::api::{self, ActivationResponse, ErrorBody, Promote, Rollback, StatusResponse, Swap};
use waxseal::rollout::Comparison;

/// Failure to get a response from the daemon.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No process listens on the socket.
    #[error("no daemon listens on {}: {error}. Is `waxseal run` running with this configuration?", .socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// The error of the system call.
        error: io::Error,
    },
    /// Permission denied on the socket.
    #[error("{} accepts only root and the user that the daemon runs as; try sudo", .0.display())]
    PermissionDenied(PathBuf),
    /// The connection failed during the request.
    #[error("request to the daemon failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The response is invalid.
    #[error(
        "unexpected response from the daemon ({status}): {text}. Is the daemon another version of waxseal?"
    )]
    Unexpected {
        /// The status.
        status: u16,
        /// The body, or the decoding error.
        text: String,
    },
}

/// A client of a running daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// The response to a request: `Ok(Err(_))` if the daemon rejected it.
pub type Answer<T> = Result<Result<T, ErrorBody>, ClientError>;

impl Client {
    /// Creates a client of the daemon that listens on this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Requests the status.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn status(&self) -> Answer<StatusResponse> {
        self.request(Method::GET, api::POLICY, &()).await
    }

    /// Activates another policy.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn swap(&self, swap: &Swap) -> Answer<ActivationResponse> {
        self.request(Method::POST, api::SWAP, swap).await
    }

    /// Rolls back to an earlier version.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn roll_back(&self, rollback: &Rollback) -> Answer<ActivationResponse> {
        self.request(Method::POST, api::ROLLBACK, rollback).await
    }

    /// Starts a shadow candidate.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn shadow(&self, shadow: &api::StartShadowRequest) -> Answer<Comparison> {
        self.request(Method::POST, api::SHADOW, shadow).await
    }

    /// Stops the shadow candidate and returns its comparison.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn stop_shadow(&self) -> Answer<Comparison> {
        self.request(Method::POST, api::SHADOW_STOP, &()).await
    }

    /// Requests the comparison of the shadow candidate.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn diff(&self) -> Answer<Comparison> {
        self.request(Method::GET, api::DIFF, &()).await
    }

    /// Activates the shadow candidate.
    ///
    /// # Errors
    ///
    /// If the daemon does not respond.
    pub async fn promote(&self, promote: &Promote) -> Answer<ActivationResponse> {
        self.request(Method::POST, api::PROMOTE, promote).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Answer<T> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.not_connected(error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = async move {
            let response = sender
                .send_request(http_request(method, path, body))
                .await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let (response, _) = tokio::join!(request, connection);
        let (status, body) = response?;
        decode(status, &body)
    }

    fn not_connected(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::PermissionDenied(socket),
            _ => ClientError::NotRunning { socket, error },
        }
    }
}

fn http_request(method: Method, path: &str, body: &impl Serialize) -> Request<Full<Bytes>> {
    // Serializing our own types does not fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    // Paths are valid constants.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(
        hyper::header::HOST,
        hyper::header::HeaderValue::from_static("waxseal"),
    );
    headers.insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    request
}

fn decode<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Answer<T> {
    let unexpected = |text: String| ClientError::Unexpected {
        status: status.as_u16(),
        text,
    };
    if status == StatusCode::OK {
        let response = serde_json::from_slice(body);
        return response
            .map(Ok)
            .map_err(|error| unexpected(error.to_string()));
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) if status == StatusCode::CONFLICT => Ok(Err(body)),
        Ok(body) => Err(unexpected(body.error)),
        Err(_) => Err(unexpected(String::from_utf8_lossy(body).trim().to_owned())),
    }
}

//! The commands' end of the control channel.

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
use crate::rollout::Comparison;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers on {}: {error}. Is `waxseal run` running with this configuration?", .socket.display())]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// We may not ask.
    #[error("{} may be used by root and by the user that the daemon runs as only; try sudo", .0.display())]
    NotAllowed(PathBuf),
    /// The daemon went away while it was asked.
    #[error("asking the daemon: {0}")]
    Broken(#[from] hyper::Error),
    /// What it says is not understood.
    #[error("the daemon answers {status}: {text}. Is it another version of waxseal?")]
    Strange {
        /// The status.
        status: u16,
        /// The body, or what is wrong with it.
        text: String,
    },
}

/// Asks a running daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// An answer, or a no.
pub type Answer<T> = Result<Result<T, ErrorBody>, ClientError>;

impl Client {
    /// Asks on this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// All about the policy in service.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn status(&self) -> Answer<StatusResponse> {
        self.ask(Method::GET, api::POLICY, &()).await
    }

    /// Puts a policy in service.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn swap(&self, swap: &Swap) -> Answer<ActivationResponse> {
        self.ask(Method::POST, api::SWAP, swap).await
    }

    /// Goes back to an earlier version.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn roll_back(&self, rollback: &Rollback) -> Answer<ActivationResponse> {
        self.ask(Method::POST, api::ROLLBACK, rollback).await
    }

    /// Puts a candidate in shadow.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn shadow(&self, shadow: &api::StartShadowRequest) -> Answer<Comparison> {
        self.ask(Method::POST, api::SHADOW, shadow).await
    }

    /// Takes the candidate out of shadow.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn stop_shadow(&self) -> Answer<Comparison> {
        self.ask(Method::POST, api::SHADOW_STOP, &()).await
    }

    /// What the candidate decides otherwise.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn diff(&self) -> Answer<Comparison> {
        self.ask(Method::GET, api::DIFF, &()).await
    }

    /// Puts the candidate in service.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn promote(&self, promote: &Promote) -> Answer<ActivationResponse> {
        self.ask(Method::POST, api::PROMOTE, promote).await
    }

    async fn ask<T: DeserializeOwned>(
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
        let asking = async move {
            let response = sender.send_request(request(method, path, body)).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let (answered, _) = tokio::join!(asking, connection);
        let (status, body) = answered?;
        understood(status, &body)
    }

    fn not_connected(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(socket),
            _ => ClientError::NoDaemon { socket, error },
        }
    }
}

fn request(method: Method, path: &str, body: &impl Serialize) -> Request<Full<Bytes>> {
    // Our own types always have a form in JSON.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    // Paths are constants of ours; one that is none would ask for "/".
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

fn understood<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Answer<T> {
    let strange = |text: String| ClientError::Strange {
        status: status.as_u16(),
        text,
    };
    if status == StatusCode::OK {
        let answer = serde_json::from_slice(body);
        return answer.map(Ok).map_err(|error| strange(error.to_string()));
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(no) if status == StatusCode::CONFLICT => Ok(Err(no)),
        Ok(no) => Err(strange(no.error)),
        Err(_) => Err(strange(String::from_utf8_lossy(body).trim().to_owned())),
    }
}

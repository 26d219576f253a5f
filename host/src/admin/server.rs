//! The daemon's end of the control channel.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::net::UnixListener;

use super::api::{self, ActivationResponse, ErrorBody, StatusResponse, Swap};
use super::shadow;
use crate::milter::{BindError, SocketFile, UnixSocket, bind_unix};
use crate::rollout::{PolicyManager, Recordings, Refusal, ShadowController};

/// Nobody but the daemon's user, and root, may connect.
const MODE: u32 = 0o600;

/// What commands can reach. One field for each part of the daemon.
#[derive(Clone)]
pub struct Control {
    /// The policy in service.
    pub manager: Arc<PolicyManager>,
    /// The candidate in shadow.
    pub shadows: Arc<ShadowController>,
    /// The recording of what is decided.
    pub recordings: Arc<Recordings>,
}

/// Answers commands.
pub struct Server {
    listener: UnixListener,
    /// Takes the socket away when dropped.
    file: SocketFile,
}

pub(super) type Answer<T> = Result<Json<T>, (StatusCode, Json<ErrorBody>)>;

impl Server {
    /// Opens the socket. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or another daemon answers on it.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let socket = UnixSocket {
            path: path.to_owned(),
            mode: MODE,
            owner: None,
            group: None,
        };
        let (listener, file) = bind_unix("admin", &socket)?;
        Ok(Self { listener, file })
    }

    /// Answers for ever.
    pub async fn run(self, control: Control) {
        let router = axum::Router::new()
            .route(api::POLICY, get(status))
            .route(api::SWAP, post(swap))
            .route(api::ROLLBACK, post(rollback))
            .merge(shadow::routes())
            .with_state(control);
        let _file = self.file;
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!("the control channel is closed: {error}");
        }
    }
}

async fn status(State(control): State<Control>) -> Json<StatusResponse> {
    Json(StatusResponse {
        status: control.manager.status(Timestamp::now()),
        in_shadow: control.shadows.comparison().ok(),
        recording: control.recordings.standing(),
    })
}

async fn swap(
    State(control): State<Control>,
    Json(asked): Json<Swap>,
) -> Answer<ActivationResponse> {
    // A client that goes away must not leave a swap half done: the task ends by
    // itself.
    let manager = Arc::clone(&control.manager);
    let before = manager.versions().in_service().number();
    let swapping = tokio::spawn(async move {
        manager
            .swap(asked.file, asked.settings, Timestamp::now())
            .await
    });
    match swapping.await {
        Ok(Ok(version)) => {
            let same = version.number() == before;
            let same = same.then(|| "nothing changed: it was in service already".to_owned());
            Ok(Json(ActivationResponse {
                version: version.summary(),
                notes: same.into_iter().chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(refusal)) => Err(refused(refusal)),
        Err(error) => Err(internal_error(&error)),
    }
}

async fn rollback(
    State(control): State<Control>,
    Json(asked): Json<api::Rollback>,
) -> Answer<ActivationResponse> {
    let manager = Arc::clone(&control.manager);
    let going =
        tokio::spawn(async move { manager.roll_back(asked.version, Timestamp::now()).await });
    match going.await {
        Ok(Ok(back)) => {
            let skipped = back
                .skipped
                .iter()
                .map(|skipped| format!("passed over: {skipped}"));
            Ok(Json(ActivationResponse {
                version: back.version.summary(),
                notes: skipped.chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(error)) => Err(conflict(error.to_string(), Vec::new())),
        Err(error) => Err(internal_error(&error)),
    }
}

/// What the files have to do with it.
pub(super) fn notes(control: &Control) -> Vec<String> {
    let status = control.manager.status(Timestamp::now());
    let kept = status.kept.map(|_| {
        format!(
            "it stays in service, over restarts too, until {} or its settings or tables change",
            status.file.display()
        )
    });
    kept.into_iter().collect()
}

pub(super) fn refused(refusal: Refusal) -> (StatusCode, Json<ErrorBody>) {
    let error = format!("{} is refused", refusal.file.display());
    conflict(error, refusal.problems)
}

pub(super) fn conflict(error: String, problems: Vec<String>) -> (StatusCode, Json<ErrorBody>) {
    (StatusCode::CONFLICT, Json(ErrorBody { error, problems }))
}

/// A panic, which the log has told.
pub(super) fn internal_error(error: &tokio::task::JoinError) -> (StatusCode, Json<ErrorBody>) {
    let error = format!("the daemon failed: {error}");
    let problems = Vec::new();
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(ErrorBody { error, problems }),
    )
}

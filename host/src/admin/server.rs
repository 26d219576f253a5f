//! The daemon's end of the control channel.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::net::UnixListener;

use super::shadow;
use super::wire::{self, InService, No, Standing, Swap};
use crate::milter::{BindError, SocketFile, UnixSocket, bind_unix};
use crate::rollout::{Keeper, Recordings, Refusal, Shadows};

/// Nobody but the daemon's user, and root, may connect.
const MODE: u32 = 0o600;

/// What commands can reach. One field for each part of the daemon.
#[derive(Clone)]
pub struct Control {
    /// The policy in service.
    pub keeper: Arc<Keeper>,
    /// The candidate in shadow.
    pub shadows: Arc<Shadows>,
    /// The recording of what is decided.
    pub recordings: Arc<Recordings>,
}

/// Answers commands.
pub struct Server {
    listener: UnixListener,
    /// Takes the socket away when dropped.
    file: SocketFile,
}

pub(super) type Answer<T> = Result<Json<T>, (StatusCode, Json<No>)>;

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
            .route(wire::POLICY, get(status))
            .route(wire::SWAP, post(swap))
            .route(wire::ROLLBACK, post(rollback))
            .merge(shadow::routes())
            .with_state(control);
        let _file = self.file;
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!("the control channel is closed: {error}");
        }
    }
}

async fn status(State(control): State<Control>) -> Json<Standing> {
    Json(Standing {
        status: control.keeper.status(Timestamp::now()),
        in_shadow: control.shadows.comparison().ok(),
        recording: control.recordings.standing(),
    })
}

async fn swap(State(control): State<Control>, Json(asked): Json<Swap>) -> Answer<InService> {
    // A client that goes away must not leave a swap half done: the task ends by
    // itself.
    let keeper = Arc::clone(&control.keeper);
    let before = keeper.versions().in_service().number();
    let swapping = tokio::spawn(async move {
        keeper
            .swap(asked.file, asked.settings, Timestamp::now())
            .await
    });
    match swapping.await {
        Ok(Ok(version)) => {
            let same = version.number() == before;
            let same = same.then(|| "nothing changed: it was in service already".to_owned());
            Ok(Json(InService {
                version: version.record_now(),
                notes: same.into_iter().chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(refusal)) => Err(refused(refusal)),
        Err(error) => Err(broken(&error)),
    }
}

async fn rollback(
    State(control): State<Control>,
    Json(asked): Json<wire::Rollback>,
) -> Answer<InService> {
    let keeper = Arc::clone(&control.keeper);
    let going =
        tokio::spawn(async move { keeper.roll_back(asked.version, Timestamp::now()).await });
    match going.await {
        Ok(Ok(back)) => {
            let skipped = back
                .skipped
                .iter()
                .map(|skipped| format!("passed over: {skipped}"));
            Ok(Json(InService {
                version: back.version.record_now(),
                notes: skipped.chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(error)) => Err(no(error.to_string(), Vec::new())),
        Err(error) => Err(broken(&error)),
    }
}

/// What the files have to do with it.
pub(super) fn notes(control: &Control) -> Vec<String> {
    let status = control.keeper.status(Timestamp::now());
    let kept = status.kept.map(|_| {
        format!(
            "it stays in service, over restarts too, until {} or its settings or tables change",
            status.file.display()
        )
    });
    kept.into_iter().collect()
}

pub(super) fn refused(refusal: Refusal) -> (StatusCode, Json<No>) {
    let error = format!("{} is refused", refusal.file.display());
    no(error, refusal.problems)
}

pub(super) fn no(error: String, problems: Vec<String>) -> (StatusCode, Json<No>) {
    (StatusCode::CONFLICT, Json(No { error, problems }))
}

/// A panic, which the log has told.
pub(super) fn broken(error: &tokio::task::JoinError) -> (StatusCode, Json<No>) {
    let error = format!("the daemon failed: {error}");
    let problems = Vec::new();
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(No { error, problems }),
    )
}

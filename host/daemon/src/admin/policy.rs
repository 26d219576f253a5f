//! Handlers of requests about the active policy: status, swap, rollback.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::routing::{get, post};
use jiff::Timestamp;

use super::api::{self, ActivationResponse, StatusResponse};
use super::reply::{Reply, conflict, internal_error, notes, rejected};
use super::state::Control;

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route(api::POLICY, get(status))
        .route(api::SWAP, post(swap))
        .route(api::ROLLBACK, post(roll_back))
}

async fn status(State(control): State<Control>) -> Json<StatusResponse> {
    Json(StatusResponse {
        status: control.manager.status(Timestamp::now()),
        shadow: control.shadows.comparison().ok(),
        recording: control.recordings.status(),
    })
}

async fn swap(
    State(control): State<Control>,
    Json(request): Json<api::Swap>,
) -> Reply<ActivationResponse> {
    // The swap is a task of its own, so that it completes even if the client
    // disconnects.
    let manager = Arc::clone(&control.manager);
    let before = manager.versions().active().number();
    let swapping = tokio::spawn(async move {
        manager
            .swap(request.file, request.settings, Timestamp::now())
            .await
    });
    match swapping.await {
        Ok(Ok(version)) => {
            let unchanged = (version.number() == before)
                .then(|| "nothing changed: this policy was active already".to_owned());
            Ok(Json(ActivationResponse {
                version: version.summary(),
                notes: unchanged.into_iter().chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(rejection)) => Err(rejected(rejection)),
        Err(error) => Err(internal_error(&error)),
    }
}

async fn roll_back(
    State(control): State<Control>,
    Json(request): Json<api::Rollback>,
) -> Reply<ActivationResponse> {
    let manager = Arc::clone(&control.manager);
    let rolling_back =
        tokio::spawn(async move { manager.roll_back(request.version, Timestamp::now()).await });
    match rolling_back.await {
        Ok(Ok(back)) => {
            let skipped = back
                .skipped
                .iter()
                .map(|skipped| format!("skipped: {skipped}"));
            Ok(Json(ActivationResponse {
                version: back.version.summary(),
                notes: skipped.chain(notes(&control)).collect(),
            }))
        }
        Ok(Err(error)) => Err(conflict(error.to_string(), Vec::new())),
        Err(error) => Err(internal_error(&error)),
    }
}

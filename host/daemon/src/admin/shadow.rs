//! Handlers of requests about the shadow candidate: start, stop, compare,
//! promote.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::routing::{get, post};
use jiff::Timestamp;

use super::api::{self, ActivationResponse};
use super::reply::{ErrorReply, Reply, conflict, internal_error, notes, rejected};
use super::state::Control;
use waxseal::config::Share;
use waxseal::rollout::{Comparison, ShadowError};

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route(api::SHADOW, post(start))
        .route(api::SHADOW_STOP, post(stop))
        .route(api::DIFF, get(diff))
        .route(api::PROMOTE, post(promote))
}

async fn start(
    State(control): State<Control>,
    Json(request): Json<api::StartShadowRequest>,
) -> Reply<Comparison> {
    let share: Share = request.share.parse().map_err(|error| {
        conflict(
            format!("invalid share `{}`: {error}", request.share),
            Vec::new(),
        )
    })?;
    let shadows = Arc::clone(&control.shadows);
    // The start is a task of its own, so that it completes even if the client
    // disconnects.
    let starting = tokio::spawn(async move {
        shadows
            .begin(request.file, request.settings, share, Timestamp::now())
            .await
    });
    match starting.await {
        Ok(started) => started.map(Json).map_err(shadow_error),
        Err(error) => Err(internal_error(&error)),
    }
}

async fn stop(State(control): State<Control>) -> Reply<Comparison> {
    control.shadows.stop().await.map(Json).map_err(shadow_error)
}

async fn diff(State(control): State<Control>) -> Reply<Comparison> {
    control.shadows.comparison().map(Json).map_err(shadow_error)
}

async fn promote(
    State(control): State<Control>,
    Json(request): Json<api::Promote>,
) -> Reply<ActivationResponse> {
    let shadows = Arc::clone(&control.shadows);
    let promoting =
        tokio::spawn(async move { shadows.promote(request.force, Timestamp::now()).await });
    match promoting.await {
        Ok(Ok(version)) => Ok(Json(ActivationResponse {
            version: version.summary(),
            notes: notes(&control),
        })),
        Ok(Err(error)) => Err(shadow_error(error)),
        Err(error) => Err(internal_error(&error)),
    }
}

fn shadow_error(error: ShadowError) -> ErrorReply {
    match error {
        ShadowError::Refused(rejection) => rejected(rejection),
        error => conflict(error.to_string(), Vec::new()),
    }
}

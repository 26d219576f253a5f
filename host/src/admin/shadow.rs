//! Requests about the candidate in shadow.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;

use super::api::{self, ActivationResponse, ErrorBody};
use super::server::{Answer, Control, conflict, internal_error, notes, refused};
use crate::config::Share;
use crate::rollout::{Comparison, ShadowError};

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route(api::SHADOW, post(begin))
        .route(api::SHADOW_STOP, post(stop))
        .route(api::DIFF, get(diff))
        .route(api::PROMOTE, post(promote))
}

async fn begin(
    State(control): State<Control>,
    Json(asked): Json<api::StartShadowRequest>,
) -> Answer<Comparison> {
    let share: Share = asked
        .share
        .parse()
        .map_err(|error| conflict(format!("the share {}: {error}", asked.share), Vec::new()))?;
    let shadows = Arc::clone(&control.shadows);
    // A client that goes away must not leave it half done.
    let beginning = tokio::spawn(async move {
        shadows
            .begin(asked.file, asked.settings, share, Timestamp::now())
            .await
    });
    match beginning.await {
        Ok(begun) => begun.map(Json).map_err(answer_no),
        Err(error) => Err(internal_error(&error)),
    }
}

async fn stop(State(control): State<Control>) -> Answer<Comparison> {
    control.shadows.stop().await.map(Json).map_err(answer_no)
}

async fn diff(State(control): State<Control>) -> Answer<Comparison> {
    control.shadows.comparison().map(Json).map_err(answer_no)
}

async fn promote(
    State(control): State<Control>,
    Json(asked): Json<api::Promote>,
) -> Answer<ActivationResponse> {
    let shadows = Arc::clone(&control.shadows);
    let promoting =
        tokio::spawn(async move { shadows.promote(asked.force, Timestamp::now()).await });
    match promoting.await {
        Ok(Ok(version)) => Ok(Json(ActivationResponse {
            version: version.summary(),
            notes: notes(&control),
        })),
        Ok(Err(error)) => Err(answer_no(error)),
        Err(error) => Err(internal_error(&error)),
    }
}

fn answer_no(error: ShadowError) -> (StatusCode, Json<ErrorBody>) {
    match error {
        ShadowError::Refused(refusal) => refused(refusal),
        error => conflict(error.to_string(), Vec::new()),
    }
}

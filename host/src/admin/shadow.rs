//! Requests about the candidate in shadow.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;

use super::server::{Answer, Control, broken, no, notes, refused};
use super::wire::{self, InService, No};
use crate::config::Share;
use crate::rollout::{Comparison, ShadowError};

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route(wire::SHADOW, post(begin))
        .route(wire::SHADOW_STOP, post(stop))
        .route(wire::DIFF, get(diff))
        .route(wire::PROMOTE, post(promote))
}

async fn begin(
    State(control): State<Control>,
    Json(asked): Json<wire::Shadow>,
) -> Answer<Comparison> {
    let share: Share = asked
        .share
        .parse()
        .map_err(|error| no(format!("the share {}: {error}", asked.share), Vec::new()))?;
    let shadows = Arc::clone(&control.shadows);
    // A client that goes away must not leave it half done.
    let beginning = tokio::spawn(async move {
        shadows
            .begin(asked.file, asked.settings, share, Timestamp::now())
            .await
    });
    match beginning.await {
        Ok(begun) => begun.map(Json).map_err(answer_no),
        Err(error) => Err(broken(&error)),
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
    Json(asked): Json<wire::Promote>,
) -> Answer<InService> {
    let shadows = Arc::clone(&control.shadows);
    let promoting =
        tokio::spawn(async move { shadows.promote(asked.force, Timestamp::now()).await });
    match promoting.await {
        Ok(Ok(version)) => Ok(Json(InService {
            version: version.record_now(),
            notes: notes(&control),
        })),
        Ok(Err(error)) => Err(answer_no(error)),
        Err(error) => Err(broken(&error)),
    }
}

fn answer_no(error: ShadowError) -> (StatusCode, Json<No>) {
    match error {
        ShadowError::Refused(refusal) => refused(refusal),
        error => no(error.to_string(), Vec::new()),
    }
}

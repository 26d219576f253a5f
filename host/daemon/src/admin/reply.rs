//! Replies that several handlers send: errors and notes.

use axum::extract::Json;
use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::task::JoinError;

use super::api::ErrorBody;
use super::state::Control;
use waxseal::rollout::Rejection;

/// An error with its HTTP status.
pub(super) type ErrorReply = (StatusCode, Json<ErrorBody>);

/// The reply of a handler.
pub(super) type Reply<T> = Result<Json<T>, ErrorReply>;

/// Notes on how long the active policy stays active: set if it is not the one
/// that the configuration names.
pub(super) fn notes(control: &Control) -> Vec<String> {
    let status = control.manager.status(Timestamp::now());
    let pinned = status.pin.map(|_| {
        format!(
            "it stays active, also after a restart, until {} or its settings or tables change",
            status.file.display()
        )
    });
    pinned.into_iter().collect()
}

/// 409: a policy was rejected.
pub(super) fn rejected(rejection: Rejection) -> ErrorReply {
    let error = format!("the policy {} was rejected", rejection.file.display());
    conflict(error, rejection.problems)
}

/// 409: the request is valid but cannot be fulfilled in the current state.
pub(super) fn conflict(error: String, problems: Vec<String>) -> ErrorReply {
    (StatusCode::CONFLICT, Json(ErrorBody { error, problems }))
}

/// 500: the task that served the request panicked. The panic itself is in the
/// log.
pub(super) fn internal_error(error: &JoinError) -> ErrorReply {
    let error = format!("internal error of the daemon, see its log: {error}");
    let problems = Vec::new();
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(ErrorBody { error, problems }),
    )
}

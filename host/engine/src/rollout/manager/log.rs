//! Log lines of the policy manager.

use crate::config::{Problem, Severity};
use crate::rollout::admission::log_problems;
use crate::rollout::status::Rejection;
use crate::rollout::version::ActiveVersion;

/// Logs that a version was activated.
pub(super) fn log_activation(version: &ActiveVersion) {
    let policy = version.snapshot().policy_id();
    tracing::info!(
        version = version.number(),
        policy = policy.name,
        policy_version = policy.version,
        digest = policy.digest,
        "version activated: {}; messages in flight finish on their version",
        version.reason()
    );
}

/// Logs that a policy is active already.
pub(super) fn log_unchanged(before: &ActiveVersion, version: &ActiveVersion) {
    let (old, new) = (before.snapshot().host(), version.snapshot().host());
    if old.is_same(new) {
        tracing::info!(
            version = version.number(),
            "nothing changed: version {} of the policy stays active, with the same configuration \
             and keys",
            version.number()
        );
    } else {
        tracing::info!(
            version = version.number(),
            "configuration and keys reloaded; version {} of the policy stays active",
            version.number()
        );
    }
}

/// Logs a rejection. Warnings of a version that is not activated are omitted.
pub(super) fn log_rejection(
    rejection: &Rejection,
    mut problems: Vec<Problem>,
    active: &ActiveVersion,
) {
    problems.retain(|problem| problem.severity == Severity::Error);
    log_problems(&problems);
    tracing::error!(
        "policy {} rejected: {} problem(s). Version {} ({}) stays active",
        rejection.file.display(),
        rejection.problems.len(),
        active.number(),
        active.snapshot().policy_id(),
    );
}

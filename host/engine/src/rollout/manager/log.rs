//! Log lines of the policy manager.

use crate::config::{Problem, Severity};
use crate::rollout::admission::tell;
use crate::rollout::status::Refusal;
use crate::rollout::version::ActiveVersion;

/// Logs that a version was activated.
pub(super) fn log_activation(version: &ActiveVersion) {
    let policy = version.snapshot().policy_id();
    tracing::info!(
        version = version.number(),
        policy = policy.name,
        policy_version = policy.version,
        digest = policy.digest,
        "in service: {}; messages in flight finish as they began",
        version.why()
    );
}

/// Logs that a policy is active already.
pub(super) fn log_unchanged(before: &ActiveVersion, version: &ActiveVersion) {
    let (old, new) = (before.snapshot().host(), version.snapshot().host());
    if old.is_same(new) {
        tracing::info!(
            version = version.number(),
            "nothing changed: version {} of the policy stays in service, with the same \
             configuration and keys",
            version.number()
        );
    } else {
        tracing::info!(
            version = version.number(),
            "the configuration and keys that were read are in service; version {} of the policy \
             stays",
            version.number()
        );
    }
}

/// Logs a rejection. Warnings of a version that is not activated are omitted.
pub(super) fn log_rejection(refusal: &Refusal, mut problems: Vec<Problem>, active: &ActiveVersion) {
    problems.retain(|problem| problem.severity == Severity::Error);
    tell(&problems);
    tracing::error!(
        "the policy {} was not put in service: {} problem(s). Version {} ({}) stays",
        refusal.file.display(),
        refusal.problems.len(),
        active.number(),
        active.snapshot().policy_id(),
    );
}

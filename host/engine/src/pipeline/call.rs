//! The policy call of one message.

use std::sync::Arc;
use std::time::Instant;

use super::policy_result::{Cost, PolicyResult};
use super::snapshot::PolicySnapshot;
use crate::crypto::Key;
use waxseal_core::message::Message;
use waxseal_runtime::{Facts, LogLevel, LogLine, PolicyError, Seed};

/// Calls only the policy: nothing is charged or edited. The same facts give the same result.
pub async fn decide(
    snapshot: &PolicySnapshot,
    message: &Arc<Message>,
    facts: Arc<dyn Facts>,
) -> PolicyResult {
    let seed = seed(&snapshot.secrets().decisions, message);
    repeat(snapshot, message, facts, seed).await
}

/// As [`decide`], with the seed of an earlier call: the same policy then returns
/// the same decision, on another host as well.
pub async fn repeat(
    snapshot: &PolicySnapshot,
    message: &Arc<Message>,
    facts: Arc<dyn Facts>,
    seed: Seed,
) -> PolicyResult {
    let begun = Instant::now();
    let decided = snapshot
        .policy()
        .decide(Arc::clone(message), facts, seed)
        .await;
    PolicyResult {
        decision: decided.decision,
        log: decided.log,
        seed,
        cost: Cost {
            time: begun.elapsed(),
            instructions: decided.instructions,
            memory: decided.memory,
        },
    }
}

/// The random seed of a message, derived from a secret, so that senders cannot choose hash collisions, and from the message, so
/// that a decision can be repeated.
fn seed(secret: &Key, message: &Message) -> Seed {
    let arrival = message.arrival.as_nanosecond();
    Seed::new(secret.tag(format!("{} {arrival}", message.envelope.queue_id).as_bytes()))
}

/// Logs the lines of the policy, with the queue id. The text of a panic is omitted: the line about the failure contains it.
pub(super) fn log_lines(result: &PolicyResult, message: &Message, snapshot: &PolicySnapshot) {
    let queue_id = message.envelope.queue_id.as_str();
    let policy = snapshot.policy().description().name.as_str();
    let is_panic = |line: &&LogLine| match &result.decision {
        Err(PolicyError::Trapped(text)) => line.text == *text,
        _ => false,
    };
    for line in result.log.iter().filter(|line| !is_panic(line)) {
        let text = line.text.as_str();
        match line.level {
            LogLevel::Debug => tracing::debug!(queue_id, policy, "{text}"),
            LogLevel::Info => tracing::info!(queue_id, policy, "{text}"),
            LogLevel::Warn => tracing::warn!(queue_id, policy, "{text}"),
            LogLevel::Error => tracing::error!(queue_id, policy, "{text}"),
        }
    }
}

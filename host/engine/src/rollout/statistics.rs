//! Statistics of a version: counted for each message, for the status.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::failures::{Bounds, ConsecutiveFailures, Failed, Failures, Verdict};
use super::histogram::Histogram;
use crate::pipeline::{Failure, Outcome};
use waxseal_core::message::Message;

/// Counts of one version.
#[derive(Default)]
pub(super) struct Statistics {
    counts: Mutex<Counts>,
    hasher: RandomState,
}

#[derive(Default)]
struct Counts {
    messages: u64,
    returned: u64,
    unroutable: u64,
    errors: BTreeMap<String, u64>,
    failing: ConsecutiveFailures,
    /// Those that the previous version decides.
    failures: Failures,
    last_error: Option<LastError>,
    time: Histogram,
    instructions: Aggregate,
    memory: Aggregate,
}

/// Sum and maximum of some values.
#[derive(Default)]
struct Aggregate {
    sum: u128,
    maximum: u64,
}

/// Bytes at either end of a message that are hashed to identify it.
const HASHED_BYTES: usize = 64 << 10;

/// A message that the policy failed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    pub(super) failed: Failed,
    /// The number of different consecutive messages that it failed on, if this is a new one.
    pub(super) consecutive: Option<u64>,
}

/// Statistics of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionStats {
    /// Messages processed.
    pub messages: u64,
    /// Copies that returned through the split listener.
    #[serde(default)]
    pub returned: u64,
    /// Returned copies that were deferred for lack of a route.
    #[serde(default)]
    pub unroutable: u64,
    /// Messages without a decision, or whose decision could not be applied, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Different messages that the policy failed on since it last decided one. A message that is retried
    /// counts once.
    pub consecutive_errors: u64,
    /// Those of them that the previous version decides.
    #[serde(default)]
    pub consecutive_own_errors: u64,
    /// Different messages that the policy failed on and the previous version decides.
    #[serde(default)]
    pub own_errors: u64,
    /// Those of them among the recent messages.
    #[serde(default)]
    pub recent_own_errors: u64,
    /// Number of recent messages.
    #[serde(default)]
    pub recent_messages: u64,
    /// The last error.
    pub last_error: Option<LastError>,
    /// Decision time of the policy.
    pub decision_time: LatencySummary,
    /// Instructions of a decision.
    pub instructions: MeanMax,
    /// Bytes of linear memory of a decision.
    pub memory: MeanMax,
}

impl VersionStats {
    /// All errors.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// The last message without a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastError {
    /// Its queue id.
    pub queue_id: String,
    /// Time of arrival.
    pub at: Timestamp,
    /// Kind of the error.
    pub kind: String,
    /// The error.
    pub text: String,
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LatencySummary {
    /// The mean.
    pub mean_ns: u64,
    /// Median, with an error of up to a fifth.
    pub p50_ns: u64,
    /// 99th percentile, with an error of up to a fifth.
    pub p99_ns: u64,
    /// Maximum.
    pub maximum_ns: u64,
}

/// Mean and maximum of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MeanMax {
    /// The mean.
    pub mean: u64,
    /// Maximum.
    pub maximum: u64,
}

impl Statistics {
    /// Counts a message, and a decided one as recent if `sampled`. Returns a failure of the policy.
    pub(super) fn count(
        &self,
        message: &Message,
        outcome: &Outcome,
        sampled: bool,
    ) -> Option<Failing> {
        // A decision whose counters cannot be created is a failure of the policy, too.
        let failed = matches!(outcome.failure(), Some(Failure::Policy(_)));
        let hashes = failed.then(|| (self.content(message), self.sender(message)));
        let mut counts = self.counts();
        counts.messages += 1;
        if let Some(failure) = outcome.failure() {
            *counts.errors.entry(failure.kind().to_owned()).or_default() += 1;
            counts.last_error = Some(LastError {
                queue_id: message.envelope.queue_id.clone(),
                at: message.arrival,
                kind: failure.kind().to_owned(),
                text: failure.to_string(),
            });
        }
        let result = outcome.result.as_ref()?;
        counts.time.add(result.cost.time);
        counts.instructions.add(result.cost.instructions);
        counts.memory.add(result.cost.memory as u64);
        let Some((content, sender)) = hashes else {
            counts.failing.ended();
            counts.failures.decided(sampled);
            return None;
        };
        Some(Failing {
            failed: Failed {
                content,
                sender,
                after: counts.failures.number_decided(),
            },
            consecutive: counts.failing.another(content),
        })
    }

    /// Counts a copy that returned through the split listener.
    pub(super) fn count_returned(&self, outcome: &Outcome) {
        let mut counts = self.counts();
        counts.returned += 1;
        counts.unroutable += u64::from(outcome.failure().is_some());
    }

    /// Counts a message on which this version failed and which the previous version decides.
    pub(super) fn own_failure(&self, failed: Failed, bounds: &Bounds) -> Verdict {
        self.counts().failures.failed(failed, bounds)
    }

    /// Whether it decided more messages than it failed on by itself.
    pub(super) fn has_decided(&self) -> bool {
        let counts = self.counts();
        counts.failures.number_decided() > counts.failures.total()
    }

    /// A message that a client retries all night counts once.
    fn content(&self, message: &Message) -> u64 {
        let bytes = message.content.bytes();
        let begin = &bytes[..bytes.len().min(HASHED_BYTES)];
        let end = &bytes[bytes.len().saturating_sub(HASHED_BYTES)..];
        self.hasher.hash_one((bytes.len(), begin, end))
    }

    fn sender(&self, message: &Message) -> u64 {
        self.hasher.hash_one(sender(message))
    }

    pub(super) fn stats(&self) -> VersionStats {
        let counts = self.counts();
        VersionStats {
            messages: counts.messages,
            returned: counts.returned,
            unroutable: counts.unroutable,
            errors: counts.errors.clone(),
            consecutive_errors: counts.failing.number(),
            consecutive_own_errors: counts.failures.consecutive(),
            own_errors: counts.failures.total(),
            recent_own_errors: counts.failures.recent().0,
            recent_messages: counts.failures.recent().1,
            last_error: counts.last_error.clone(),
            decision_time: counts.time.times(),
            instructions: counts.instructions.mean_max(counts.messages),
            memory: counts.memory.mean_max(counts.messages),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sender of a message: the login, or the client's address without one. Of IPv6 only the first 64
/// bits, reason a single machine has all addresses of such a network.
pub(super) fn sender(message: &Message) -> impl Hash + use<> {
    let client = &message.envelope.client;
    match &client.user {
        Some(user) => (Some(user.to_lowercase()), None),
        None => (None, client.address.map(network)),
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}

impl Histogram {
    pub(super) fn times(&self) -> LatencySummary {
        LatencySummary {
            mean_ns: nanoseconds(self.mean()),
            p50_ns: nanoseconds(self.quantile(0.5)),
            p99_ns: nanoseconds(self.quantile(0.99)),
            maximum_ns: nanoseconds(self.maximum()),
        }
    }
}

impl Aggregate {
    fn add(&mut self, number: u64) {
        self.sum += u128::from(number);
        self.maximum = self.maximum.max(number);
    }

    fn mean_max(&self, count: u64) -> MeanMax {
        let mean = self.sum.checked_div(u128::from(count)).unwrap_or(0);
        MeanMax {
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            maximum: self.maximum,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

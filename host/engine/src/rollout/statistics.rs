//! What a version has done: counted for each message, told to administrators.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::failures::{Bounds, Failed, Failures, Row, Verdict};
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
    failing: Row,
    /// Those that the version before decides.
    failures: Failures,
    last_error: Option<LastError>,
    time: Histogram,
    instructions: Aggregate,
    memory: Aggregate,
}

/// Sum and greatest of some numbers.
#[derive(Default)]
struct Aggregate {
    sum: u128,
    maximum: u64,
}

/// Bytes at either end of a message that tell it from others.
const TELLING: usize = 64 << 10;

/// That the policy failed on a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    pub(super) failed: Failed,
    /// Different messages in a row that it has failed on, where this is another
    /// one.
    pub(super) in_a_row: Option<u64>,
}

/// What a version has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionStats {
    /// Messages processed.
    pub messages: u64,
    /// Copies that returned through the split listener.
    #[serde(default)]
    pub returned: u64,
    /// Those of them that were deferred for lack of a route.
    #[serde(default)]
    pub unroutable: u64,
    /// Those of them for which no decision could be taken or carried out, by
    /// kind.
    pub errors: BTreeMap<String, u64>,
    /// Different messages that the policy failed on since it last decided on
    /// one. The same message tried again counts once.
    pub errors_in_a_row: u64,
    /// Those of them that the version before decides.
    #[serde(default)]
    pub own_errors_in_a_row: u64,
    /// Different messages that the policy failed on and the version before
    /// decides.
    #[serde(default)]
    pub own_errors: u64,
    /// Those of them among the last messages.
    #[serde(default)]
    pub own_errors_recently: u64,
    /// How many messages these are.
    #[serde(default)]
    pub recently: u64,
    /// The last error.
    pub last_error: Option<LastError>,
    /// How long the policy took.
    pub decision_time: LatencySummary,
    /// Instructions executed by a decision.
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

/// The last message that could not be decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastError {
    /// The MTA's name for it.
    pub queue_id: String,
    /// When it came.
    pub at: Timestamp,
    /// One word for what happened.
    pub kind: String,
    /// What happened.
    pub text: String,
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LatencySummary {
    /// The mean.
    pub mean_ns: u64,
    /// Half took no longer, to a fifth.
    pub p50_ns: u64,
    /// Ninety-nine of a hundred took no longer, to a fifth.
    pub p99_ns: u64,
    /// The longest.
    pub maximum_ns: u64,
}

/// Mean and greatest of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MeanMax {
    /// The mean.
    pub mean: u64,
    /// The greatest.
    pub maximum: u64,
}

impl Statistics {
    /// Counts a message, and one that was decided on as recent if `sampled`.
    /// Gives what is to be known about one that the policy failed on.
    pub(super) fn count(
        &self,
        message: &Message,
        outcome: &Outcome,
        sampled: bool,
    ) -> Option<Failing> {
        // A decision whose counters cannot be made is the policy's failure, too.
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
        let ruling = outcome.result.as_ref()?;
        counts.time.add(ruling.cost.time);
        counts.instructions.add(ruling.cost.instructions);
        counts.memory.add(ruling.cost.memory as u64);
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
            in_a_row: counts.failing.another(content),
        })
    }

    /// Counts a copy that returned through the split listener.
    pub(super) fn count_returned(&self, outcome: &Outcome) {
        let mut counts = self.counts();
        counts.returned += 1;
        counts.unroutable += u64::from(outcome.failure().is_some());
    }

    /// The version before decides a message that this one failed on.
    pub(super) fn own_failure(&self, failed: Failed, bounds: &Bounds) -> Verdict {
        self.counts().failures.failed(failed, bounds)
    }

    /// Whether it has decided on more messages than it failed on by its own
    /// fault.
    pub(super) fn has_decided(&self) -> bool {
        let counts = self.counts();
        counts.failures.number_decided() > counts.failures.total()
    }

    /// A client that tries one message all night must not count as many.
    fn content(&self, message: &Message) -> u64 {
        let bytes = message.content.bytes();
        let begin = &bytes[..bytes.len().min(TELLING)];
        let end = &bytes[bytes.len().saturating_sub(TELLING)..];
        self.hasher.hash_one((bytes.len(), begin, end))
    }

    fn sender(&self, message: &Message) -> u64 {
        self.hasher.hash_one(sender(message))
    }

    pub(super) fn numbers(&self) -> VersionStats {
        let counts = self.counts();
        VersionStats {
            messages: counts.messages,
            returned: counts.returned,
            unroutable: counts.unroutable,
            errors: counts.errors.clone(),
            errors_in_a_row: counts.failing.number(),
            own_errors_in_a_row: counts.failures.in_a_row(),
            own_errors: counts.failures.total(),
            own_errors_recently: counts.failures.recent().0,
            recently: counts.failures.recent().1,
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

/// Who sent a message: the login, or the client's address where there is none. Of
/// IPv6 the first 64 bits: a single machine has all addresses of such a network.
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

//! decide → resolve → edit, in one place.
//!
//! Every front (the milter, `waxseal try`, embedding) calls
//! [`Pipeline::process`], so that a trial shows what production does. Deciding
//! and editing do no I/O; resolving asks the ledger, whose live form may wait
//! for its store. Within a job of a [`Pool`](crate::pool::Pool) each of them has
//! the job's deadline.
//!
//! A message is processed with one [`PolicySnapshot`] from beginning to end,
//! whatever is swapped meanwhile.

mod access;
mod apply;
mod checks;
mod direction;
mod facts;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod input_digests;
mod outcome;
mod resolve;
mod snapshot;
mod split;
mod tables;

use std::sync::Arc;
use std::time::Instant;

use crate::config::OnError;
use crate::crypto::Key;
use crate::crypto::verp::VerpError;
use crate::decision::{Decision, Reply, Verdict};
use crate::message::{Excess, Message, ReversePath};
use crate::pool::{self, DeadlineExceeded};
use crate::quota::{ChargeError, Day, Ledger, Receipt};
use crate::runtime::{Facts, LogLevel, LogLine, PolicyError, Seed};
use crate::work::Exhausted;

pub use access::{Reinjection, reinjected};
pub use apply::ApplyError;
pub use direction::{Direction, Passing};
pub use host::{DerivedKeys, HostSettings};
pub use input_digests::{InputDigests, digest_hex};
pub use outcome::{Cost, Failure, Outcome, PolicyId, PolicyResult};
pub use resolve::ResolveError;
pub use snapshot::{BuildReport, PolicyBundle, PolicySnapshot};
pub use split::{Returned, Unroutable};

use facts::LiveFacts;
use resolve::{ResolveInput, Resolved, ResolvedRoute};

/// Processes messages with a ledger of its own: live for the daemon, dry for
/// trials.
pub struct Pipeline {
    ledger: Arc<dyn Ledger>,
}

impl Pipeline {
    /// A pipeline that charges to `ledger`.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger }
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Decides on an outgoing message and works out what has to be done for
    /// the decision. Never fails: a failure of the policy costs the message what
    /// the administrator set (`policy.on-error`), any other failure a temporary
    /// refusal; [`Outcome::failure`] says why.
    pub async fn process(&self, snapshot: &Arc<PolicySnapshot>, message: Arc<Message>) -> Outcome {
        let facts = self.facts(snapshot, &message);
        self.process_with(snapshot, message, Arc::new(facts)).await
    }

    /// What the host knows about this message: for asking it beforehand, or
    /// for recording what was asked.
    pub fn facts(
        &self,
        snapshot: &Arc<PolicySnapshot>,
        message: &Message,
    ) -> impl Facts + use<> + 'static {
        LiveFacts::new(
            Arc::clone(snapshot),
            Arc::clone(&self.ledger),
            day(snapshot, message),
            message.arrival,
        )
    }

    /// As [`Pipeline::process`], with facts of the caller's: recorded ones,
    /// given ones, or the live ones with somebody listening.
    pub async fn process_with(
        &self,
        snapshot: &Arc<PolicySnapshot>,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
    ) -> Outcome {
        match measure(snapshot, &message).await {
            Ok(Ok(())) => {}
            Ok(Err(excess)) => return too_much(snapshot, &message, excess),
            Err(stopped) => return failed(snapshot, &message, stopped.into()),
        }
        let deciding = decide(snapshot, &message, Arc::clone(&facts));
        let ruling = match pool::in_time("deciding", deciding).await {
            Ok(ruling) => ruling,
            Err(stopped) => return failed(snapshot, &message, stopped.into()),
        };
        tell(&ruling, &message, snapshot);
        let mut outcome = self
            .apply_decision(snapshot, &message, &*facts, &ruling.decision)
            .await;
        outcome.ruling = Some(ruling);
        outcome
    }

    async fn apply_decision(
        &self,
        snapshot: &Arc<PolicySnapshot>,
        message: &Arc<Message>,
        facts: &dyn Facts,
        decision: &Result<Decision, PolicyError>,
    ) -> Outcome {
        let decision = match decision {
            Ok(decision) => decision.clone(),
            Err(error) => return failed(snapshot, message, Failure::Policy(error.clone())),
        };
        if !matches!(decision.verdict, Verdict::Accept | Verdict::Hold(_)) {
            return Outcome::refused(snapshot, message, decision);
        }
        let day = day(snapshot, message);
        let input = ResolveInput {
            snapshot,
            message,
            decision: &decision,
            facts,
        };
        let resolving = resolve::resolve(&input, &day, &*self.ledger);
        let mut resolved = match pool::in_time("charging", resolving).await {
            Ok(Ok(Resolved::Allowed(resolved))) => resolved,
            Ok(Ok(Resolved::QuotaExceeded { verdict, reason })) => {
                let mut decision = Decision {
                    verdict,
                    ..decision
                };
                decision.reasons.push(reason);
                return Outcome::refused(snapshot, message, decision);
            }
            Ok(Err(ResolveError::Ledger(ChargeError::TooManyCounters { counter, limit }))) => {
                let error = PolicyError::TooManyCounters { counter, limit };
                return failed(snapshot, message, Failure::Policy(error));
            }
            Ok(Err(error)) => return failed(snapshot, message, Failure::Resolve(error)),
            Err(stopped) => return failed(snapshot, message, stopped.into()),
        };
        let mut charged = Charged {
            ledger: &*self.ledger,
            receipt: resolved.receipt.take(),
        };
        let input = (
            Arc::clone(snapshot),
            Arc::clone(message),
            decision,
            resolved,
        );
        let edit = |(snapshot, message, decision, resolved): &Input| {
            apply::apply(snapshot, message, decision, resolved)
        };
        let ((_, _, decision, mut resolved), done) =
            pool::compute("editing and signing", input, edit).await;
        match done {
            Ok(Ok(applied)) => {
                resolved.receipt = charged.receipt.take();
                Outcome::done(snapshot, decision, resolved, applied)
            }
            Ok(Err(error)) => failed(snapshot, message, Failure::Apply(error)),
            Err(stopped) => failed(snapshot, message, stopped.into()),
        }
    }
}

/// What a message is edited and signed with.
type Input = (Arc<PolicySnapshot>, Arc<Message>, Decision, ResolvedRoute);

/// What a message was charged. Given back when the message is not let through,
/// also when it is given up half way.
struct Charged<'a> {
    ledger: &'a dyn Ledger,
    receipt: Option<Receipt>,
}

impl Drop for Charged<'_> {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            self.ledger.refund(receipt);
        }
    }
}

/// Whether the message has more of anything than `[limits]` allows.
async fn measure(
    snapshot: &Arc<PolicySnapshot>,
    message: &Arc<Message>,
) -> Result<Result<(), Excess>, Exhausted> {
    let limits = snapshot.config().limits.message;
    let check = move |message: &Arc<Message>| {
        limits.check(&message.content, message.envelope.recipients.len())
    };
    let (_, measured) = pool::compute("mapping the message", Arc::clone(message), check).await;
    measured
}

fn too_much(snapshot: &Arc<PolicySnapshot>, message: &Message, excess: Excess) -> Outcome {
    let queue_id = message.envelope.queue_id.as_str();
    let listener = message.envelope.listener.as_str();
    tracing::warn!(queue_id, listener, "refused: {excess}");
    Outcome::not_processed(snapshot, message, excess)
}

/// Asks the policy alone: nothing is charged, nothing is changed. The same
/// facts give the same ruling.
pub async fn decide(
    snapshot: &PolicySnapshot,
    message: &Arc<Message>,
    facts: Arc<dyn Facts>,
) -> PolicyResult {
    let seed = seed(&snapshot.secrets().decisions, message);
    repeat(snapshot, message, facts, seed).await
}

/// As [`decide`], with the seed of a decision that was taken before: the same
/// policy then says the same, on another host as well.
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

/// The envelope sender with which a message that was decided on leaves by this
/// relay, or by the default route: that of every hop, not of the one that was
/// taken alone.
///
/// # Errors
///
/// When no return path of ours can be made for it.
pub fn return_path_by(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    relay: Option<&str>,
) -> Result<ReversePath, VerpError> {
    resolve::return_path_by(snapshot, message, decision, relay)
}

fn day(snapshot: &PolicySnapshot, message: &Message) -> Day {
    Day::of(message.arrival, &snapshot.config().time_zone)
}

/// The message's random seed: from a secret, so that no sender can choose hash
/// collisions; and from the message alone, so that a decision can be repeated.
fn seed(secret: &Key, message: &Message) -> Seed {
    let arrival = message.arrival.as_nanosecond();
    Seed::new(secret.tag(format!("{} {arrival}", message.envelope.queue_id).as_bytes()))
}

/// The policy's own log, with the queue id. The text of a panic is left out: the
/// line about the failure has it.
fn tell(ruling: &PolicyResult, message: &Message, snapshot: &PolicySnapshot) {
    let queue_id = message.envelope.queue_id.as_str();
    let policy = snapshot.policy().description().name.as_str();
    let told = |line: &&LogLine| match &ruling.decision {
        Err(PolicyError::Trapped(text)) => line.text == *text,
        _ => false,
    };
    for line in ruling.log.iter().filter(|line| !told(line)) {
        let text = line.text.as_str();
        match line.level {
            LogLevel::Debug => tracing::debug!(queue_id, policy, "{text}"),
            LogLevel::Info => tracing::info!(queue_id, policy, "{text}"),
            LogLevel::Warn => tracing::warn!(queue_id, policy, "{text}"),
            LogLevel::Error => tracing::error!(queue_id, policy, "{text}"),
        }
    }
}

/// The result for a message that was given up at the deadline of its job.
pub(crate) fn late(
    snapshot: &Arc<PolicySnapshot>,
    message: &Message,
    late: DeadlineExceeded,
) -> Outcome {
    failed(snapshot, message, late.into())
}

/// What becomes of a message that could not be processed.
///
/// `policy.on-error` is about failures of the policy alone. Whatever else fails
/// (a store that is full or locked, a missing key, a signature, a deadline)
/// defers the message: it never passes unsigned or uncounted, and is never lost.
fn failed(snapshot: &Arc<PolicySnapshot>, message: &Message, failure: Failure) -> Outcome {
    let queue_id = message.envelope.queue_id.as_str();
    let listener = message.envelope.listener.as_str();
    let on_error = match failure {
        Failure::Policy(_) => snapshot.config().policy.on_error,
        _ => OnError::Defer,
    };
    let verdict = match (failure.is_of_message(), on_error) {
        // The message itself cannot be sent as it must be; trying again will
        // not mend it.
        (true, _) => Verdict::Reject(Reply {
            code: 554,
            enhanced: "5.6.0".to_owned(),
            text: format!("this message cannot be sent: {failure}"),
        }),
        (false, OnError::Accept) => Verdict::Accept,
        (false, OnError::Defer) => Verdict::Defer(Reply {
            code: 451,
            enhanced: "4.7.1".to_owned(),
            text: "Service unavailable - try again later".to_owned(),
        }),
        (false, OnError::Reject) => Verdict::Reject(Reply {
            code: 554,
            enhanced: "5.7.1".to_owned(),
            text: "this message was refused by a local policy that failed".to_owned(),
        }),
    };
    let kind = failure.kind();
    // Whoever gave the message up has said so.
    if !matches!(failure, Failure::Canceled(_)) {
        tracing::error!(
            queue_id,
            listener,
            kind,
            "no decision could be applied out: {failure}"
        );
    }
    Outcome::failed(snapshot, message, verdict, failure)
}

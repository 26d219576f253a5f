//! What came of processing a message.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::apply::{AppliedEdits, ApplyError};
use super::resolve::{ResolveError, ResolvedRoute};
use super::snapshot::PolicySnapshot;
use crate::config::RelayName;
use crate::decision::{Charge, Decision, HeaderField, Verdict};
use crate::dkim::Signed;
use crate::edit::{DisclaimerReport, Edits, TransientHeader};
use crate::message::{Address, Excess, Message, ReversePath};
use crate::pool::DeadlineExceeded;
use crate::quota::Receipt;
use crate::runtime::{LogLine, PolicyError, Seed};
use crate::work::{Cause, Exhausted};

/// Which policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest.get(..12).unwrap_or(&self.digest);
        write!(f, "{} {}, sha256 {digest}…", self.name, self.version)
    }
}

/// What the policy alone said, before anything was looked up, charged or
/// edited.
#[derive(Clone, Debug)]
pub struct PolicyResult {
    /// Its decision, or why there is none.
    pub decision: Result<Decision, PolicyError>,
    /// What it wrote to its log.
    pub log: Vec<LogLine>,
    /// Seed of its randomness: with it, the decision can be repeated.
    pub seed: Seed,
    /// What it took.
    pub cost: Cost,
}

/// What a decision took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Wall clock, waiting for a turn included.
    pub time: Duration,
    /// Instructions executed (fuel).
    pub instructions: u64,
    /// Bytes of linear memory at the end.
    pub memory: usize,
}

/// Why a decision could not be taken or applied.
#[derive(Debug, Error)]
pub enum Failure {
    /// The policy failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The ledger failed.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The edits could not be made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Time ran out.
    #[error("not done in time (limits.processing-time): {0}")]
    Stopped(Exhausted),
    /// Nobody waited for it any more.
    #[error("given up by the MTA: {0}")]
    Canceled(Exhausted),
    /// The same, where the processing did not stop by itself.
    #[error("not done in time (limits.processing-time): {0}")]
    DeadlineExceeded(#[from] DeadlineExceeded),
}

impl From<Exhausted> for Failure {
    fn from(stopped: Exhausted) -> Self {
        match stopped.cause {
            Cause::Canceled => Self::Canceled(stopped),
            Cause::Deadline | Cause::Steps => Self::Stopped(stopped),
        }
    }
}

impl Failure {
    /// One word for counts and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Policy(error) => error.kind(),
            Self::Resolve(_) => "ledger",
            Self::Apply(error) => error.kind(),
            Self::Canceled(_) => "canceled",
            Self::Stopped(_) | Self::DeadlineExceeded(_) => "processing-time",
        }
    }

    /// Whether it lies in the message, so that no later try can succeed.
    pub fn is_of_message(&self) -> bool {
        matches!(self, Self::Apply(error) if error.is_of_message())
    }
}

/// What is to be done with a message, and why.
#[derive(Debug)]
pub struct Outcome {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The relay it goes by; none is the default route.
    pub relay: Option<RelayName>,
    /// Relays that come next, in order, before the default route.
    pub fallbacks: Vec<RelayName>,
    /// The envelope sender it leaves with.
    pub return_path: ReversePath,
    /// `From` as it will be sent, decoded.
    pub author: Option<String>,
    /// Signatures made.
    pub signatures: Vec<Signed>,
    /// What became of each disclaimer.
    pub disclaimers: Vec<DisclaimerReport>,
    /// Addresses that get a copy.
    pub copies: Vec<Address>,
    /// What was charged.
    pub charges: Vec<Charge>,
    /// Names and values for logs.
    pub labels: Vec<HeaderField>,
    /// Why, for people: the policy's reasons and then the host's.
    pub reasons: Vec<String>,
    /// Who decided.
    pub policy: PolicyId,
    /// What is changed on the message.
    pub edits: Edits,
    /// What the MTA is told.
    pub transient_headers: Vec<TransientHeader>,
    /// For giving back what was charged.
    pub receipt: Option<Receipt>,
    /// Why there is no decision.
    pub failure: Option<Failure>,
    /// What the policy alone said; none for a message that no policy decided on.
    pub ruling: Option<PolicyResult>,
}

impl Outcome {
    fn bare(snapshot: &Arc<PolicySnapshot>, verdict: Verdict, return_path: ReversePath) -> Self {
        Self {
            verdict,
            relay: None,
            fallbacks: Vec::new(),
            return_path,
            author: None,
            signatures: Vec::new(),
            disclaimers: Vec::new(),
            copies: Vec::new(),
            charges: Vec::new(),
            labels: Vec::new(),
            reasons: Vec::new(),
            policy: snapshot.policy_id(),
            edits: Edits::default(),
            transient_headers: Vec::new(),
            receipt: None,
            failure: None,
            ruling: None,
        }
    }

    pub(super) fn failed(
        snapshot: &Arc<PolicySnapshot>,
        message: &Message,
        verdict: Verdict,
        failure: Failure,
    ) -> Self {
        Self {
            author: author(message),
            reasons: vec![failure.to_string()],
            failure: Some(failure),
            ..Self::bare(snapshot, verdict, message.envelope.sender.clone())
        }
    }

    /// The message is not taken, whatever a policy would say.
    pub(super) fn not_processed(
        snapshot: &Arc<PolicySnapshot>,
        message: &Message,
        excess: Excess,
    ) -> Self {
        Self {
            reasons: vec![excess.to_string()],
            ..Self::bare(snapshot, excess.into(), message.envelope.sender.clone())
        }
    }

    /// The policy, or a full counter, does not let the message go.
    pub(super) fn refused(
        snapshot: &Arc<PolicySnapshot>,
        message: &Message,
        decision: Decision,
    ) -> Self {
        Self {
            author: author(message),
            labels: decision.labels,
            reasons: decision.reasons,
            ..Self::bare(snapshot, decision.verdict, message.envelope.sender.clone())
        }
    }

    pub(super) fn done(
        snapshot: &Arc<PolicySnapshot>,
        decision: Decision,
        resolved: ResolvedRoute,
        applied: AppliedEdits,
    ) -> Self {
        let mut reasons = decision.reasons;
        reasons.extend(resolved.reasons);
        reasons.extend(applied.reasons);
        Self {
            relay: resolved.relay,
            fallbacks: resolved.fallbacks,
            author: applied.author,
            signatures: applied.signatures,
            disclaimers: applied.disclaimers,
            copies: applied.edits.add_recipients.clone(),
            charges: resolved.charges,
            labels: decision.labels,
            reasons,
            edits: applied.edits,
            transient_headers: applied.transient_headers,
            receipt: resolved.receipt,
            ..Self::bare(snapshot, decision.verdict, resolved.return_path)
        }
    }
}

fn author(message: &Message) -> Option<String> {
    message.content.header("From").into_iter().next()
}

//! The pipeline: policy call, resolution and edits of one message.

use std::fmt;
use std::sync::Arc;

use super::apply;
use super::assemble::{delivered, failed, over_limit, rejected, with_result};
use super::call::{decide, log_lines};
use super::context::MessageContext;
use super::facts::LiveFacts;
use super::failure::Failure;
use super::outcome::Outcome;
use super::resolve::{self, ResolveError, ResolveInput, Resolved, ResolvedRoute};
use crate::quota::{ChargeError, Ledger};
use waxseal_core::decision::{Decision, Verdict};
use waxseal_core::message::Excess;
use waxseal_core::work::Exhausted;
use waxseal_runtime::{Facts, PolicyError};
use waxseal_system::pool;

/// Processes messages and charges them to a ledger.
#[derive(Clone)]
pub(crate) struct Pipeline {
    ledger: Arc<dyn Ledger>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

/// Input of editing and signing.
type Input = (MessageContext, Decision, ResolvedRoute);

impl Pipeline {
    /// A pipeline that charges to `ledger`.
    pub(crate) fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger }
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The host's facts about this message.
    pub(crate) fn facts(&self, context: &MessageContext) -> impl Facts + use<> + 'static {
        LiveFacts::new(context.clone(), Arc::clone(&self.ledger))
    }

    /// Processes an outgoing message. Never fails: a failure of the policy is
    /// answered by `policy.on-error`, any other failure defers or rejects the
    /// message; [`Outcome::failure`] returns the reason.
    ///
    /// `facts` are used by policy and resolution: those of [`facts`](Self::facts), recorded ones, or static ones.
    pub(crate) async fn process(&self, context: &MessageContext, facts: Arc<dyn Facts>) -> Outcome {
        let MessageContext {
            snapshot, message, ..
        } = context;
        match measure(context).await {
            Ok(Ok(())) => {}
            Ok(Err(excess)) => return over_limit(snapshot, excess),
            Err(stopped) => return failed(snapshot, message, stopped.into()),
        }
        let deciding = decide(snapshot, message, Arc::clone(&facts));
        let result = match pool::in_time("deciding", deciding).await {
            Ok(result) => result,
            Err(stopped) => return failed(snapshot, message, stopped.into()),
        };
        log_lines(&result, message, snapshot);
        let outcome = match &result.decision {
            Ok(decision) => {
                self.apply_decision(context, &*facts, decision.clone())
                    .await
            }
            Err(error) => failed(snapshot, message, Failure::Policy(error.clone())),
        };
        with_result(outcome, result)
    }

    async fn apply_decision(
        &self,
        context: &MessageContext,
        facts: &dyn Facts,
        decision: Decision,
    ) -> Outcome {
        let MessageContext {
            snapshot,
            message,
            day,
        } = context;
        if !matches!(decision.verdict, Verdict::Accept | Verdict::Hold(_)) {
            let verdict = decision.verdict.clone();
            return rejected(snapshot, message, decision, verdict);
        }
        let input = ResolveInput {
            snapshot,
            message,
            decision: &decision,
            facts,
        };
        let resolving = resolve::resolve(&input, day, &self.ledger);
        let (route, charge) = match pool::in_time("charging", resolving).await {
            Ok(Ok(Resolved::Allowed(route, charge))) => (route, charge),
            Ok(Ok(Resolved::QuotaExceeded { verdict, reason })) => {
                let mut decision = decision;
                decision.reasons.push(reason);
                return rejected(snapshot, message, decision, verdict);
            }
            Ok(Err(ResolveError::Ledger(ChargeError::TooManyCounters { counter, limit }))) => {
                let error = PolicyError::TooManyCounters { counter, limit };
                return failed(snapshot, message, Failure::Policy(error));
            }
            Ok(Err(error)) => return failed(snapshot, message, Failure::Resolve(error)),
            Err(stopped) => return failed(snapshot, message, stopped.into()),
        };
        let input = (context.clone(), decision, route);
        let edit = |(context, decision, route): &Input| {
            apply::apply(&context.snapshot, &context.message, decision, route)
        };
        let ((_, decision, route), done) = pool::compute("editing and signing", input, edit).await;
        match done {
            Ok(Ok(applied)) => delivered(snapshot, decision, route, applied, charge),
            Ok(Err(error)) => failed(snapshot, message, Failure::Apply(error)),
            Err(stopped) => failed(snapshot, message, stopped.into()),
        }
    }
}

/// Checks the message against `[limits]`.
async fn measure(context: &MessageContext) -> Result<Result<(), Excess>, Exhausted> {
    let limits = context.snapshot.config().limits.message;
    let message = Arc::clone(&context.message);
    let check = move |message: &Arc<waxseal_core::message::Message>| {
        limits.check(&message.content, message.envelope.recipients.len())
    };
    let (_, measured) = pool::compute("mapping the message", message, check).await;
    measured
}

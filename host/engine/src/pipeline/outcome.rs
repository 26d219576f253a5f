//! Outcome of processing a message.

use super::charge_guard::ChargeGuard;
use super::failure::Failure;
use super::policy_id::PolicyId;
use super::policy_result::PolicyResult;
use crate::config::RelayName;
use crate::dkim::Signed;
use waxseal_core::decision::{Charge, HeaderField, Verdict};
use waxseal_core::edit::{DisclaimerReport, Edits, TransientHeader};
use waxseal_core::message::{Address, ReversePath};

/// What is to be done with a message, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What is to be done.
    pub disposition: Disposition,
    /// Result of the policy call; `None` for a message that was rejected or canceled before the call.
    pub result: Option<PolicyResult>,
    /// `From`, decoded: as it will be sent, or as it was received if the message
    /// is not delivered.
    pub author: Option<String>,
    /// The policy's labels, for logs.
    pub labels: Vec<HeaderField>,
    /// Reasons for the disposition, in order: the policy's, then the host's.
    pub reasons: Vec<String>,
    /// The active policy.
    pub policy: PolicyId,
}

/// What is to be done with a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Disposition {
    /// Deliver it, or hold it for delivery.
    Deliver(Box<Delivery>),
    /// Do not deliver it.
    Refuse {
        /// Reject, defer or discard.
        verdict: Verdict,
    },
    /// It could not be processed.
    Failed {
        /// Why.
        failure: Failure,
        /// What the MTA is to do: accept it unchanged (`policy.on-error`), defer
        /// or reject it.
        verdict: Verdict,
    },
}

/// How a message is to be delivered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Why the MTA is to hold the message, if it is.
    pub hold: Option<String>,
    /// The relay to use; `None` is the default route.
    pub relay: Option<RelayName>,
    /// Relays to try next, in order, before the default route.
    pub fallbacks: Vec<RelayName>,
    /// The new envelope sender.
    pub return_path: ReversePath,
    /// DKIM signatures that `edits` adds.
    pub signatures: Vec<Signed>,
    /// Report about each disclaimer.
    pub disclaimers: Vec<DisclaimerReport>,
    /// Counters that were charged.
    pub charges: Vec<Charge>,
    /// Changes to header, body and envelope.
    pub edits: Edits,
    /// Header fields for the MTA, which removes them.
    pub transient_headers: Vec<TransientHeader>,
    /// The charge: to be confirmed once the message was accepted.
    pub charge: ChargeGuard,
}

impl Delivery {
    /// The relays to try, in order, before the default route.
    pub fn relays(&self) -> impl Iterator<Item = &RelayName> {
        self.relay.iter().chain(&self.fallbacks)
    }

    /// Addresses that receive a copy.
    pub fn copies(&self) -> &[Address] {
        &self.edits.add_recipients
    }
}

impl Outcome {
    /// What the MTA is to do.
    pub fn verdict(&self) -> Verdict {
        match &self.disposition {
            Disposition::Deliver(delivery) => match &delivery.hold {
                Some(why) => Verdict::Hold(why.clone()),
                None => Verdict::Accept,
            },
            Disposition::Refuse { verdict } | Disposition::Failed { verdict, .. } => {
                verdict.clone()
            }
        }
    }

    /// How the message is to be delivered, if it is.
    pub fn delivery(&self) -> Option<&Delivery> {
        match &self.disposition {
            Disposition::Deliver(delivery) => Some(delivery),
            _ => None,
        }
    }

    /// Why the message could not be processed, if it could not.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.disposition {
            Disposition::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }
}

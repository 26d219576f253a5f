//! The content of a plan.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PlanNonce;
use waxseal_core::decision::HeaderField;
use waxseal_core::message::{Address, ReversePath};

/// What was decided about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Names the message.
    pub nonce: PlanNonce,
    /// Queue id at the time of the decision, for logs and return paths.
    pub queue_id: String,
    /// When the message arrived.
    pub arrival: Timestamp,
    /// The original envelope sender.
    pub sender: ReversePath,
    /// Routes. The first one that a recipient matches applies.
    pub routes: Vec<PlannedRoute>,
    /// Parameters of MAIL for delivery reports (RFC 3461), where the MTA does not
    /// pass them on.
    pub dsn: Dsn,
    /// Labels of the decision, for log and metrics.
    pub labels: Vec<HeaderField>,
    /// The policy version that decided.
    pub policy_version: String,
}

/// The route of some recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRoute {
    /// Whose route it is; empty for all recipients.
    pub recipients: Vec<RecipientPattern>,
    /// Relays, in order.
    pub hops: Vec<PlannedHop>,
    /// Envelope sender on the default route, which follows the last relay.
    pub default_return_path: ReversePath,
}

/// One relay of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHop {
    /// Name of the relay.
    pub relay: String,
    /// Envelope sender if this relay is used.
    pub return_path: ReversePath,
}

/// A recipient, or all recipients of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientPattern {
    /// This address.
    Address(Address),
    /// All addresses of this domain, without its subdomains.
    Domain(String),
}

/// Parameters of MAIL for delivery reports (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dsn {
    /// RET: how much of the message is returned.
    pub ret: Option<DsnReturn>,
    /// ENVID, as on the wire (xtext).
    pub envid: Option<String>,
}

/// How much of a message a report returns (RFC 3461, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DsnReturn {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

impl Plan {
    /// The route of a recipient; `None` is the default route.
    pub fn route_of(&self, recipient: &Address) -> Option<&PlannedRoute> {
        self.routes.iter().find(|route| route.is_for(recipient))
    }
}

impl PlannedRoute {
    fn is_for(&self, recipient: &Address) -> bool {
        let matches = |pattern: &RecipientPattern| match pattern {
            RecipientPattern::Address(address) => {
                address.as_str().eq_ignore_ascii_case(recipient.as_str())
            }
            RecipientPattern::Domain(domain) => recipient
                .domain()
                .is_some_and(|other| other.eq_ignore_ascii_case(domain)),
        };
        self.recipients.is_empty() || self.recipients.iter().any(matches)
    }
}

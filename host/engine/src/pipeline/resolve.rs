//! Resolution of a decision: the first relay below its limit, the charges, the return path.

use std::sync::Arc;

use thiserror::Error;

use super::charge_guard::ChargeGuard;
use super::snapshot::PolicySnapshot;
use crate::config::{Relay, RelayName};
use crate::crypto::verp::{self, VerpError};
use crate::quota::{self, ChargeError, ChargeRequest, Day, Ledger, Receipt, relay_counter};
use waxseal_core::decision::{
    Charge, Decision, Hop, Reply, ReturnPathChoice, Unit, Verdict, WhenFull,
};
use waxseal_core::message::{Address, Message, ReversePath};
use waxseal_runtime::Facts;

/// Why a decision could not be resolved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The message could not be charged.
    #[error(transparent)]
    Ledger(ChargeError),
    /// The return path is invalid.
    #[error("invalid return path: {0}")]
    ReturnPath(#[from] VerpError),
}

/// Result of resolving a decision.
pub(super) enum Resolved {
    /// The message was charged.
    Allowed(ResolvedRoute, ChargeGuard),
    /// A limit is reached, and no other relay avoids it.
    QuotaExceeded { verdict: Verdict, reason: String },
}

/// A decision with its names looked up and its counters charged.
pub(super) struct ResolvedRoute {
    pub(super) relay: Option<RelayName>,
    pub(super) fallbacks: Vec<RelayName>,
    pub(super) scope: RecipientScope,
    pub(super) return_path: ReversePath,
    /// Copies that are not recipients already.
    pub(super) copies: Vec<Address>,
    pub(super) charges: Vec<Charge>,
    pub(super) reasons: Vec<String>,
}

/// Location of the recipients, including copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecipientScope {
    Local,
    External,
    Mixed,
}

/// A decision, and what it is resolved with.
#[derive(Clone, Copy)]
pub(super) struct ResolveInput<'a> {
    pub(super) snapshot: &'a PolicySnapshot,
    pub(super) message: &'a Message,
    pub(super) decision: &'a Decision,
    /// The facts of the policy call, so that both see the same relay states.
    pub(super) facts: &'a dyn Facts,
}

/// Resolves a decision: charges the first relay of its route that is below its limit, or the default route.
pub(super) async fn resolve(
    input: &ResolveInput<'_>,
    day: &Day,
    ledger: &Arc<dyn Ledger>,
) -> Result<Resolved, ResolveError> {
    let copies = new_copies(input.message, input.decision);
    let scope = scope(input.snapshot, input.message, &copies);
    let mut reasons = Vec::new();
    let mut hops = usable(input, scope, &mut reasons).into_iter();
    while let Some((hop, relay)) = hops.next() {
        let charges = charges(input, Some(relay), scope);
        let charged = ledger
            .charge(day, &charge_requests(&charges, input.message))
            .await;
        if let Err(ChargeError::Full {
            counter, maximum, ..
        }) = &charged
            && *counter == relay_counter(relay.name.as_str())
        {
            let name = &relay.name;
            reasons.push(format!(
                "relay {name} has reached its daily limit of {maximum}"
            ));
            continue;
        }
        let route = Route {
            hop: Some(hop),
            relay: Some(relay.name.clone()),
            fallbacks: hops.map(|(_, relay)| relay.name.clone()).collect(),
            scope,
            copies,
            charges,
            reasons,
        };
        return route.finish(input, ledger, charged);
    }
    let charges = charges(input, None, scope);
    let charged = ledger
        .charge(day, &charge_requests(&charges, input.message))
        .await;
    let route = Route {
        hop: None,
        relay: None,
        fallbacks: Vec::new(),
        scope,
        copies,
        charges,
        reasons,
    };
    route.finish(input, ledger, charged)
}

/// The route that was charged, or whose limit is reached.
struct Route<'a> {
    hop: Option<&'a Hop>,
    relay: Option<RelayName>,
    fallbacks: Vec<RelayName>,
    scope: RecipientScope,
    copies: Vec<Address>,
    charges: Vec<Charge>,
    reasons: Vec<String>,
}

impl Route<'_> {
    fn finish(
        mut self,
        input: &ResolveInput<'_>,
        ledger: &Arc<dyn Ledger>,
        charged: Result<Receipt, ChargeError>,
    ) -> Result<Resolved, ResolveError> {
        let receipt = match charged {
            Ok(receipt) => receipt,
            Err(ChargeError::Full {
                counter,
                maximum,
                resets_at,
            }) => return Ok(quota_exceeded(input, &counter, maximum, resets_at)),
            Err(error) => return Err(ResolveError::Ledger(error)),
        };
        let charge = ChargeGuard::new(Arc::clone(ledger), receipt);
        let return_path = return_path(input, self.scope, self.hop, &mut self.reasons)?;
        let route = ResolvedRoute {
            relay: self.relay,
            fallbacks: self.fallbacks,
            scope: self.scope,
            return_path,
            copies: self.copies,
            charges: self.charges,
            reasons: self.reasons,
        };
        Ok(Resolved::Allowed(route, charge))
    }
}

fn new_copies(message: &Message, decision: &Decision) -> Vec<Address> {
    let mut copies: Vec<Address> = Vec::new();
    for copy in &decision.copies {
        // The MTA delivers twice to a recipient that is added again.
        let known = message
            .envelope
            .recipients
            .iter()
            .any(|recipient| recipient.address == *copy);
        if !known && !copies.contains(copy) {
            copies.push(copy.clone());
        }
    }
    copies
}

fn scope(snapshot: &PolicySnapshot, message: &Message, copies: &[Address]) -> RecipientScope {
    let recipients = message
        .envelope
        .recipients
        .iter()
        .map(|recipient| recipient.local);
    let copies = copies.iter().map(|copy| snapshot.config().is_local(copy));
    let (local, outside): (Vec<bool>, Vec<bool>) =
        recipients.chain(copies).partition(|&local| local);
    match (local.is_empty(), outside.is_empty()) {
        (false, true) => RecipientScope::Local,
        (false, false) => RecipientScope::Mixed,
        _ => RecipientScope::External,
    }
}

/// The relays of the route that can be used for this message.
fn usable<'a>(
    input: &ResolveInput<'a>,
    scope: RecipientScope,
    reasons: &mut Vec<String>,
) -> Vec<(&'a Hop, &'a Relay)> {
    let &ResolveInput {
        snapshot,
        message,
        decision,
        facts,
    } = input;
    if decision.route.is_empty() {
        return Vec::new();
    }
    if scope == RecipientScope::Local {
        reasons.push("all recipients are local: no relay".to_owned());
        return Vec::new();
    }
    if scope == RecipientScope::Mixed && snapshot.split_smtpd().is_none() {
        let why = "local and remote recipients, and no listener of mode \"split\": default route";
        reasons.push(why.to_owned());
        return Vec::new();
    }
    let mut hops = Vec::new();
    for hop in &decision.route {
        match snapshot.relays().get(&hop.relay) {
            Some(relay) if facts.relay_usable(&hop.relay) => hops.push((hop, relay)),
            Some(relay) => reasons.push(format!("relay {} is not usable now", relay.name)),
            None => {
                let queue_id = message.envelope.queue_id.as_str();
                let relay = hop.relay.as_str();
                tracing::warn!(
                    queue_id,
                    relay,
                    "the policy names a relay that is not in waxseal.toml"
                );
                reasons.push(format!("unknown relay \"{relay}\": skipped"));
            }
        }
    }
    hops
}

fn charges(input: &ResolveInput<'_>, relay: Option<&Relay>, scope: RecipientScope) -> Vec<Charge> {
    let mut charges = input.decision.charges.clone();
    let default_route = &input.snapshot.config().default_route;
    let message = |counter, maximum, full| Charge {
        counter,
        unit: Unit::Message,
        maximum,
        full,
    };
    match relay {
        Some(relay) => {
            let counter = relay_counter(relay.name.as_str());
            charges.push(message(counter, relay.daily_maximum, WhenFull::Defer));
        }
        None if scope != RecipientScope::Local => {
            let counter = quota::DEFAULT_ROUTE.to_owned();
            charges.push(message(
                counter,
                default_route.daily_maximum,
                default_route.when_full,
            ));
        }
        None => {}
    }
    charges
}

fn charge_requests(charges: &[Charge], message: &Message) -> Vec<ChargeRequest> {
    let recipients = message.envelope.recipients.len() as u64;
    let draw = |charge: &Charge| ChargeRequest {
        counter: charge.counter.clone(),
        amount: match charge.unit {
            Unit::Message => 1,
            Unit::Recipient => recipients,
        },
        maximum: charge.maximum,
    };
    charges.iter().map(draw).collect()
}

/// The result for a limit that no other route avoids (R11).
fn quota_exceeded(
    input: &ResolveInput<'_>,
    counter: &str,
    maximum: u64,
    resets_at: jiff::Timestamp,
) -> Resolved {
    let when_full = match input
        .decision
        .charges
        .iter()
        .find(|charge| charge.counter == counter)
    {
        Some(charge) => charge.full,
        None => input.snapshot.config().default_route.when_full,
    };
    let zone = input.snapshot.config().time_zone.clone();
    let resets_at = resets_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z");
    let counter: String = counter.chars().filter(char::is_ascii).take(100).collect();
    let text =
        format!("the daily limit of {maximum} for {counter} is reached; it resets at {resets_at}");
    let verdict = match when_full {
        WhenFull::Defer => Verdict::Defer(Reply {
            code: 452,
            enhanced: "4.7.1".to_owned(),
            text: text.clone(),
        }),
        WhenFull::Reject => Verdict::Reject(Reply {
            code: 552,
            enhanced: "5.7.1".to_owned(),
            text: text.clone(),
        }),
    };
    Resolved::QuotaExceeded {
        verdict,
        reason: text,
    }
}

/// The envelope sender of a decided message by this relay, or by the default route; also by a relay that was not charged.
///
/// # Errors
///
/// If the return path is invalid.
pub fn return_path_by(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    relay: Option<&str>,
) -> Result<ReversePath, VerpError> {
    let hop = relay.and_then(|relay| decision.route.iter().find(|hop| hop.relay == relay));
    let scope = scope(snapshot, message, &new_copies(message, decision));
    return_path_of(snapshot, message, decision, scope, hop, &mut Vec::new())
}

fn return_path(
    input: &ResolveInput<'_>,
    scope: RecipientScope,
    hop: Option<&Hop>,
    reasons: &mut Vec<String>,
) -> Result<ReversePath, VerpError> {
    return_path_of(
        input.snapshot,
        input.message,
        input.decision,
        scope,
        hop,
        reasons,
    )
}

fn return_path_of(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    scope: RecipientScope,
    hop: Option<&Hop>,
    reasons: &mut Vec<String>,
) -> Result<ReversePath, VerpError> {
    let envelope = &message.envelope;
    if envelope.sender == ReversePath::Null {
        return Ok(ReversePath::Null);
    }
    let own = hop.and_then(|hop| hop.return_path.as_ref());
    let choice = own.unwrap_or(&decision.return_path);
    // No server on the way checks the envelope sender, and automatic replies of colleagues belong to the author.
    if scope == RecipientScope::Local && *choice != ReturnPathChoice::Keep {
        reasons.push("all recipients are local: the return path is unchanged".to_owned());
        return Ok(envelope.sender.clone());
    }
    let path = match choice {
        ReturnPathChoice::Keep => envelope.sender.clone(),
        ReturnPathChoice::Address(address) => ReversePath::Address(address.clone()),
        ReturnPathChoice::Verp(domain) => {
            let key = &snapshot.secrets().verp;
            ReversePath::Address(verp::address(
                key,
                domain,
                &envelope.queue_id,
                message.arrival,
            )?)
        }
        ReturnPathChoice::Author => {
            let author = message.content.author().into_iter().next();
            match author.and_then(|author| Address::parse(&author.address).ok()) {
                Some(address) => ReversePath::Address(address),
                None => {
                    reasons.push("no valid author: the return path is unchanged".to_owned());
                    envelope.sender.clone()
                }
            }
        }
    };
    Ok(path)
}

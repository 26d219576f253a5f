//! From what a policy decided to what will be done: which relay has room, what
//! is charged, which return path the message leaves with.

use thiserror::Error;

use super::snapshot::PolicySnapshot;
use crate::config::{Relay, RelayName};
use crate::crypto::verp::{self, VerpError};
use crate::decision::{Charge, Decision, Hop, Reply, ReturnPathChoice, Unit, Verdict, WhenFull};
use crate::message::{Address, Message, ReversePath};
use crate::quota::{self, ChargeError, ChargeRequest, Day, Ledger, Receipt, relay_counter};
use crate::runtime::Facts;

/// Why a decision could not be resolved.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// Nothing can be counted.
    #[error(transparent)]
    Ledger(ChargeError),
    /// No return path of ours can be made.
    #[error("the return path: {0}")]
    ReturnPath(#[from] VerpError),
    /// The route came to an end without an end. Does not happen: the default
    /// route ends every list.
    #[error("no route was tried")]
    NoRoute,
}

/// What was found.
pub(super) enum Resolved {
    /// There is room.
    Allowed(ResolvedRoute),
    /// A counter that is not a relay's is full.
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
    pub(super) receipt: Option<Receipt>,
    pub(super) reasons: Vec<String>,
}

/// Where the recipients are, copies included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecipientScope {
    Local,
    External,
    Mixed,
}

/// What is to be resolved, and what it is resolved with.
#[derive(Clone, Copy)]
pub(super) struct ResolveInput<'a> {
    pub(super) snapshot: &'a PolicySnapshot,
    pub(super) message: &'a Message,
    pub(super) decision: &'a Decision,
    /// The same that the policy was given: both see a relay in one state.
    pub(super) facts: &'a dyn Facts,
}

pub(super) async fn resolve(
    input: &ResolveInput<'_>,
    day: &Day,
    ledger: &dyn Ledger,
) -> Result<Resolved, ResolveError> {
    let &ResolveInput {
        snapshot,
        message,
        decision,
        ..
    } = input;
    let copies = new_copies(message, decision);
    let scope = scope(snapshot, message, &copies);
    let mut reasons = Vec::new();
    let hops = usable(input, scope, &mut reasons);
    for (at, candidate) in hops.iter().map(Some).chain([None]).enumerate() {
        let charges = charges(
            snapshot,
            decision,
            candidate.map(|(_, relay)| *relay),
            scope,
        );
        let hop = candidate.map(|(hop, _)| *hop);
        match ledger.charge(day, &draws(&charges, message)).await {
            Ok(receipt) => {
                let return_path =
                    match return_path(snapshot, message, decision, scope, hop, &mut reasons) {
                        Ok(path) => path,
                        Err(error) => {
                            ledger.refund(receipt);
                            return Err(error.into());
                        }
                    };
                let resolved = ResolvedRoute {
                    relay: candidate.map(|(_, relay)| relay.name.clone()),
                    fallbacks: hops
                        .iter()
                        .skip(at + 1)
                        .map(|(_, relay)| relay.name.clone())
                        .collect(),
                    scope,
                    return_path,
                    copies,
                    charges,
                    receipt: Some(receipt),
                    reasons,
                };
                return Ok(Resolved::Allowed(resolved));
            }
            Err(ChargeError::Full {
                counter,
                maximum,
                resets_at,
            }) => {
                if let Some((_, relay)) = candidate
                    && counter == relay_counter(relay.name.as_str())
                {
                    let why = format!(
                        "relay {} has reached its maximum of {maximum} today",
                        relay.name
                    );
                    reasons.push(why);
                    continue;
                }
                return Ok(full(snapshot, decision, &counter, maximum, resets_at));
            }
            Err(error) => return Err(ResolveError::Ledger(error)),
        }
    }
    Err(ResolveError::NoRoute)
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
        let why = "local and outside recipients, and no listener of mode \"split\": default route";
        reasons.push(why.to_owned());
        return Vec::new();
    }
    let mut hops = Vec::new();
    for hop in &decision.route {
        match snapshot.relays().get(&hop.relay) {
            Some(relay) if facts.relay_usable(&hop.relay) => hops.push((hop, relay)),
            Some(relay) => reasons.push(format!("relay {} is not in use now", relay.name)),
            None => {
                let queue_id = message.envelope.queue_id.as_str();
                let relay = hop.relay.as_str();
                tracing::warn!(
                    queue_id,
                    relay,
                    "the policy names a relay that waxseal.toml does not have"
                );
                reasons.push(format!("there is no relay \"{relay}\": passed over"));
            }
        }
    }
    hops
}

fn charges(
    snapshot: &PolicySnapshot,
    decision: &Decision,
    relay: Option<&Relay>,
    scope: RecipientScope,
) -> Vec<Charge> {
    let mut charges = decision.charges.clone();
    let default_route = &snapshot.config().default_route;
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

fn draws(charges: &[Charge], message: &Message) -> Vec<ChargeRequest> {
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

/// A maximum that no other route gets round (R11).
fn full(
    snapshot: &PolicySnapshot,
    decision: &Decision,
    counter: &str,
    maximum: u64,
    resets_at: jiff::Timestamp,
) -> Resolved {
    let when_full = match decision
        .charges
        .iter()
        .find(|charge| charge.counter == counter)
    {
        Some(charge) => charge.full,
        None => snapshot.config().default_route.when_full,
    };
    let zone = snapshot.config().time_zone.clone();
    let afresh = resets_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z");
    let counter: String = counter.chars().filter(char::is_ascii).take(100).collect();
    let text = format!(
        "the daily maximum of {maximum} for {counter} is reached; it starts afresh at {afresh}"
    );
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

/// The envelope sender with which the message leaves by this relay, or by the
/// default route.
pub(super) fn return_path_by(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    relay: Option<&str>,
) -> Result<ReversePath, VerpError> {
    let hop = relay.and_then(|relay| decision.route.iter().find(|hop| hop.relay == relay));
    let scope = scope(snapshot, message, &new_copies(message, decision));
    return_path(snapshot, message, decision, scope, hop, &mut Vec::new())
}

fn return_path(
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
    // Nothing that checks an envelope sender is on the way, and the automatic
    // replies of colleagues belong to the author.
    if scope == RecipientScope::Local && *choice != ReturnPathChoice::Keep {
        reasons.push("all recipients are local: the return path is kept".to_owned());
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
                    reasons.push("no author can be read: the return path is kept".to_owned());
                    envelope.sender.clone()
                }
            }
        }
    };
    Ok(path)
}

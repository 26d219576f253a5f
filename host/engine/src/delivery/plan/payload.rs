//! The payload of a plan: JSON with bounds.
//!
//! Only what was authenticated gets here. The bounds hold nevertheless, so that a
//! mistake in one version costs the next one nothing.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ContentDigest, Dsn, DsnReturn, Plan, PlanNonce, PlannedHop, PlannedRoute, RecipientPattern,
    SealError,
};
use waxseal_core::decision::HeaderField;
use waxseal_core::message::{Address, ReversePath};

/// Most routes of a plan.
const ROUTES: usize = 64;
/// Most relays of a route, and most labels: those of a decision.
const HOPS: usize = 32;
const LABELS: usize = 32;
/// Most patterns of all routes.
const PATTERNS: usize = 1000;
/// Longest text in bytes, except addresses. Postfix's ENVID has at most 100 bytes.
const TEXT: usize = 300;

/// The payload. A field that is added later has a default, or the version changes.
#[derive(Serialize, Deserialize)]
struct Payload {
    /// Digest of the content.
    #[serde(rename = "c")]
    content: String,
    #[serde(rename = "q")]
    queue_id: String,
    /// Seconds of Unix time.
    #[serde(rename = "t")]
    arrival: i64,
    #[serde(rename = "f", default, skip_serializing_if = "String::is_empty")]
    sender: String,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(rename = "ret", default, skip_serializing_if = "Option::is_none")]
    ret: Option<DsnReturn>,
    #[serde(rename = "id", default, skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<HeaderField>,
    #[serde(rename = "v")]
    policy_version: String,
}

#[derive(Serialize, Deserialize)]
struct Route {
    /// Addresses, and domains with `@` before them.
    #[serde(rename = "to", default, skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<String>,
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    hops: Vec<Hop>,
    /// Return paths that are the original sender are omitted.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    return_path: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Hop {
    #[serde(rename = "n")]
    relay: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    return_path: Option<String>,
}

/// The payload of a plan.
pub(super) fn encode(plan: &Plan, content: &ContentDigest) -> Result<Vec<u8>, SealError> {
    check(plan)?;
    let return_path = |path: &ReversePath| {
        let differs = *path != plan.sender;
        differs.then(|| path.as_str().to_owned())
    };
    let payload = Payload {
        content: BASE64URL_NOPAD.encode(&content.0),
        queue_id: plan.queue_id.clone(),
        arrival: plan.arrival.as_second(),
        sender: plan.sender.as_str().to_owned(),
        routes: plan
            .routes
            .iter()
            .map(|route| Route {
                recipients: route.recipients.iter().map(text_of).collect(),
                hops: route
                    .hops
                    .iter()
                    .map(|hop| Hop {
                        relay: hop.relay.clone(),
                        return_path: return_path(&hop.return_path),
                    })
                    .collect(),
                return_path: return_path(&route.default_return_path),
            })
            .collect(),
        ret: plan.dsn.ret,
        envid: plan.dsn.envid.clone(),
        labels: plan.labels.clone(),
        policy_version: plan.policy_version.clone(),
    };
    // Strings, numbers and lists: writing them to memory does not fail.
    Ok(serde_json::to_vec(&payload).unwrap_or_default())
}

/// The plan and the digest in a payload; `None` if it is invalid.
pub(super) fn decode(nonce: PlanNonce, bytes: &[u8]) -> Option<(Plan, ContentDigest)> {
    let payload: Payload = serde_json::from_slice(bytes).ok()?;
    let content = BASE64URL_NOPAD.decode(payload.content.as_bytes()).ok()?;
    let content = ContentDigest(content.try_into().ok()?);
    let sender = ReversePath::parse_bytes(payload.sender.as_bytes()).ok()?;
    let return_path = |text: Option<String>| match text {
        None => Some(sender.clone()),
        Some(text) => ReversePath::parse_bytes(text.as_bytes()).ok(),
    };
    let hop = |hop: Hop| {
        Some(PlannedHop {
            relay: hop.relay,
            return_path: return_path(hop.return_path)?,
        })
    };
    let route = |route: Route| {
        let patterns = route.recipients.iter().map(|text| pattern(text));
        Some(PlannedRoute {
            recipients: patterns.collect::<Option<_>>()?,
            hops: route.hops.into_iter().map(hop).collect::<Option<_>>()?,
            default_return_path: return_path(route.return_path)?,
        })
    };
    let plan = Plan {
        nonce,
        queue_id: payload.queue_id,
        arrival: Timestamp::from_second(payload.arrival).ok()?,
        routes: payload
            .routes
            .into_iter()
            .map(route)
            .collect::<Option<_>>()?,
        dsn: Dsn {
            ret: payload.ret,
            envid: payload.envid,
        },
        labels: payload.labels,
        policy_version: payload.policy_version,
        sender,
    };
    check(&plan).ok()?;
    Some((plan, content))
}

fn text_of(pattern: &RecipientPattern) -> String {
    match pattern {
        RecipientPattern::Address(address) => address.as_str().to_owned(),
        RecipientPattern::Domain(domain) => format!("@{domain}"),
    }
}

fn pattern(text: &str) -> Option<RecipientPattern> {
    match text.strip_prefix('@') {
        Some(domain) => Some(RecipientPattern::Domain(domain.to_owned())),
        None => Address::parse(text).ok().map(RecipientPattern::Address),
    }
}

/// Holds a plan to the bounds of the format.
fn check(plan: &Plan) -> Result<(), SealError> {
    let short = |name, text: &str| match text.len() {
        0..=TEXT => Ok(()),
        _ => Err(SealError::TextTooLong(name)),
    };
    let few = |name, count, limit| match count <= limit {
        true => Ok(()),
        false => Err(SealError::TooMany(name)),
    };
    few("routes", plan.routes.len(), ROUTES)?;
    few("labels", plan.labels.len(), LABELS)?;
    let patterns = plan.routes.iter().map(|route| route.recipients.len());
    few("recipient patterns", patterns.sum(), PATTERNS)?;
    short("queue id", &plan.queue_id)?;
    short("policy version", &plan.policy_version)?;
    short("ENVID", plan.dsn.envid.as_deref().unwrap_or_default())?;
    for label in &plan.labels {
        short("label", &label.name)?;
        short("label", &label.value)?;
    }
    for route in &plan.routes {
        few("relays", route.hops.len(), HOPS)?;
        for hop in &route.hops {
            short("name of a relay", &hop.relay)?;
        }
        for pattern in &route.recipients {
            if let RecipientPattern::Domain(domain) = pattern {
                short("domain", domain)?;
            }
        }
    }
    Ok(())
}

//! Authentication results (R16): SPF, DKIM and DMARC as a recipient sees them, for
//! every possible route.
//!
//! A message that is sent through a relay has two hops: to the relay, which may
//! check SPF for our address, and from the relay to the recipient, who checks SPF
//! for the address of the relay. Both hops use the return path for that relay. The
//! default route is one hop, from our own address.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, MessageAuthenticator,
    Parameters, SpfOutput, SpfResult,
};

use super::dns::Dns;
use super::suite::Case;
use waxseal::config::{Config, Domain};
use waxseal::dkim::{self, Key, Keys};
use waxseal::pipeline::{Outcome, PolicySnapshot, return_path_by};
use waxseal::relay::RelayRegistry;
use waxseal_core::message::{Content, Message, ReversePath};

/// Name of the default route of the MTA.
pub(super) const DEFAULT_ROUTE: &str = "default-route";

/// Authentication results for one route.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    /// Name of the relay, or [`DEFAULT_ROUTE`].
    pub(super) route: String,
    /// SPF result at the relay; `None` if our address is unknown.
    pub(super) at_relay: Option<String>,
    /// SPF result at the recipient; `None` if the sending address of the route is
    /// unknown.
    pub(super) spf: Option<String>,
    /// DKIM result at the recipient.
    pub(super) dkim: String,
    /// DMARC result at the recipient; `None` if it depends on an unknown SPF result.
    pub(super) dmarc: Option<String>,
    /// The results as text.
    pub(super) words: String,
}

/// Verifies the message for every possible route.
pub(super) async fn examine(
    case: &Case,
    snapshot: &PolicySnapshot,
    outcome: &Outcome,
    message: &Message,
    content: &Content,
) -> Vec<Hop> {
    let decision = outcome.result.as_ref();
    let Some(decision) = decision.and_then(|result| result.decision.as_ref().ok()) else {
        return Vec::new();
    };
    let Some(verifier) = verifier() else {
        return Vec::new();
    };
    let theirs = case.input.signs.values().flatten();
    let theirs = Keys::for_tests(theirs).unwrap_or_default();
    let keys = [theirs.all(), snapshot.keys().all()];
    let records = keys.iter().flatten().map(|key| {
        let record = key.record();
        (record.name.to_ascii_lowercase(), record.value.clone())
    });
    let dns = Dns::new(&case.input.dns, records);
    let delivery = outcome.delivery();
    let mut routes = Vec::new();
    if let Some(delivery) = delivery {
        let relays = delivery.relay.iter().chain(&delivery.fallbacks);
        routes.extend(relays.map(|relay| Some(relay.as_str())));
    }
    routes.push(None);
    let mut hops = Vec::new();
    for relay in routes {
        let path = return_path_by(snapshot, message, decision, relay).unwrap_or_else(|_| {
            delivery
                .map_or(&message.envelope.sender, |delivery| &delivery.return_path)
                .clone()
        });
        let bytes = match relay.and_then(|relay| case.input.signs.get(relay)) {
            Some(domains) => signed_again(content, domains, message.arrival),
            None => Cow::Borrowed(content.bytes()),
        };
        let Some(parsed) = AuthenticatedMessage::parse_with_opts(&bytes, None, true) else {
            return Vec::new();
        };
        let look = Look {
            case,
            config: snapshot.config(),
            relays: snapshot.relays(),
            verifier,
            parsed: &parsed,
            dns: &dns,
            relay,
            return_path: &path,
            author: author(content),
        };
        hops.push(look.hop(content).await);
    }
    hops
}

/// The message after a relay that signs added its signatures; unchanged if it
/// cannot be signed.
fn signed_again<'a>(content: &'a Content, domains: &[Domain], at: Timestamp) -> Cow<'a, [u8]> {
    let keys = Keys::for_tests(domains).unwrap_or_default();
    let keys: Vec<Arc<Key>> = keys.all().into_iter().cloned().collect();
    let mut bytes = Vec::new();
    for signature in dkim::sign(content.bytes(), &keys, at, None).unwrap_or_default() {
        bytes.extend_from_slice(b"DKIM-Signature:");
        bytes.extend_from_slice(&signature.value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(content.bytes());
    Cow::Owned(bytes)
}

/// The verifier. It makes no DNS queries: it has no server, and its cache answers
/// everything.
fn verifier() -> Option<&'static MessageAuthenticator> {
    static VERIFIER: OnceLock<Option<MessageAuthenticator>> = OnceLock::new();
    VERIFIER
        .get_or_init(|| {
            let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            MessageAuthenticator::new(nowhere, ResolverOpts::default()).ok()
        })
        .as_ref()
}

/// One route of one message.
struct Look<'a> {
    case: &'a Case,
    config: &'a Config,
    relays: &'a RelayRegistry,
    verifier: &'a MessageAuthenticator,
    parsed: &'a AuthenticatedMessage<'a>,
    dns: &'a Dns,
    relay: Option<&'a str>,
    return_path: &'a ReversePath,
    /// Domain of the author.
    author: String,
}

impl Look<'_> {
    async fn hop(&self, content: &Content) -> Hop {
        let at_relay = match self.relay {
            Some(_) => self.spf(None).await,
            None => None,
        };
        let spf = self.spf(self.relay).await;
        let broken = self.is_reencoded(content);
        let parameters = Parameters::new(self.parsed).with_cache(self.dns);
        let dkim = match broken {
            true => Vec::new(),
            false => self.verifier.verify_dkim(parameters).await,
        };
        let unknown = SpfOutput::default();
        let of_spf = spf.as_ref().unwrap_or(&unknown);
        let dmarc = DmarcParameters::new(self.parsed, &dkim, of_spf.domain(), of_spf);
        let parameters = Parameters::new(dmarc).with_cache(self.dns);
        let dmarc = self.verifier.verify_dmarc(parameters).await;
        let found = Found {
            at_relay,
            spf,
            dkim,
            broken,
            dmarc,
        };
        Hop {
            route: self.relay.unwrap_or(DEFAULT_ROUTE).to_owned(),
            words: found.words(self),
            at_relay: found.at_relay.as_ref().map(result),
            dkim: found.dkim_result().to_owned(),
            dmarc: found.dmarc_result(),
            spf: found.spf.as_ref().map(result),
        }
    }

    /// SPF result of the return path for the addresses of a route: the worst one,
    /// because each address may be used.
    async fn spf(&self, route: Option<&str>) -> Option<SpfOutput> {
        let addresses = addresses(self.case, route)?;
        let helo = match route.and_then(|relay| self.relays.get(relay)) {
            Some(relay) => relay.host.as_str(),
            None => self.config.hostname.as_str(),
        };
        let mut worst: Option<SpfOutput> = None;
        for &address in addresses {
            let (helo, host) = (helo, RECIPIENT);
            let parameters = match self.return_path {
                ReversePath::Null => SpfParameters::helo(address, helo, host),
                ReversePath::Address(path) => {
                    SpfParameters::mail_from(address, helo, host, path.as_str())
                }
            };
            let parameters = Parameters::new(parameters).with_cache(self.dns);
            let output = self.verifier.verify_spf(parameters).await;
            if worst
                .as_ref()
                .is_none_or(|worst| worst.result() == SpfResult::Pass)
            {
                worst = Some(output);
            }
        }
        worst
    }

    /// Whether the MTA encodes the message for a hop without 8BITMIME, which breaks
    /// our signature.
    fn is_reencoded(&self, content: &Content) -> bool {
        let eight_bit = match self.relay.and_then(|relay| self.relays.get(relay)) {
            Some(relay) => relay.eight_bit,
            None => self.config.default_route.eight_bit,
        };
        let signs = self
            .relay
            .is_some_and(|relay| self.case.input.signs.contains_key(relay));
        // A relay that signs does so after the encoding.
        !eight_bit && !signs && !content.body().is_ascii()
    }
}

/// Name of the receiving host, for SPF explanations.
const RECIPIENT: &str = "recipient.test";

fn addresses<'a>(case: &'a Case, route: Option<&str>) -> Option<&'a [IpAddr]> {
    let input = case.input.sends_from.get(route.unwrap_or(DEFAULT_ROUTE))?;
    Some(input.value.as_slice()).filter(|addresses| !addresses.is_empty())
}

fn author(content: &Content) -> String {
    let author = content.author().into_iter().next();
    let domain = author
        .as_ref()
        .and_then(|author| author.address.rsplit_once('@'));
    domain.map_or_else(
        || "unknown author".to_owned(),
        |(_, domain)| domain.to_owned(),
    )
}

fn result(output: &SpfOutput) -> String {
    output.result().to_string()
}

/// Raw results for one route.
struct Found<'a> {
    at_relay: Option<SpfOutput>,
    spf: Option<SpfOutput>,
    dkim: Vec<DkimOutput<'a>>,
    broken: bool,
    dmarc: DmarcOutput,
}

impl Found<'_> {
    fn dkim_result(&self) -> &'static str {
        let passed = |output: &DkimOutput<'_>| *output.result() == DkimResult::Pass;
        match self.dkim.as_slice() {
            [] if self.broken => "fail",
            [] => "none",
            outputs if outputs.iter().any(passed) => "pass",
            _ => "fail",
        }
    }

    /// `None` if the unknown SPF result could change it.
    fn dmarc_result(&self) -> Option<String> {
        let result = match self.dmarc.result() {
            DmarcResult::Pass => "pass",
            DmarcResult::Fail(_) if self.spf.is_none() => return None,
            DmarcResult::Fail(_) => "fail",
            DmarcResult::TempError(_) => "temperror",
            DmarcResult::PermError(_) => "permerror",
            DmarcResult::None => "none",
        };
        Some(result.to_owned())
    }

    fn words(&self, look: &Look<'_>) -> String {
        let mut sentences = Vec::new();
        if let (Some(relay), Some(output)) = (look.relay, &self.at_relay) {
            let what = spf_words(output, look.case, None);
            sentences.push(format!("at {relay}, {what}"));
        }
        sentences.push(match &self.spf {
            Some(output) => {
                let aligned = match self.dmarc.spf_result() {
                    DmarcResult::Fail(_) => {
                        format!(", but it is not aligned with From ({})", look.author)
                    }
                    DmarcResult::Pass => ", aligned with From".to_owned(),
                    _ => String::new(),
                };
                format!("{}{aligned}", spf_words(output, look.case, look.relay))
            }
            None => format!(
                "SPF result is unknown: set `sends-from.{}`",
                look.relay.unwrap_or(DEFAULT_ROUTE)
            ),
        });
        sentences.push(self.dkim_words(look));
        sentences.push(self.dmarc_words(look));
        sentences.join("\n")
    }

    fn dkim_words(&self, look: &Look<'_>) -> String {
        if self.broken {
            let route = look.relay.unwrap_or("the default route");
            return format!(
                "DKIM fails: {route} does not support 8BITMIME, and encoding the message breaks its signature"
            );
        }
        let domain = |output: &DkimOutput<'_>| {
            output
                .signature()
                .map_or("?", |signature| signature.d.as_str())
                .to_owned()
        };
        let passed: Vec<String> = self
            .dkim
            .iter()
            .filter(|output| *output.result() == DkimResult::Pass)
            .map(domain)
            .collect();
        match (passed.as_slice(), self.dkim.first()) {
            ([], None) => "no DKIM signature".to_owned(),
            ([], Some(output)) => format!("DKIM of {}: {}", domain(output), output.result()),
            (domains, _) => {
                let aligned = match self.dmarc.dkim_result() {
                    DmarcResult::Fail(_) => {
                        format!(", but not aligned with From ({})", look.author)
                    }
                    DmarcResult::Pass => ", aligned with From".to_owned(),
                    _ => String::new(),
                };
                format!("DKIM passes for {}{aligned}", domains.join(", "))
            }
        }
    }

    fn dmarc_words(&self, look: &Look<'_>) -> String {
        let author = &look.author;
        let (spf, dkim) = (
            *self.dmarc.spf_result() == DmarcResult::Pass,
            *self.dmarc.dkim_result() == DmarcResult::Pass,
        );
        match self.dmarc.result() {
            DmarcResult::Pass if spf && dkim => "DMARC passes with SPF and DKIM".to_owned(),
            DmarcResult::Pass if spf => "DMARC passes with SPF only".to_owned(),
            DmarcResult::Pass => "DMARC passes with DKIM".to_owned(),
            DmarcResult::None => format!("{author} has no DMARC record"),
            DmarcResult::Fail(_) if self.spf.is_none() => {
                "DMARC result is unknown: it depends on SPF".to_owned()
            }
            DmarcResult::Fail(_) => {
                let wish = match self.dmarc.policy() {
                    Policy::Reject => "p=reject",
                    Policy::Quarantine => "p=quarantine",
                    Policy::None | Policy::Unspecified => "p=none",
                };
                format!(
                    "DMARC fails, and {author} publishes {wish}: sign with DKIM for {author}, or use a return path in that domain whose SPF record allows this route"
                )
            }
            DmarcResult::TempError(error) | DmarcResult::PermError(error) => {
                format!("cannot evaluate DMARC: {error}")
            }
        }
    }
}

fn spf_words(output: &SpfOutput, case: &Case, route: Option<&str>) -> String {
    let domain = output.domain();
    let from = addresses(case, route).unwrap_or_default();
    let from: Vec<String> = from.iter().map(IpAddr::to_string).collect();
    let from = from.join(", ");
    match output.result() {
        SpfResult::Pass => format!("SPF passes for {domain}"),
        SpfResult::None => format!("{domain} has no SPF record"),
        SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => {
            format!(
                "SPF of {domain} does not allow {from} ({})",
                output.result()
            )
        }
        SpfResult::TempError | SpfResult::PermError => {
            format!("cannot evaluate SPF of {domain} ({})", output.result())
        }
    }
}

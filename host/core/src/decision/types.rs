//! The data types of a decision.

use serde::{Deserialize, Serialize};

use crate::message::{Address, Excess};

/// Name of Waxseal's own counter of messages sent by the default route.
pub const DEFAULT_ROUTE_COUNTER: &str = "default-route";

/// Prefix of the names of Waxseal's own counters, one for each relay.
pub const RELAY_COUNTERS: &str = "relay/";

/// Whether a counter is one of Waxseal's own, which a policy must not charge.
pub fn is_host_counter(name: &str) -> bool {
    name == DEFAULT_ROUTE_COUNTER || name.starts_with(RELAY_COUNTERS)
}

/// A policy's decision about one message.
///
/// The fields are exhaustive on purpose: code that reads a decision destructures
/// it, so that the compiler points at every place that has to handle a new field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Whether the message is accepted.
    pub verdict: Verdict,
    /// Relays in order of preference; the default route comes after the last one.
    pub route: Vec<Hop>,
    /// Counters that the message is charged to: all of them, or none.
    pub charges: Vec<Charge>,
    /// Envelope sender of the outgoing message, unless the hop has its own.
    pub return_path: ReturnPathChoice,
    /// A new author in `From`; `None` leaves it unchanged.
    pub author: Option<AuthorRewrite>,
    /// New value of `Sender`; `None` leaves it unchanged.
    pub sender: Option<String>,
    /// Domains to sign for by DKIM (RFC 6376).
    pub sign: Vec<String>,
    /// Disclaimers to insert.
    pub disclaimers: Vec<Disclaimer>,
    /// Header fields to add, replace and remove, in this order.
    pub headers: Vec<HeaderChange>,
    /// Addresses that get a blind copy.
    pub copies: Vec<Address>,
    /// Names and values for logs and metrics.
    pub labels: Vec<HeaderField>,
    /// Reasons for the decision, for people.
    pub reasons: Vec<String>,
}

/// Whether a message is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", content = "reply", rename_all = "kebab-case")]
pub enum Verdict {
    /// Deliver it.
    #[default]
    Accept,
    /// Reject it permanently (5yz).
    Reject(Reply),
    /// Reject it temporarily (4yz); the client retries.
    Defer(Reply),
    /// Accept it and drop it.
    Discard,
    /// Put it into the MTA's hold queue; the text is the reason.
    Hold(String),
}

impl From<Excess> for Verdict {
    fn from(excess: Excess) -> Self {
        let Excess { measure, limit, .. } = excess;
        Self::Reject(Reply {
            code: 552,
            enhanced: measure.status().to_owned(),
            text: format!("the message has more than {limit} {}", measure.what()),
        })
    }
}

/// An SMTP reply (RFC 5321, section 4.2) with its enhanced status code
/// (RFC 3463).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Reply code: three digits, the first is 4 or 5.
    pub code: u16,
    /// Enhanced status code, such as `5.7.1`; its first digit equals the code's.
    pub enhanced: String,
    /// Text for people. Several lines are separated by LF.
    pub text: String,
}

/// One relay of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hop {
    /// Name of the relay in `waxseal.toml`.
    pub relay: String,
    /// Envelope sender if this relay is used; `None` uses the decision's.
    pub return_path: Option<ReturnPathChoice>,
}

/// The unit of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Count one per message.
    Message,
    /// Count one per recipient.
    Recipient,
}

/// How a message is rejected that would exceed the limit of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// Temporarily (4yz).
    Defer,
    /// Permanently (5yz).
    Reject,
}

/// A charge of the message to a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Charge {
    /// Name of the counter.
    pub counter: String,
    /// Its unit.
    pub unit: Unit,
    /// Daily limit in units; `None` counts without a limit.
    pub maximum: Option<u64>,
    /// How a message over the limit is rejected.
    pub full: WhenFull,
}

/// The envelope sender of the outgoing message (R13). A null sender is never
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum ReturnPathChoice {
    /// The original envelope sender.
    #[default]
    Keep,
    /// The address in `From`.
    Author,
    /// This address.
    Address(Address),
    /// A variable return path (VERP) in this domain: bounces are delivered to
    /// Waxseal and identify the message.
    Verp(String),
}

/// An address and its decoded display name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Display name, decoded.
    pub name: Option<String>,
    /// Address without brackets.
    pub address: Address,
}

/// Replacement of an author whose domain cannot be authenticated (R19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuthorRewrite {
    /// The new author.
    pub mailbox: Mailbox,
    /// Include the old author's address in the display name.
    pub keep_in_name: bool,
    /// Add `Reply-To` with the old author, unless the field exists.
    pub reply_to: bool,
}

/// Position of a disclaimer in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Above the text.
    Top,
    /// Above the quoted part at the end of a reply; at the bottom of other text.
    AboveQuote,
    /// Below the text.
    #[default]
    Bottom,
}

/// A disclaimer to insert (R22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclaimer {
    /// Name of the disclaimer, for logs and for recognizing it in a thread.
    pub id: String,
    /// Plain-text form; lines are separated by LF.
    pub text: String,
    /// HTML form, a fragment; `None` converts the text.
    pub html: Option<String>,
    /// Position in the text.
    pub placement: Placement,
}

/// A header field (RFC 5322, section 2.2), or another name with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderField {
    /// Name.
    pub name: String,
    /// Value, decoded and unfolded.
    pub value: String,
}

/// A change of one header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", content = "field", rename_all = "kebab-case")]
pub enum HeaderChange {
    /// Add a field.
    Add(HeaderField),
    /// Replace all fields of this name by one.
    Replace(HeaderField),
    /// Remove all fields of this name.
    Remove(String),
}

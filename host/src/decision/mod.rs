//! What a policy can decide, as plain data: no Wasm and no I/O in sight.
//!
//! A decision can be compared, stored, replayed and asserted. It names relays,
//! domains and counters; what it finds behind these names is the business of
//! [`pipeline`](crate::pipeline).

pub mod bounds;
pub mod compare;
mod validate;

pub use validate::{InvalidDecision, validate};

use serde::{Deserialize, Serialize};

use crate::message::{Address, Excess};

/// Name of the host's own counter of messages that the default route takes.
pub const DEFAULT_ROUTE_COUNTER: &str = "default-route";

/// What the names of the host's own counters of relays begin with.
pub const RELAY_COUNTERS: &str = "relay/";

/// Whether a counter is one of the host's own, which no policy may charge.
pub fn is_host_counter(name: &str) -> bool {
    name == DEFAULT_ROUTE_COUNTER || name.starts_with(RELAY_COUNTERS)
}

/// Everything a policy said about one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// What becomes of the message.
    pub verdict: Verdict,
    /// Relays in order of preference. The default route ends every list.
    pub route: Vec<Hop>,
    /// Counters that this message adds to: all of them, or none.
    pub charges: Vec<Charge>,
    /// Envelope sender on the way out, unless the hop has its own.
    pub return_path: ReturnPathChoice,
    /// Another author in `From`.
    pub author: Option<AuthorRewrite>,
    /// Value of `Sender`.
    pub sender: Option<String>,
    /// Domains to sign for.
    pub sign: Vec<String>,
    /// Disclaimers to insert.
    pub disclaimers: Vec<Disclaimer>,
    /// Header fields to add, replace and remove.
    pub headers: Vec<HeaderChange>,
    /// Addresses that get a copy unseen by the recipients.
    pub copies: Vec<Address>,
    /// Names and values for logs and counts.
    pub labels: Vec<HeaderField>,
    /// Why, for people.
    pub reasons: Vec<String>,
}

/// What becomes of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", content = "reply", rename_all = "kebab-case")]
pub enum Verdict {
    /// It goes on its way.
    #[default]
    Accept,
    /// Refused for good (5yz).
    Reject(Reply),
    /// Refused for now (4yz).
    Defer(Reply),
    /// Taken and thrown away.
    Discard,
    /// Kept in the MTA's hold queue; the text says why.
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
    /// Three digits; the first is 4 or 5.
    pub code: u16,
    /// Such as `5.7.1`; its first digit is the code's.
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
    /// Envelope sender if this relay takes the message, in place of the
    /// decision's.
    pub return_path: Option<ReturnPathChoice>,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One for a message.
    Message,
    /// One for each recipient.
    Recipient,
}

/// What happens to a message for which a counter has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It is refused for now.
    Defer,
    /// It is refused for good.
    Reject,
}

/// A counter that this message adds to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Charge {
    /// Name of the counter.
    pub counter: String,
    /// What it counts.
    pub unit: Unit,
    /// Most units in a day; none counts without a limit.
    pub maximum: Option<u64>,
    /// What happens past the maximum.
    pub full: WhenFull,
}

/// Which envelope sender a message leaves with (R13). Null senders stay null
/// whatever is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum ReturnPathChoice {
    /// The one it came with.
    #[default]
    Keep,
    /// The address in `From`.
    Author,
    /// This address.
    Address(Address),
    /// A variable address of ours in this domain: bounces come back to us and
    /// tell which message they are about.
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

/// How the author is sent where it may not be sent as it is (R19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuthorRewrite {
    /// The new author.
    pub mailbox: Mailbox,
    /// Keep the old author readable in the display name.
    pub keep_in_name: bool,
    /// Name the old author in `Reply-To`, unless there is one.
    pub reply_to: bool,
}

/// Where a disclaimer is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Before the text.
    Top,
    /// Above the quoted part of a reply, else at the bottom.
    AboveQuote,
    /// Behind the text.
    #[default]
    Bottom,
}

/// A disclaimer to insert (R22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclaimer {
    /// Name of the disclaimer, for logs and for finding it again in a thread.
    pub id: String,
    /// Plain-text form; lines are separated by LF.
    pub text: String,
    /// HTML form, a fragment; made from the text where absent.
    pub html: Option<String>,
    /// Where it is put.
    pub placement: Placement,
}

/// A name and a value.
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
    /// One more field of that name.
    Add(HeaderField),
    /// All fields of that name give way to this one.
    Replace(HeaderField),
    /// All fields of that name are taken out.
    Remove(String),
}

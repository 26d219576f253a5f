//! One decision as it is written down.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::OwnedDecisionEvent;
use crate::pipeline::{InputDigests, PolicyId, PolicyResult};
use waxseal_core::decision::compare::{Difference, Field, compare};
use waxseal_core::decision::{Decision, Verdict};
use waxseal_core::message::{self, Address, AddressError, Content, Message, ReversePath};
use waxseal_runtime::{FactTrace, PolicyError, Seed};

/// Version of the form that entries are written in. One that is higher is not
/// read; fields that are not known are passed over.
pub const FORMAT: u32 = 1;

/// A decision, and all that it was taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// [`FORMAT`].
    pub format: u32,
    /// The MTA's name for the message.
    pub queue_id: String,
    /// When the message arrived.
    pub arrival: Timestamp,
    /// Name of the listener.
    pub listener: String,
    /// Who handed the message in.
    pub client: Client,
    /// Envelope sender; empty for the null sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<Recipient>,
    /// The message itself.
    pub message: StoredMessage,
    /// What the policy asked, and was told.
    pub facts: FactTrace,
    /// Seed of the policy's randomness, hexadecimal.
    pub seed: String,
    /// Who decided.
    pub policy: PolicyId,
    /// What that was made from.
    pub inputs: InputDigests,
    /// What it said.
    pub ruling: RecordedResult,
    /// What that took.
    pub cost: Cost,
}

/// Which message it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoredMessage {
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
    /// Whether it stands beside the entry.
    pub kept: bool,
}

/// Who handed a message in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its name, verified by the MTA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The authenticated user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Version of TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
}

/// An envelope recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipient {
    /// Where the message goes.
    pub address: Address,
    /// Its domain is one of `local-domains`.
    pub local: bool,
}

/// What a policy said: a decision, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedResult {
    /// A decision.
    Decision(Box<Decision>),
    /// None.
    Error {
        /// One word ([`PolicyError::kind`]).
        kind: String,
        /// What happened.
        text: String,
    },
}

/// What a decision took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// Wall clock, waiting for a turn included.
    pub microseconds: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Bytes of linear memory at the end.
    pub memory: u64,
}

impl From<&crate::pipeline::Cost> for Cost {
    fn from(cost: &crate::pipeline::Cost) -> Self {
        Self {
            microseconds: u64::try_from(cost.time.as_micros()).unwrap_or(u64::MAX),
            instructions: cost.instructions,
            memory: cost.memory as u64,
        }
    }
}

impl RecordedResult {
    /// What a policy said.
    pub fn of(decision: &Result<Decision, PolicyError>) -> Self {
        match decision {
            Ok(decision) => Self::Decision(Box::new(decision.clone())),
            Err(error) => Self::Error {
                kind: error.kind().to_owned(),
                text: error.to_string(),
            },
        }
    }

    /// What another one says otherwise.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        if let (Self::Decision(before), Self::Decision(after)) = (self, other) {
            return compare(before, after);
        }
        Difference::value(Field::Outcome, self.outcome(), other.outcome())
            .into_iter()
            .collect()
    }

    /// A short form for counting, and one for people.
    fn outcome(&self) -> [String; 2] {
        match self {
            Self::Decision(decision) => {
                let verdict = match decision.verdict {
                    Verdict::Accept => "accept",
                    Verdict::Reject(_) => "reject",
                    Verdict::Defer(_) => "defer",
                    Verdict::Discard => "discard",
                    Verdict::Hold(_) => "hold",
                };
                [verdict.to_owned(), format!("decided: {verdict}")]
            }
            Self::Error { kind, text } => [format!("error {kind}"), format!("error: {text}")],
        }
    }
}

impl Entry {
    /// What was seen, as it is written down.
    pub fn of(seen: &OwnedDecisionEvent, sha256: String, kept: bool) -> Self {
        let Message {
            envelope,
            arrival,
            content,
            ..
        } = &*seen.message;
        let PolicyResult {
            decision,
            seed,
            cost,
            ..
        } = &seen.ruling;
        let client = &envelope.client;
        let recipients = envelope.recipients.iter();
        Self {
            format: FORMAT,
            queue_id: envelope.queue_id.clone(),
            arrival: *arrival,
            listener: envelope.listener.clone(),
            client: Client {
                address: client.address,
                name: client.name.clone(),
                helo: client.helo.clone(),
                user: client.user.clone(),
                tls: client.tls.clone(),
            },
            sender: envelope.sender.as_str().to_owned(),
            recipients: recipients
                .map(|recipient| Recipient {
                    address: recipient.address.clone(),
                    local: recipient.local,
                })
                .collect(),
            message: StoredMessage {
                sha256,
                size: content.bytes().len() as u64,
                kept,
            },
            facts: seen.facts.clone(),
            seed: HEXLOWER.encode(seed.as_bytes()),
            policy: seen.policy.clone(),
            inputs: seen.inputs.clone(),
            ruling: RecordedResult::of(decision),
            cost: Cost::from(cost),
        }
    }

    /// The message with its envelope, as the policy saw it.
    ///
    /// # Errors
    ///
    /// When the sender is no address.
    pub fn message(&self, bytes: Vec<u8>) -> Result<Message, AddressError> {
        let client = self.client.clone();
        let recipients = self.recipients.iter();
        let recipients = recipients
            .map(|recipient| message::Recipient::new(recipient.address.clone(), recipient.local));
        let client = message::Client::default()
            .with_address(client.address)
            .with_name(client.name)
            .with_helo(client.helo)
            .with_user(client.user)
            .with_tls(client.tls);
        Ok(Message::builder(Content::new(bytes), self.arrival)
            .queue_id(&self.queue_id)
            .listener(&self.listener)
            .client(client)
            .sender(ReversePath::parse_bytes(self.sender.as_bytes())?)
            .recipients(recipients)
            .build())
    }

    /// The seed, if it is one.
    pub fn seed(&self) -> Option<Seed> {
        let bytes = HEXLOWER.decode(self.seed.as_bytes()).ok()?;
        bytes.try_into().ok().map(Seed::new)
    }
}

//! A recorded decision.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::comparison::{OwnedDecisionEvent, RecordedResult};
use crate::pipeline::{InputDigests, PolicyId, PolicyResult};
use waxseal_core::message::{self, Address, AddressError, Content, Message, ReversePath};
use waxseal_runtime::{FactTrace, Seed};

/// Version of the format of entries. A newer one is rejected; unknown fields are ignored.
pub const FORMAT: u32 = 1;

/// A decision, and everything that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// [`FORMAT`].
    pub format: u32,
    /// The MTA's queue id.
    pub queue_id: String,
    /// Time of arrival.
    pub arrival: Timestamp,
    /// Name of the listener.
    pub listener: String,
    /// The client that submitted the message.
    pub client: Client,
    /// Envelope sender; empty for the null sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<Recipient>,
    /// The message.
    pub message: StoredMessage,
    /// Queries of the policy and their results.
    pub facts: FactTrace,
    /// Seed of the policy's randomness, hexadecimal.
    pub seed: String,
    /// The policy that decided.
    pub policy: PolicyId,
    /// Digests of its inputs.
    pub inputs: InputDigests,
    /// Its result.
    pub result: RecordedResult,
    /// Resources it used.
    pub cost: Cost,
}

/// Reference to the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoredMessage {
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether its bytes are stored in the segment.
    pub stored: bool,
}

/// The client that submitted a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its host name, verified by the MTA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its host name in EHLO or HELO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The authenticated user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// TLS version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
}

/// An envelope recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipient {
    /// Recipient address.
    pub address: Address,
    /// Whether its domain is one of `local-domains`.
    pub local: bool,
}

/// Resources used by a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// Wall clock, including the wait for a permit.
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

impl Entry {
    /// The entry of an event.
    pub fn of(event: &OwnedDecisionEvent, sha256: String, stored: bool) -> Self {
        let Message {
            envelope,
            arrival,
            content,
            ..
        } = &*event.message;
        let PolicyResult {
            decision,
            seed,
            cost,
            ..
        } = &event.result;
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
                stored,
            },
            facts: event.facts.clone(),
            seed: HEXLOWER.encode(seed.as_bytes()),
            policy: event.policy.clone(),
            inputs: event.inputs.clone(),
            result: RecordedResult::of(decision),
            cost: Cost::from(cost),
        }
    }

    /// The message with its envelope, as the policy got it.
    ///
    /// # Errors
    ///
    /// If the sender is not a valid address.
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

    /// The seed, if it is valid.
    pub fn seed(&self) -> Option<Seed> {
        let bytes = HEXLOWER.decode(self.seed.as_bytes()).ok()?;
        bytes.try_into().ok().map(Seed::new)
    }
}

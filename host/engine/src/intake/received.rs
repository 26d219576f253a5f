//! A message as a front received it.

use jiff::Timestamp;

use crate::config::Config;
use waxseal_core::decision::Reply;
use waxseal_core::message::{
    Address, Client, Content, InvalidAddress, Message, Recipient, ReversePath,
};

/// A message as a front received it. Invalid addresses are rejected when it
/// becomes a [`Message`].
#[derive(Debug)]
pub struct Received {
    /// Id of the message in the MTA's queue and in all logs.
    pub queue_id: String,
    /// The client.
    pub client: Client,
    /// Envelope sender.
    pub sender: Result<ReversePath, InvalidAddress>,
    /// Envelope recipients.
    pub recipients: Vec<Result<Address, InvalidAddress>>,
    /// When the message began: the clock of its decision, its counters and its
    /// signatures.
    pub arrival: Timestamp,
    /// Header and body.
    pub content: Content,
}

impl Received {
    pub(super) fn into_message(self, config: &Config, listener: &str) -> Result<Message, Reply> {
        let queue_id = self.queue_id;
        let sender = self
            .sender
            .map_err(|invalid| reject(&queue_id, listener, &invalid, "5.1.7", "sender's"))?;
        let mut recipients = Vec::with_capacity(self.recipients.len());
        for address in self.recipients {
            let address = address
                .map_err(|invalid| reject(&queue_id, listener, &invalid, "5.1.3", "recipient's"))?;
            let local = config.is_local(&address);
            recipients.push(Recipient::new(address, local));
        }
        Ok(Message::builder(self.content, self.arrival)
            .queue_id(queue_id)
            .listener(listener)
            .client(self.client)
            .sender(sender)
            .recipients(recipients)
            .build())
    }
}

fn reject(
    queue_id: &str,
    listener: &str,
    invalid: &InvalidAddress,
    enhanced: &str,
    whose: &str,
) -> Reply {
    tracing::warn!(queue_id, listener, "rejected: invalid address: {invalid}");
    Reply {
        code: 553,
        enhanced: enhanced.to_owned(),
        text: format!("the {whose} address is not valid: {}", invalid.error),
    }
}

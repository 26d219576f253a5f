//! A message with its envelope, and the builder that makes one.

use jiff::Timestamp;

use super::{Client, Content, Envelope, Recipient, ReversePath};

/// A message at the moment of the decision: shared, never changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// The SMTP envelope (RFC 5321).
    pub envelope: Envelope,
    /// Time of arrival. Decisions, counters and signatures use this instant, so
    /// that a decision can be repeated.
    pub arrival: Timestamp,
    /// Header and body (RFC 5322).
    pub content: Content,
}

impl Message {
    /// Begins a message with the null sender, no recipients and an unknown client.
    ///
    /// ```
    /// use waxseal_core::message::{Address, Client, Content, Message, ReversePath};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let content = Content::new(b"From: ann@acme.test\r\n\r\nHello\r\n".to_vec());
    /// let message = Message::builder(content, "2026-01-15T09:30:00Z".parse()?)
    ///     .sender(ReversePath::Address(Address::parse("ann@acme.test")?))
    ///     .recipient(Address::parse("bob@outside.test")?, false)
    ///     .client(Client::default().with_user("ann".to_owned()))
    ///     .build();
    /// assert_eq!(message.envelope.recipients.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(content: Content, arrival: Timestamp) -> MessageBuilder {
        MessageBuilder {
            message: Self {
                envelope: Envelope::default(),
                arrival,
                content,
            },
        }
    }
}

/// A message whose envelope is being filled in; see [`Message::builder`].
#[derive(Debug)]
#[must_use]
pub struct MessageBuilder {
    message: Message,
}

impl MessageBuilder {
    /// Sets the MTA's queue id, for the log.
    pub fn queue_id(mut self, id: impl Into<String>) -> Self {
        self.message.envelope.queue_id = id.into();
        self
    }

    /// Sets the name of the listener that received the message.
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.message.envelope.listener = name.into();
        self
    }

    /// Sets the client that submitted the message.
    pub fn client(mut self, client: Client) -> Self {
        self.message.envelope.client = client;
        self
    }

    /// Sets the envelope sender.
    pub fn sender(mut self, sender: ReversePath) -> Self {
        self.message.envelope.sender = sender;
        self
    }

    /// Adds an envelope recipient; `local` if its domain is a local domain.
    pub fn recipient(self, address: super::Address, local: bool) -> Self {
        self.recipients([Recipient::new(address, local)])
    }

    /// Adds envelope recipients, in this order.
    pub fn recipients(mut self, recipients: impl IntoIterator<Item = Recipient>) -> Self {
        self.message.envelope.recipients.extend(recipients);
        self
    }

    /// The message.
    pub fn build(self) -> Message {
        self.message
    }
}

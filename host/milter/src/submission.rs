//! A message as the MTA sent it: envelope, client and content.

use std::sync::Arc;

use std::time::SystemTime;

use super::listener::Listener;
use waxseal_core::message::{Address, Client, Content, InvalidAddress, ReversePath};

/// Envelope and client, before header and body are sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EnvelopeInfo<'a> {
    /// The listener of the connection.
    pub listener: &'a Listener,
    /// The SMTP client, with its login.
    pub client: &'a Client,
    /// The message was submitted by the `sendmail` command on the MTA's own host.
    pub submitted_locally: bool,
    /// The envelope sender.
    pub sender: &'a Result<ReversePath, InvalidAddress>,
    /// The envelope recipients that the MTA has accepted.
    pub recipients: &'a [Recipient],
}

/// A complete message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Submission {
    /// The listener of the connection.
    pub listener: Arc<Listener>,
    /// The MTA's queue id (macro `i`); empty if the MTA sent none.
    pub queue_id: String,
    /// Name and version of the MTA (macro `v`), such as `Postfix 3.7.11`.
    pub mta: Option<Arc<str>>,
    /// The SMTP client.
    pub client: Client,
    /// The message was submitted by the `sendmail` command on the MTA's own host.
    /// There is no client, and rejecting a recipient leaves the message in
    /// Postfix's queue.
    pub submitted_locally: bool,
    /// The envelope sender.
    pub sender: Result<ReversePath, InvalidAddress>,
    /// The envelope recipients, in the order of their RCPT commands.
    pub recipients: Vec<Recipient>,
    /// Time of the MAIL command.
    pub arrival: SystemTime,
    /// Header and body, or the header alone.
    pub content: Content,
    /// `content` includes the body. False for
    /// [`Interest::Header`](super::Interest::Header).
    pub body_collected: bool,
}

/// An envelope recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// The address of the RCPT command.
    pub address: Result<Address, InvalidAddress>,
    /// The MTA's delivery agent (`{rcpt_mailer}`), for mail from SMTP only. A
    /// hint: it does not separate local from remote recipients.
    pub mailer: Option<String>,
}

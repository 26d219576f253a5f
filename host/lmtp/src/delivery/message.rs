//! A complete message with its envelope.

use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::{
    Address, Body, MailParameters, Notify, OriginalRecipient, Ret, XForward, XText,
};

/// A complete message with its envelope.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Name of the listener that it came through.
    pub listener: Arc<str>,
    /// The name that the client gave in LHLO.
    pub client: Arc<str>,
    /// Return path; `None` is the null sender.
    pub sender: Option<Address>,
    /// At least one recipient. One that was named twice is there twice, and gets two
    /// replies.
    pub recipients: Vec<Recipient>,
    /// SIZE, as the client declared it. Postfix declares the size before a milter
    /// changed the message.
    pub declared_size: Option<u64>,
    /// BODY.
    pub body: Option<Body>,
    /// SMTPUTF8: addresses and header may have UTF-8, and so may the replies.
    pub smtputf8: bool,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID.
    pub envid: Option<XText>,
    /// The client that the MTA got the message from.
    pub forwarded: XForward,
    /// The message, with CRLF line ends and without the dots that were added for
    /// transport: otherwise byte for byte what the client sent. Its memory counts
    /// against the server's budget until the last clone is dropped.
    pub content: Bytes,
}

impl Delivery {
    pub(crate) fn new(
        (listener, client): (Arc<str>, Arc<str>),
        sender: Option<Address>,
        parameters: MailParameters,
        recipients: Vec<Recipient>,
        forwarded: XForward,
        content: Vec<u8>,
    ) -> Self {
        let MailParameters {
            size,
            body,
            smtputf8,
            ret,
            envid,
        } = parameters;
        Self {
            listener,
            client,
            sender,
            recipients,
            declared_size: size,
            body,
            smtputf8,
            ret,
            envid,
            forwarded,
            content: content.into(),
        }
    }
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// The address.
    pub address: Address,
    /// ORCPT.
    pub orcpt: Option<OriginalRecipient>,
    /// NOTIFY.
    pub notify: Option<Notify>,
    /// Its index in [`Delivery::recipients`]: the number of its reply.
    pub position: usize,
}

impl Recipient {
    pub(crate) fn new(
        address: Address,
        orcpt: Option<OriginalRecipient>,
        notify: Option<Notify>,
        position: usize,
    ) -> Self {
        Self {
            address,
            orcpt,
            notify,
            position,
        }
    }
}

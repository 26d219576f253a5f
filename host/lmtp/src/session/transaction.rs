//! A mail transaction: from MAIL to the end of DATA.

use std::mem::size_of;

use crate::delivery::Recipient;
use crate::envelope::{Address, MailParameters, RcptParameters};

/// Sender and recipients.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) sender: Option<Address>,
    pub(super) parameters: MailParameters,
    pub(super) recipients: Vec<Recipient>,
    /// Bytes of memory.
    pub(super) held: usize,
}

impl Transaction {
    pub(super) fn new(sender: Option<Address>, parameters: MailParameters) -> Self {
        Self {
            sender,
            parameters,
            recipients: Vec::new(),
            held: size_of::<Self>(),
        }
    }

    pub(super) fn add(&mut self, address: Address, parameters: RcptParameters) {
        let RcptParameters { notify, orcpt } = parameters;
        let strings = address.as_str().len() + orcpt.as_ref().map_or(0, |orcpt| orcpt.size());
        self.held += size_of::<Recipient>() + strings;
        let position = self.recipients.len();
        self.recipients
            .push(Recipient::new(address, orcpt, notify, position));
    }
}

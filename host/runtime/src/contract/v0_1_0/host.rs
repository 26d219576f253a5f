//! The imports of a policy: the message, the facts and the log.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::waxseal::policy::{facts, log, mail, types};
use super::handles::{FactsHandle, MessageHandle};
use crate::error::OverBudget;
use crate::limits;
use crate::log::LogLevel;
use crate::state::{DecisionInput, State};
use waxseal_core::message::{Content, Message};

impl State {
    fn input(&self) -> Result<&DecisionInput> {
        let missing = || OverBudget("no message is available during setup".to_owned());
        Ok(self.input.as_ref().ok_or_else(missing)?)
    }

    fn message(&self) -> Result<&Message> {
        Ok(&self.input()?.message)
    }

    /// Reads from the message. The work counts as the decision's time.
    fn read<T>(&mut self, read: impl FnOnce(&Content) -> T) -> Result<T> {
        let message = Arc::clone(&self.input()?.message);
        Ok(self.host.run(|| read(&message.content))?)
    }

    /// Charges the decision's budget for bytes that are copied into the guest.
    fn pay(&mut self, bytes: usize) -> Result<()> {
        match self.to_guest.checked_sub(bytes) {
            Some(left) => {
                self.to_guest = left;
                Ok(())
            }
            None => Err(OverBudget(format!(
                "more than {} bytes read from the host",
                limits::BYTES_TO_GUEST
            ))
            .into()),
        }
    }

    fn give(&mut self, text: String) -> Result<String> {
        self.pay(text.len())?;
        Ok(text)
    }

    fn give_some(&mut self, text: Option<String>) -> Result<Option<String>> {
        self.pay(text.as_ref().map_or(0, String::len))?;
        Ok(text)
    }
}

impl mail::Host for State {}

impl mail::HostMessage for State {
    fn queue_id(&mut self, _: Resource<MessageHandle>) -> Result<String> {
        let text = self.message()?.envelope.queue_id.clone();
        self.give(text)
    }

    fn listener(&mut self, _: Resource<MessageHandle>) -> Result<String> {
        let text = self.message()?.envelope.listener.clone();
        self.give(text)
    }

    fn client_address(&mut self, _: Resource<MessageHandle>) -> Result<String> {
        let address = self.message()?.envelope.client.address;
        self.give(
            address
                .map(|address| address.to_string())
                .unwrap_or_default(),
        )
    }

    fn client_name(&mut self, _: Resource<MessageHandle>) -> Result<Option<String>> {
        let text = self.message()?.envelope.client.name.clone();
        self.give_some(text)
    }

    fn helo(&mut self, _: Resource<MessageHandle>) -> Result<Option<String>> {
        let text = self.message()?.envelope.client.helo.clone();
        self.give_some(text)
    }

    fn user(&mut self, _: Resource<MessageHandle>) -> Result<Option<String>> {
        let text = self.message()?.envelope.client.user.clone();
        self.give_some(text)
    }

    fn tls(&mut self, _: Resource<MessageHandle>) -> Result<Option<String>> {
        let text = self.message()?.envelope.client.tls.clone();
        self.give_some(text)
    }

    fn sender(&mut self, _: Resource<MessageHandle>) -> Result<String> {
        let text = self.message()?.envelope.sender.as_str().to_owned();
        self.give(text)
    }

    fn recipients(&mut self, _: Resource<MessageHandle>) -> Result<Vec<mail::Recipient>> {
        let recipients = &self.message()?.envelope.recipients;
        let list: Vec<_> = recipients
            .iter()
            .map(|recipient| mail::Recipient {
                address: recipient.address.to_string(),
                local: recipient.local,
            })
            .collect();
        self.pay(
            list.iter()
                .map(|recipient| recipient.address.len() + 16)
                .sum(),
        )?;
        Ok(list)
    }

    fn author(&mut self, _: Resource<MessageHandle>) -> Result<Vec<mail::Mailbox>> {
        let authors = self.read(Content::author)?;
        let list: Vec<_> = authors
            .into_iter()
            .map(|author| mail::Mailbox {
                name: author.name,
                address: author.address,
            })
            .collect();
        let size = |mailbox: &mail::Mailbox| {
            mailbox.address.len() + mailbox.name.as_ref().map_or(0, String::len) + 16
        };
        self.pay(list.iter().map(size).sum())?;
        Ok(list)
    }

    fn header(&mut self, _: Resource<MessageHandle>, name: String) -> Result<Vec<String>> {
        let values = self.read(|content| content.header(&name))?;
        self.pay(values.iter().map(|value| value.len() + 8).sum())?;
        Ok(values)
    }

    fn size(&mut self, _: Resource<MessageHandle>) -> Result<u64> {
        Ok(self.message()?.content.bytes().len() as u64)
    }

    fn has_trait(&mut self, _: Resource<MessageHandle>, name: String) -> Result<bool> {
        self.read(|content| content.has_trait(&name))
    }

    fn text(&mut self, _: Resource<MessageHandle>, limit: u32) -> Result<Option<String>> {
        // Text beyond the budget need not be decoded.
        let limit = (limit as usize).min(self.to_guest.saturating_add(1));
        let text = self.read(|content| content.text(limit))?;
        self.give_some(text)
    }

    fn attachments(&mut self, _: Resource<MessageHandle>) -> Result<Vec<mail::Attachment>> {
        let attachments = self.read(Content::attachments)?;
        let list: Vec<_> = attachments
            .into_iter()
            .map(|attachment| mail::Attachment {
                media_type: attachment.media_type,
                name: attachment.name,
                size: attachment.size,
            })
            .collect();
        let size = |attachment: &mail::Attachment| {
            attachment.media_type.len() + attachment.name.as_ref().map_or(0, String::len) + 32
        };
        self.pay(list.iter().map(size).sum())?;
        Ok(list)
    }

    fn drop(&mut self, _: Resource<MessageHandle>) -> Result<()> {
        Ok(())
    }
}

impl facts::Host for State {}

impl types::Host for State {}

impl facts::HostFacts for State {
    fn now(&mut self, _: Resource<FactsHandle>) -> Result<facts::Datetime> {
        let now = self.input()?.facts.now();
        Ok(facts::Datetime {
            unix_seconds: now.timestamp().as_second(),
            utc_offset_minutes: (now.offset().seconds() / 60) as i16,
            year: now.year().unsigned_abs(),
            month: now.month().unsigned_abs(),
            day: now.day().unsigned_abs(),
            hour: now.hour().unsigned_abs(),
            minute: now.minute().unsigned_abs(),
            second: now.second().unsigned_abs(),
            weekday: now.weekday().to_monday_one_offset().unsigned_abs(),
        })
    }

    fn lookup(
        &mut self,
        _: Resource<FactsHandle>,
        table: String,
        key: String,
    ) -> Result<Option<String>> {
        let value = self.input()?.facts.lookup(&table, &key);
        self.give_some(value)
    }

    fn relay_usable(&mut self, _: Resource<FactsHandle>, name: String) -> Result<bool> {
        Ok(self.input()?.facts.relay_usable(&name))
    }

    fn relay_sent(&mut self, _: Resource<FactsHandle>, name: String) -> Result<u64> {
        Ok(self.input()?.facts.relay_sent(&name))
    }

    fn domain_authenticated(&mut self, _: Resource<FactsHandle>, name: String) -> Result<bool> {
        Ok(self.input()?.facts.domain_authenticated(&name))
    }

    fn drop(&mut self, _: Resource<FactsHandle>) -> Result<()> {
        Ok(())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

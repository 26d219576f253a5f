//! Messages and facts as values, for tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Attachment, Datetime, Mailbox, Recipient};

/// A message with its envelope.
///
/// On wasm this is the host's message. Here it is a value with the same
/// functions:
///
/// ```
/// use waxseal_policy::Message;
///
/// let message = Message::builder()
///     .author("alice@acme.test")
///     .header("X-Mail-Type", "bulk")
///     .user("alice")
///     .build();
/// assert_eq!(message.header("x-mail-type"), ["bulk"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message {
    queue_id: String,
    listener: String,
    client_address: String,
    client_name: Option<String>,
    helo: Option<String>,
    user: Option<String>,
    tls: Option<String>,
    sender: String,
    recipients: Vec<Recipient>,
    authors: Vec<Mailbox>,
    headers: Vec<(String, String)>,
    size: u64,
    traits: BTreeSet<String>,
    text: Option<String>,
    attachments: Vec<Attachment>,
}

impl Message {
    /// Begins an empty message.
    pub fn builder() -> MessageBuilder {
        MessageBuilder::default()
    }

    /// The MTA's queue id, as in its log.
    pub fn queue_id(&self) -> String {
        self.queue_id.clone()
    }

    /// Name of the listener that received the message.
    pub fn listener(&self) -> String {
        self.listener.clone()
    }

    /// IP address of the client as text; "" for local submission.
    pub fn client_address(&self) -> String {
        self.client_address.clone()
    }

    /// Host name of the client that the MTA verified by DNS.
    pub fn client_name(&self) -> Option<String> {
        self.client_name.clone()
    }

    /// Name that the client gave in EHLO or HELO. Not verified.
    pub fn helo(&self) -> Option<String> {
        self.helo.clone()
    }

    /// The authenticated user; `None` without a login.
    pub fn user(&self) -> Option<String> {
        self.user.clone()
    }

    /// Version of TLS on the client's connection, such as `TLSv1.3`.
    pub fn tls(&self) -> Option<String> {
        self.tls.clone()
    }

    /// Envelope sender; "" is the null sender.
    pub fn sender(&self) -> String {
        self.sender.clone()
    }

    /// Recipients of the envelope, in the order of their RCPT commands.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.recipients.clone()
    }

    /// The mailboxes in `From`, in order.
    pub fn author(&self) -> Vec<Mailbox> {
        self.authors.clone()
    }

    /// Values of all fields of that name (in any case), unfolded and decoded,
    /// in order of appearance.
    pub fn header(&self, name: &str) -> Vec<String> {
        let of_that_name = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        let fields = self.headers.iter().filter(of_that_name);
        fields.map(|(_, value)| value.clone()).collect()
    }

    /// Bytes of the message as received, header included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the message has a trait: `bulk`, `list`, `signed`, … A builder's message has the traits that were added to the
    /// builder, regardless of its header.
    pub fn has_trait(&self, name: &str) -> bool {
        self.traits.contains(name)
    }

    /// The text that a reader sees first, truncated to `limit` bytes on a character boundary; `None` if the message has no text.
    pub fn text(&self, limit: u32) -> Option<String> {
        let text = self.text.as_deref()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Some(text[..text.floor_char_boundary(limit)].to_owned())
    }

    /// All parts other than the text, in order.
    pub fn attachments(&self) -> Vec<Attachment> {
        self.attachments.clone()
    }
}

/// Builder of a [`Message`].
#[derive(Clone, Debug, Default)]
pub struct MessageBuilder(Message);

impl MessageBuilder {
    /// The message.
    pub fn build(self) -> Message {
        self.0
    }

    /// Sets the queue id.
    #[must_use]
    pub fn queue_id(mut self, queue_id: &str) -> Self {
        queue_id.clone_into(&mut self.0.queue_id);
        self
    }

    /// Sets the name of the listener.
    #[must_use]
    pub fn listener(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.listener);
        self
    }

    /// Sets the client: its IP address, its verified name, and its name in EHLO.
    #[must_use]
    pub fn client(mut self, address: &str, name: Option<&str>, helo: &str) -> Self {
        address.clone_into(&mut self.0.client_address);
        self.0.client_name = name.map(str::to_owned);
        self.0.helo = Some(helo.to_owned());
        self
    }

    /// Sets the authenticated user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.0.user = Some(user.to_owned());
        self
    }

    /// Sets the TLS version of the client's connection.
    #[must_use]
    pub fn tls(mut self, version: &str) -> Self {
        self.0.tls = Some(version.to_owned());
        self
    }

    /// Sets the envelope sender; "" (the default) is the null sender.
    #[must_use]
    pub fn sender(mut self, address: &str) -> Self {
        address.clone_into(&mut self.0.sender);
        self
    }

    /// Adds a remote recipient.
    #[must_use]
    pub fn recipient(mut self, address: &str) -> Self {
        self.0.recipients.push(Recipient {
            address: address.to_owned(),
            local: false,
        });
        self
    }

    /// Adds a recipient in a local domain.
    #[must_use]
    pub fn local_recipient(mut self, address: &str) -> Self {
        self.0.recipients.push(Recipient {
            address: address.to_owned(),
            local: true,
        });
        self
    }

    /// Adds a mailbox to `From`.
    #[must_use]
    pub fn author(self, address: &str) -> Self {
        self.author_mailbox(Mailbox::new(address))
    }

    /// Adds a mailbox to `From`, with its display name.
    #[must_use]
    pub fn author_mailbox(mut self, mailbox: Mailbox) -> Self {
        self.0.authors.push(mailbox);
        self
    }

    /// Adds a header field; the value unfolded and decoded.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the size of the message as received, in bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.0.size = bytes;
        self
    }

    /// Adds a trait.
    #[must_use]
    pub fn with_trait(mut self, name: &str) -> Self {
        self.0.traits.insert(name.to_owned());
        self
    }

    /// Sets the text that a reader sees first.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.text = Some(text.to_owned());
        self
    }

    /// Adds a part other than the text.
    #[must_use]
    pub fn attachment(mut self, media_type: &str, name: Option<&str>, size: u64) -> Self {
        self.0.attachments.push(Attachment {
            media_type: media_type.to_owned(),
            name: name.map(str::to_owned),
            size,
        });
        self
    }
}

/// Facts of the host when a message arrives.
///
/// On wasm they belong to the host. Here they are values with the same functions: by default no table, no relay and no domain,
/// at the beginning of Unix time.
#[derive(Clone, Debug)]
pub struct Facts {
    now: Datetime,
    tables: BTreeMap<(String, String), String>,
    relays: BTreeMap<String, (bool, u64)>,
    authenticated: BTreeSet<String>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            now: Datetime {
                unix_seconds: 0,
                utc_offset_minutes: 0,
                year: 1970,
                month: 1,
                day: 1,
                hour: 0,
                minute: 0,
                second: 0,
                weekday: 4,
            },
            tables: BTreeMap::new(),
            relays: BTreeMap::new(),
            authenticated: BTreeSet::new(),
        }
    }
}

impl Facts {
    /// Begins empty facts.
    pub fn builder() -> FactsBuilder {
        FactsBuilder::default()
    }

    /// The message's arrival, in the organization's time zone.
    pub fn now(&self) -> Datetime {
        self.now
    }

    /// The value of `key` in a lookup table.
    pub fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let entry = (table.to_owned(), key.to_owned());
        self.tables.get(&entry).cloned()
    }

    /// Whether the relay would be used for a message now.
    pub fn relay_usable(&self, name: &str) -> bool {
        self.relays.get(name).is_some_and(|&(usable, _)| usable)
    }

    /// Messages charged to the relay today; 0 for an unknown one.
    pub fn relay_sent(&self, name: &str) -> u64 {
        self.relays.get(name).map_or(0, |&(_, sent)| sent)
    }

    /// Whether the domain is registered and its DNS records are valid.
    pub fn domain_authenticated(&self, name: &str) -> bool {
        self.authenticated.contains(name)
    }
}

/// Builder of [`Facts`].
#[derive(Clone, Debug, Default)]
pub struct FactsBuilder(Facts);

impl FactsBuilder {
    /// The facts.
    pub fn build(self) -> Facts {
        self.0
    }

    /// Sets the message's arrival.
    #[must_use]
    pub fn now(mut self, now: Datetime) -> Self {
        self.0.now = now;
        self
    }

    /// Adds an entry of a table.
    #[must_use]
    pub fn entry(mut self, table: &str, key: &str, value: &str) -> Self {
        let entry = (table.to_owned(), key.to_owned());
        self.0.tables.insert(entry, value.to_owned());
        self
    }

    /// Adds a relay: whether it is usable, and the messages charged to it today.
    #[must_use]
    pub fn relay(mut self, name: &str, usable: bool, sent: u64) -> Self {
        self.0.relays.insert(name.to_owned(), (usable, sent));
        self
    }

    /// Adds a domain that is registered with valid DNS records.
    #[must_use]
    pub fn authenticated(mut self, domain: &str) -> Self {
        self.0.authenticated.insert(domain.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_have_no_case_and_values_keep_their_order() {
        let message = Message::builder()
            .header("X-A", "1")
            .header("x-a", "2")
            .build();
        assert_eq!(message.header("X-a"), ["1", "2"]);
        assert_eq!(message.first_header("x-A").as_deref(), Some("1"));
        assert!(!message.has_header("X-B"));
    }

    #[test]
    fn text_is_cut_on_a_character_boundary() {
        let message = Message::builder().text("aあ").build();
        assert_eq!(message.text(3).as_deref(), Some("a"));
        assert_eq!(message.text(4).as_deref(), Some("aあ"));
        assert_eq!(Message::default().text(9), None);
    }

    #[test]
    fn facts_have_the_values_of_the_builder() {
        let facts = Facts::builder()
            .relay("one", true, 3)
            .entry("vip", "alice", "yes")
            .build();
        assert!(facts.relay_usable("one") && !facts.relay_usable("two"));
        assert_eq!((facts.relay_sent("one"), facts.relay_sent("two")), (3, 0));
        assert_eq!(facts.lookup("vip", "alice").as_deref(), Some("yes"));
        assert_eq!(facts.lookup("vip", "bob"), None);
    }
}

//! A message while it comes in.

use jiff::Timestamp;

use crate::decision::Verdict;
use crate::message::{
    Address, AddressError, Client, Excess, Limits, Measure, ReversePath, count_addresses,
};
use crate::milter::codec::Arguments;
use crate::milter::header_names::HeaderNames;
use crate::milter::submission::{InvalidAddress, Recipient};

/// Room for header and body of a short message, so that it is gathered without
/// growing again and again.
const FIRST_CAPACITY: usize = 4096;

/// Bytes of memory for a recipient beside its address, which is there twice while
/// the message is decided on. With what the allocator adds.
const RECIPIENT: usize = size_of::<Recipient>() + 64;

/// What is kept of a message.
#[derive(Debug)]
pub(super) enum Collect {
    /// The filter was not asked yet.
    Undecided,
    /// Header and body.
    All,
    /// The header.
    Header,
    /// Nothing; it passes.
    Nothing,
    /// Nothing: it could not be held, and this is its answer.
    Failed(Verdict),
}

/// A message that is under way.
#[derive(Debug)]
pub(super) struct IncomingMessage<T> {
    pub(super) transaction: T,
    pub(super) arrival: Timestamp,
    pub(super) client: Client,
    pub(super) sender: Result<ReversePath, InvalidAddress>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) collect: Collect,
    /// Header, empty line and body so far.
    pub(super) bytes: Vec<u8>,
    pub(super) names: HeaderNames,
    pub(super) limits: Limits,
    /// Recipients given, those past the limit included: they are counted, and
    /// not kept.
    recipients_given: usize,
    /// Bytes for all of these.
    envelope_given: usize,
    /// Addresses in the header so far.
    addresses: usize,
    /// Places in the body where the delimiter of a MIME part may stand, at most.
    pub(super) delimiters: usize,
    /// The header is complete.
    in_body: bool,
    /// Bytes of memory for sender and recipients.
    envelope: usize,
    /// What to make room for, as far as that is known.
    expected: usize,
}

impl<T> IncomingMessage<T> {
    pub(super) fn new(
        transaction: T,
        arrival: Timestamp,
        client: Client,
        mail: &Arguments<'_>,
        limits: Limits,
    ) -> Self {
        let sender = mail.address;
        Self {
            transaction,
            arrival,
            client,
            sender: ReversePath::parse_bytes(sender).map_err(|error| unreadable(sender, error)),
            recipients: Vec::new(),
            collect: Collect::Undecided,
            bytes: Vec::new(),
            names: HeaderNames::default(),
            limits,
            recipients_given: 0,
            envelope_given: sender.len(),
            addresses: 0,
            delimiters: 0,
            in_body: false,
            envelope: sender.len(),
            expected: announced_size(mail)
                .unwrap_or_default()
                .clamp(FIRST_CAPACITY, limits.size.max(FIRST_CAPACITY)),
        }
    }

    pub(super) fn recipient(&mut self, address: &[u8], mailer: Option<String>) {
        self.recipients_given += 1;
        let cost = RECIPIENT + 2 * address.len();
        self.envelope_given += cost;
        if self.recipients_given > self.limits.recipients || self.envelope_given > self.limits.size
        {
            return;
        }
        self.envelope += cost;
        self.recipients.push(Recipient {
            address: Address::parse_bytes(address).map_err(|error| unreadable(address, error)),
            mailer,
        });
    }

    /// Appends a header field as it stood in the message. MTAs send folds as
    /// LF; the message had CRLF.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8], leading_space: bool) {
        if !matches!(self.collect, Collect::All | Collect::Header) {
            return;
        }
        self.names.push(name);
        self.addresses += count_addresses(name, value);
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(self.expected);
        }
        self.bytes.extend_from_slice(name);
        self.bytes.push(b':');
        if !leading_space {
            // The MTA took one space off, if there was one: almost always.
            self.bytes.push(b' ');
        }
        let mut rest = value;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            self.bytes
                .extend_from_slice(rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]));
            self.bytes.extend_from_slice(b"\r\n");
            rest = &rest[at + 1..];
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(super) fn end_of_header(&mut self) {
        self.in_body = true;
        if matches!(self.collect, Collect::All | Collect::Header) {
            self.bytes.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn body(&mut self, data: &[u8]) {
        if matches!(self.collect, Collect::All) {
            // Growing fourfold rather than twofold halves the copying of a large
            // message; room that is not written to costs no memory.
            if self.bytes.capacity() - self.bytes.len() < data.len() {
                self.bytes
                    .reserve(data.len().max(3 * self.bytes.capacity()));
            }
            self.bytes.extend_from_slice(data);
            self.delimiters += delimiters(data);
        }
    }

    /// Lets go of what was collected; this is what will be answered.
    pub(super) fn fail_with(&mut self, verdict: Verdict) {
        self.collect = Collect::Failed(verdict);
        self.bytes = Vec::new();
        self.names = HeaderNames::default();
        self.recipients = Vec::new();
        self.envelope = 0;
    }

    /// What the message has too much of, as far as it has come in. Nothing where
    /// it passes, or was given up.
    pub(super) fn excess(&self) -> Option<Excess> {
        let header = if self.in_body { 0 } else { self.bytes.len() };
        let measured = [
            (Measure::Size, self.bytes.len() + self.envelope_given),
            (Measure::HeaderSize, header),
            (Measure::HeaderFields, self.names.len()),
            (Measure::Recipients, self.recipients_given),
            (Measure::Addresses, self.addresses),
        ];
        // A message that comes back for its route alone has been let through
        // before, and has more of a header since.
        let measured = match self.collect {
            Collect::All => &measured[..],
            Collect::Header => &measured[..1],
            _ => &[],
        };
        let mut measured = measured.iter();
        measured.find_map(|&(measure, found)| self.limits.within(measure, found).err())
    }

    /// Bytes of memory that the message takes while it comes in.
    pub(super) fn held(&self) -> usize {
        self.envelope + self.bytes.len() + self.names.size()
    }
}

/// The size that the client announced (RFC 1870): room made at once need not
/// grow, and what is not used is never touched. It may be a lie either way.
fn announced_size(mail: &Arguments<'_>) -> Option<usize> {
    let digits = mail.parameters().find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"SIZE=").then_some(value)
    })?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Most lines that begin as the delimiter of a MIME part (RFC 2046, section 5.1.1),
/// in one chunk of a body. One more may lie across its border.
fn delimiters(chunk: &[u8]) -> usize {
    memchr::memmem::find_iter(chunk, b"\n--").count() + 1
}

fn unreadable(raw: &[u8], error: AddressError) -> InvalidAddress {
    InvalidAddress {
        raw: raw.into(),
        error,
    }
}

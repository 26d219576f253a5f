//! Collecting a message.

use std::time::SystemTime;

use crate::codec::Arguments;
use crate::header_names::HeaderNames;
use crate::submission::Recipient;
use waxseal_core::decision::Verdict;
use waxseal_core::message::{
    Address, AddressError, Client, Excess, InvalidAddress, Limits, Measure, ReversePath,
    count_addresses,
};

/// Initial capacity for header and body of a short message.
const FIRST_CAPACITY: usize = 4096;

/// Bytes of memory for a recipient without its address, which is stored twice during
/// processing; with allocator overhead.
const RECIPIENT: usize = size_of::<Recipient>() + 64;

/// How much of a message is collected.
#[derive(Debug)]
pub(super) enum Collect {
    /// The filter has not been asked.
    Undecided,
    /// Header and body.
    All,
    /// The header.
    Header,
    /// Nothing: the message passes.
    Nothing,
    /// Nothing: the message failed, and is answered with this verdict.
    Failed(Verdict),
}

/// An open message.
#[derive(Debug)]
pub(super) struct IncomingMessage<T> {
    pub(super) transaction: T,
    pub(super) arrival: SystemTime,
    pub(super) client: Client,
    pub(super) sender: Result<ReversePath, InvalidAddress>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) collect: Collect,
    /// Header, empty line and body so far.
    pub(super) bytes: Vec<u8>,
    pub(super) names: HeaderNames,
    pub(super) limits: Limits,
    /// Number of RCPT commands. Recipients beyond the limit are counted, but not
    /// stored.
    recipients_given: usize,
    /// Bytes of memory that all of them would take.
    envelope_given: usize,
    /// Addresses in the header so far.
    addresses: usize,
    /// Upper bound of the number of MIME delimiters in the body.
    pub(super) delimiters: usize,
    /// The header is complete.
    in_body: bool,
    /// Bytes of memory for sender and recipients.
    envelope: usize,
    /// Capacity to reserve: the announced size.
    expected: usize,
}

impl<T> IncomingMessage<T> {
    pub(super) fn new(
        transaction: T,
        arrival: SystemTime,
        client: Client,
        mail: &Arguments<'_>,
        limits: Limits,
    ) -> Self {
        let sender = mail.address;
        Self {
            transaction,
            arrival,
            client,
            sender: ReversePath::parse_bytes(sender)
                .map_err(|error| invalid_address(sender, error)),
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
            address: Address::parse_bytes(address).map_err(|error| invalid_address(address, error)),
            mailer,
        });
    }

    /// Appends a header field in the form it had in the message: MTAs send folds as
    /// LF, the message has CRLF.
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
            // The MTA removed one space, if there was one: almost always.
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
            // Growing fourfold instead of twofold halves the copying of a large
            // message; memory that is not written to costs nothing.
            if self.bytes.capacity() - self.bytes.len() < data.len() {
                self.bytes
                    .reserve(data.len().max(3 * self.bytes.capacity()));
            }
            self.bytes.extend_from_slice(data);
            self.delimiters += delimiters(data);
        }
    }

    /// Discards what was collected; the message is answered with this verdict.
    pub(super) fn fail_with(&mut self, verdict: Verdict) {
        self.collect = Collect::Failed(verdict);
        self.bytes = Vec::new();
        self.names = HeaderNames::default();
        self.recipients = Vec::new();
        self.envelope = 0;
    }

    /// The limit that the message exceeds so far. `None` if it passes, or has failed.
    pub(super) fn excess(&self) -> Option<Excess> {
        let header = if self.in_body { 0 } else { self.bytes.len() };
        let measured = [
            (Measure::Size, self.bytes.len() + self.envelope_given),
            (Measure::HeaderSize, header),
            (Measure::HeaderFields, self.names.len()),
            (Measure::Recipients, self.recipients_given),
            (Measure::Addresses, self.addresses),
        ];
        // A message that is collected for its header alone has been accepted before,
        // and its header has grown since: only its size is checked.
        let measured = match self.collect {
            Collect::All => &measured[..],
            Collect::Header => &measured[..1],
            _ => &[],
        };
        let mut measured = measured.iter();
        measured.find_map(|&(measure, found)| self.limits.within(measure, found).err())
    }

    /// Bytes of memory that the message takes while it is collected.
    pub(super) fn held(&self) -> usize {
        self.envelope + self.bytes.len() + self.names.size()
    }
}

/// The size announced by the client (RFC 1870). Reserved memory need not grow, and
/// unused memory is never touched. The client may announce a wrong size.
fn announced_size(mail: &Arguments<'_>) -> Option<usize> {
    let digits = mail.parameters().find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"SIZE=").then_some(value)
    })?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Upper bound of the number of lines in a body chunk that start as the delimiter of
/// a MIME part (RFC 2046, section 5.1.1). One more may cross the chunk's border.
fn delimiters(chunk: &[u8]) -> usize {
    memchr::memmem::find_iter(chunk, b"\n--").count() + 1
}

fn invalid_address(raw: &[u8], error: AddressError) -> InvalidAddress {
    InvalidAddress::new(raw, error)
}

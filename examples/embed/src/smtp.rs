//! The SMTP side (RFC 5321): a session on `smtp-proto`'s parsers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use smtp_proto::request::receiver::{DataReceiver, DummyDataReceiver, RequestReceiver};
use smtp_proto::{Error as Malformed, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use waxseal::decision::Verdict;
use waxseal::intake::{Direction, Outgoing, Received};
use waxseal::message::{Address, Client, Content, ReversePath};
use waxseal::pipeline::Disposition;

use crate::deliver::{ReadyMessage, deliver};
use crate::host::Host;

/// How long a client may be silent (RFC 5321, section 4.5.3.2.7).
const SILENCE: Duration = Duration::from_secs(300);

/// Most recipients of one message (RFC 5321, section 4.5.3.1.8, asks for 100).
const RECIPIENTS: usize = 1000;

/// What the client is in the middle of.
enum Reading {
    Command(RequestReceiver),
    Message(DataReceiver, Vec<u8>),
    /// A message that is too large is read to its end, and refused there.
    TooLarge(DummyDataReceiver),
}

/// A message that is being taken in, from its MAIL command on.
struct Transaction {
    /// The right to have it processed, by the version that was active at MAIL.
    outgoing: Outgoing,
    sender: ReversePath,
    recipients: Vec<Address>,
}

/// Serves a client until it goes.
pub(crate) async fn serve(stream: TcpStream, address: SocketAddr, host: Arc<Host>) {
    let mut session = Session {
        host,
        client: Client::default().with_address(address.ip()),
        transaction: None,
        out: Vec::new(),
        over: false,
    };
    if let Err(error) = session.run(stream).await {
        tracing::info!(client = %address, "the connection ended: {error}");
    }
}

struct Session {
    host: Arc<Host>,
    client: Client,
    transaction: Option<Transaction>,
    /// Replies that are not written yet: pipelined commands are answered
    /// together.
    out: Vec<u8>,
    over: bool,
}

impl Session {
    async fn run(&mut self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reading = Reading::Command(RequestReceiver::default());
        let mut buffer = vec![0; 16 << 10];
        self.reply(220, "", "waxseal-embed ESMTP");
        while !self.over {
            stream.write_all(&self.out).await?;
            self.out.clear();
            let Ok(read) = timeout(SILENCE, stream.read(&mut buffer)).await else {
                self.reply(421, "4.4.2", "silent for too long");
                break;
            };
            let mut bytes = match read? {
                0 => return Ok(()),
                read => buffer[..read].iter(),
            };
            while !self.over && !bytes.as_slice().is_empty() {
                reading = self.step(reading, &mut bytes).await;
            }
        }
        stream.write_all(&self.out).await
    }

    async fn step(&mut self, reading: Reading, bytes: &mut std::slice::Iter<'_, u8>) -> Reading {
        match reading {
            Reading::Command(mut receiver) => {
                let begun = match receiver.ingest(bytes) {
                    Ok(request) => self.command(request.into_owned()),
                    Err(Malformed::NeedsMoreData { .. }) => None,
                    Err(malformed) => {
                        self.malformed(&malformed);
                        None
                    }
                };
                begun.unwrap_or(Reading::Command(receiver))
            }
            Reading::Message(mut receiver, mut message) => {
                let ended = receiver.ingest(bytes, &mut message);
                if message.len() > self.largest() {
                    if ended {
                        return self.too_large();
                    }
                    return Reading::TooLarge(DummyDataReceiver::new_data(&receiver));
                }
                if !ended {
                    return Reading::Message(receiver, message);
                }
                self.message(message).await;
                Reading::Command(RequestReceiver::default())
            }
            Reading::TooLarge(mut receiver) => match receiver.ingest(bytes) {
                true => self.too_large(),
                false => Reading::TooLarge(receiver),
            },
        }
    }

    /// Answers a command. Gives what is read next where that is no command.
    fn command(&mut self, request: Request<String>) -> Option<Reading> {
        match request {
            Request::Ehlo { host } => {
                self.client.helo = Some(host);
                self.transaction = None;
                let size = self.largest();
                self.reply(
                    250,
                    "",
                    &format!(
                        "waxseal-embed\nSIZE {size}\n8BITMIME\nPIPELINING\nENHANCEDSTATUSCODES"
                    ),
                );
            }
            Request::Helo { host } => {
                self.client.helo = Some(host);
                self.transaction = None;
                self.reply(250, "", "waxseal-embed");
            }
            Request::Mail { from } => self.mail(&from.address),
            Request::Rcpt { to } => self.recipient(&to.address),
            Request::Data => return self.data(),
            Request::Rset => {
                self.transaction = None;
                self.reply(250, "2.0.0", "forgotten");
            }
            Request::Noop { .. } => self.reply(250, "2.0.0", "still here"),
            Request::Quit => {
                self.reply(221, "2.0.0", "until next time");
                self.over = true;
            }
            other => {
                let text = format!("{} is not offered here", other.name());
                self.reply(502, "5.5.1", &text);
            }
        }
        None
    }

    fn mail(&mut self, sender: &str) {
        if self.transaction.is_some() {
            return self.reply(503, "5.5.1", "one message at a time");
        }
        let begun = self.host.begin();
        let Direction::Outgoing(outgoing) = begun.classify(&self.client, false) else {
            return self.reply(
                550,
                "5.7.1",
                "this server takes mail of listed networks only",
            );
        };
        match ReversePath::parse_bytes(sender.as_bytes()) {
            Ok(sender) => {
                self.transaction = Some(Transaction {
                    outgoing,
                    sender,
                    recipients: Vec::new(),
                });
                self.reply(250, "2.1.0", "go on");
            }
            Err(error) => self.reply(553, "5.1.7", &format!("the sender: {error}")),
        }
    }

    fn recipient(&mut self, recipient: &str) {
        let Some(transaction) = &mut self.transaction else {
            return self.reply(503, "5.5.1", "MAIL comes first");
        };
        let address = match Address::parse(recipient) {
            Ok(address) => address,
            Err(error) => return self.reply(553, "5.1.3", &format!("the recipient: {error}")),
        };
        let config = transaction.outgoing.snapshot().config();
        // Local and remote recipients go to different servers, one of which may fail:
        // without a queue, that takes two transactions. Clients send the rest
        // in another one (RFC 5321, section 4.5.3.1.10).
        let first = transaction.recipients.first();
        let mixed = first.is_some_and(|first| config.is_local(first) != config.is_local(&address));
        if mixed || transaction.recipients.len() >= RECIPIENTS {
            return self.reply(452, "4.5.3", "send this recipient's copy by itself");
        }
        transaction.recipients.push(address);
        self.reply(250, "2.1.5", "go on");
    }

    fn data(&mut self) -> Option<Reading> {
        let recipients = self.transaction.as_ref().map(|it| it.recipients.len());
        if recipients.unwrap_or(0) == 0 {
            self.reply(503, "5.5.1", "MAIL and RCPT come first");
            return None;
        }
        self.reply(354, "", "end with a line that is a dot");
        let mut receiver = DataReceiver::new();
        // The line before the first is the command's: a message may begin with
        // the dot that ends it.
        receiver.ingest(&mut b"\r\n".iter(), &mut Vec::new());
        Some(Reading::Message(receiver, Vec::new()))
    }

    /// Decides, delivers, and only then answers.
    async fn message(&mut self, message: Vec<u8>) {
        let Some(transaction) = self.transaction.take() else {
            return self.reply(503, "5.5.1", "MAIL comes first");
        };
        let outgoing = transaction.outgoing;
        let snapshot = Arc::clone(outgoing.snapshot());
        let received = Received {
            queue_id: queue_id(),
            client: self.client.clone(),
            sender: Ok(transaction.sender),
            recipients: transaction.recipients.into_iter().map(Ok).collect(),
            arrival: Timestamp::now(),
            content: Content::new(message),
        };
        let message = match outgoing.message(received) {
            Ok(message) => Arc::new(message),
            Err(reply) => return self.reply(reply.code, &reply.enhanced, &reply.text),
        };
        let queue_id = message.envelope.queue_id.as_str();
        let intake = self.host.engine.intake();
        let outcome = intake.process(outgoing, Arc::clone(&message)).await;
        match &outcome.verdict() {
            Verdict::Accept => {}
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                return self.reply(reply.code, &reply.enhanced, &reply.text);
            }
            Verdict::Discard => return self.reply(250, "2.0.0", &format!("taken as {queue_id}")),
            // There is no queue to hold it in.
            Verdict::Hold(why) => return self.reply(451, "4.7.1", &format!("held: {why}")),
        }
        // None: the policy failed, and `policy.on-error` accepts its messages
        // unchanged.
        let delivery = outcome.delivery();
        let mut recipients: Vec<String> = message
            .envelope
            .recipients
            .iter()
            .map(|recipient| recipient.address.to_string())
            .collect();
        recipients.extend(
            delivery
                .iter()
                .flat_map(|it| it.copies())
                .map(ToString::to_string),
        );
        let ready = ReadyMessage {
            sender: delivery
                .map_or(&message.envelope.sender, |it| &it.return_path)
                .clone(),
            recipients,
            message: match delivery {
                Some(delivery) => delivery.edits.apply(&message.content),
                None => message.content.bytes().to_vec(),
            },
        };
        let route = self.host.route(&snapshot, delivery);
        match deliver(&ready, &route).await {
            Ok(server) => {
                tracing::info!(queue_id, server, "sent: {}", outcome.reasons.join("; "));
                if let Disposition::Deliver(delivery) = outcome.disposition {
                    delivery.charge.confirm();
                }
                self.reply(250, "2.0.0", &format!("sent as {queue_id} by {server}"));
            }
            Err(error) => {
                tracing::error!(queue_id, "not sent: {error:#}");
                self.reply(451, "4.4.1", "nobody takes it now, try again later");
            }
        }
    }

    fn too_large(&mut self) -> Reading {
        self.transaction = None;
        self.reply(552, "5.3.4", "the message is too large");
        Reading::Command(RequestReceiver::default())
    }

    /// Bytes of the largest message.
    fn largest(&self) -> usize {
        match &self.transaction {
            Some(transaction) => transaction.outgoing.snapshot().config().limits.message.size,
            None => self.host.begin().limits().0.size,
        }
    }

    fn malformed(&mut self, malformed: &Malformed) {
        let (code, enhanced) = match malformed {
            Malformed::UnknownCommand => (500, "5.5.2"),
            Malformed::InvalidSenderAddress => (501, "5.1.7"),
            Malformed::InvalidRecipientAddress => (501, "5.1.3"),
            Malformed::UnsupportedParameter { .. } => (555, "5.5.4"),
            Malformed::ResponseTooLong => {
                self.over = true;
                (500, "5.5.2")
            }
            _ => (501, "5.5.4"),
        };
        self.reply(code, enhanced, "that is no command of RFC 5321");
    }

    /// A reply; lines of the text are separated by LF.
    fn reply(&mut self, code: u16, enhanced: &str, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let space = if enhanced.is_empty() { "" } else { " " };
            let line = format!("{code}{separator}{enhanced}{space}{line}\r\n");
            self.out.extend_from_slice(line.as_bytes());
        }
    }
}

/// A name for the log, unlike any other of this process.
fn queue_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let started = Timestamp::now().as_microsecond();
    format!("{started:X}{:X}", NEXT.fetch_add(1, Ordering::Relaxed))
}

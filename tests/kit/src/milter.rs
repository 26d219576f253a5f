//! A milter client that behaves like an MTA, for tests, the benchmark and crash tests.
//!
//! [`MtaProfile`] defines the MTA: version, offered options, frames. [`Client::send`] sends a complete message and collects all
//! replies; single steps are for tests that violate the protocol. Blocking, standard library only, and independent of the server's
//! codec, so that a defect there is visible.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Protocol flags (`SMFIP_…`) that a client evaluates.
pub mod protocol_flags {
    /// SKIP is a valid reply to a body chunk.
    pub const SKIP: u32 = 0x400;
    /// Header values with their leading space.
    pub const LEADING_SPACE: u32 = 0x10_0000;
    /// The flag by which a command has no reply, if there is one.
    pub fn quiet(command: u8) -> u32 {
        match command {
            b'C' => 0x1000,
            b'H' => 0x2000,
            b'M' => 0x4000,
            b'R' => 0x8000,
            b'T' => 0x1_0000,
            b'U' => 0x2_0000,
            b'L' => 0x80,
            b'N' => 0x4_0000,
            b'B' => 0x8_0000,
            _ => 0,
        }
    }
}

/// Behavior of an MTA.
#[derive(Clone, Debug)]
pub struct MtaProfile {
    /// Offered version.
    pub version: u32,
    /// Offered actions.
    pub actions: u32,
    /// Offered protocol flags.
    pub protocol_flags: u32,
    /// Sends DATA (version 4 and later).
    pub data: bool,
    /// Maximum bytes of a body chunk.
    pub chunk: usize,
    /// Macros before commands: command, names and values.
    pub macros: Vec<(u8, Vec<(String, String)>)>,
    /// The data of CONNECT.
    pub connect: Vec<u8>,
    /// Whether addresses have angle brackets.
    pub brackets: bool,
}

impl MtaProfile {
    /// Postfix 3.7, an SMTP client at 192.0.2.7, no login.
    pub fn postfix() -> Self {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect()
        };
        Self {
            version: 6,
            actions: 0x1ff,
            protocol_flags: 0x1f_ffff,
            data: true,
            chunk: 65_535,
            macros: vec![
                (
                    b'C',
                    pairs(&[("v", "Postfix 3.7.11"), ("{daemon_name}", "mx.test")]),
                ),
                (
                    b'R',
                    pairs(&[("{rcpt_mailer}", "smtp"), ("{rcpt_host}", "example.org")]),
                ),
                (b'T', pairs(&[("i", "4F00D")])),
                (b'E', pairs(&[("i", "4F00D")])),
            ],
            connect: b"client.test\x004\x9c\x40192.0.2.7\0".to_vec(),
            brackets: true,
        }
    }

    /// Postfix 3.7 with a logged-in client.
    pub fn postfix_with_login(user: &str) -> Self {
        let mut profile = Self::postfix();
        profile
            .macros
            .push((b'M', vec![("{auth_authen}".into(), user.into())]));
        profile
    }

    /// Postfix 3.7 for a message of the `sendmail` command.
    pub fn postfix_local() -> Self {
        Self {
            connect: b"localhost\x004\0\x00127.0.0.1\0".to_vec(),
            brackets: false,
            ..Self::postfix()
        }
    }

    /// Sendmail 8.17.
    pub fn sendmail() -> Self {
        Self {
            protocol_flags: 0x301f_ffff,
            ..Self::postfix()
        }
    }

    /// An MTA of that older version: every command has a reply.
    pub fn version(version: u32) -> Self {
        let protocol_flags = match version {
            2 => 0x7f,
            3 => 0x17f,
            _ => 0x37f,
        };
        Self {
            version,
            actions: 0x3f,
            protocol_flags,
            data: version >= 4,
            ..Self::postfix()
        }
    }
}

/// Bytes read at once: all replies to a message except for its new body.
const READ: usize = 8192;

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A reply: its byte and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `c`, `a`, `y`, …
    pub name: u8,
    /// The data.
    pub data: Vec<u8>,
}

impl Reply {
    /// A reply without data.
    pub fn bare(name: u8) -> Self {
        Self {
            name,
            data: Vec::new(),
        }
    }

    /// The data as text, with NUL displayed as `|`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).replace('\0', "|")
    }

    /// Whether it ends a message.
    pub fn is_final(&self) -> bool {
        matches!(self.name, b'a' | b'c' | b'd' | b'r' | b't' | b'y')
    }
}

/// A message that a client sends.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Envelope sender without brackets.
    pub sender: String,
    /// Envelope recipients without brackets.
    pub recipients: Vec<String>,
    /// Header fields: names, and raw values with leading space and CRLF folds.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Mail {
    /// A short message with that body.
    pub fn with_body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            sender: "alice@example.org".into(),
            recipients: vec!["bob@example.net".into()],
            fields: vec![
                ("From".into(), b" alice@example.org".to_vec()),
                ("Subject".into(), b" a test\r\n\tof folds".to_vec()),
            ],
            body: body.into(),
        }
    }

    /// Header and body as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A connection to a milter.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    profile: MtaProfile,
    /// Encoded macro frames: one for each command that has any.
    macros: Vec<(u8, Vec<u8>)>,
    agreed_steps: u32,
    /// The reply to the offer: version, actions, flags, macro lists.
    pub negotiated: Vec<u8>,
    out: Vec<u8>,
    /// Bytes that were read; those from `taken` on are not processed yet.
    read: Vec<u8>,
    taken: usize,
}

impl Client {
    /// Connects over TCP and negotiates.
    ///
    /// # Errors
    ///
    /// If the milter is not reachable, or does not negotiate.
    pub fn tcp(address: SocketAddr, profile: MtaProfile) -> io::Result<Self> {
        Self::over(Stream::Tcp(TcpStream::connect(address)?), profile)
    }

    /// Connects over a socket file and negotiates.
    ///
    /// # Errors
    ///
    /// As [`Client::tcp`].
    pub fn unix(path: &Path, profile: MtaProfile) -> io::Result<Self> {
        Self::over(Stream::Unix(UnixStream::connect(path)?), profile)
    }

    fn over(stream: Stream, profile: MtaProfile) -> io::Result<Self> {
        let patience = Some(Duration::from_secs(30));
        match &stream {
            Stream::Tcp(stream) => stream.set_read_timeout(patience)?,
            Stream::Unix(stream) => stream.set_read_timeout(patience)?,
        }
        let macros = profile.macros.iter().map(|(stage, pairs)| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{name}\0{value}\0"));
            (
                *stage,
                pairs.fold(vec![*stage], |frame, pair| {
                    [frame, pair.into_bytes()].concat()
                }),
            )
        });
        let mut client = Self {
            macros: macros.collect(),
            stream,
            profile,
            agreed_steps: 0,
            negotiated: Vec::new(),
            out: Vec::new(),
            read: Vec::new(),
            taken: 0,
        };
        let offer = [
            client.profile.version,
            client.profile.actions,
            client.profile.protocol_flags,
        ];
        client.put(b'O', &offer.map(u32::to_be_bytes).concat());
        let answer = client.reply()?;
        if answer.name != b'O' || answer.data.len() < 12 {
            return Err(io::Error::other(format!("not a negotiation: {answer:?}")));
        }
        client.agreed_steps = word(&answer.data, 8);
        client.negotiated = answer.data;
        Ok(client)
    }

    /// Version, actions and flags of the reply.
    pub fn agreed(&self) -> [u32; 3] {
        [0, 4, 8].map(|at| word(&self.negotiated, at))
    }

    /// Appends a frame to the buffer.
    pub fn put(&mut self, command: u8, data: &[u8]) {
        put(&mut self.out, command, data);
    }

    /// Writes the buffer.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.stream.io().write_all(&self.out);
        self.out.clear();
        written
    }

    /// Writes the buffer and waits for a reply.
    ///
    /// # Errors
    ///
    /// If the connection broke, or nothing arrived for 30 s.
    pub fn reply(&mut self) -> io::Result<Reply> {
        self.flush()?;
        let mut length = [0; 4];
        length.copy_from_slice(self.next_bytes(4)?);
        match self.next_bytes(u32::from_be_bytes(length) as usize)? {
            [name, data @ ..] => Ok(Reply {
                name: *name,
                data: data.to_vec(),
            }),
            [] => Err(io::Error::other("an empty reply")),
        }
    }

    /// The next bytes from the milter; waits for them if necessary.
    fn next_bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.taken == self.read.len() {
            self.read.clear();
            self.taken = 0;
        }
        while self.read.len() - self.taken < wanted {
            let filled = self.read.len();
            self.read.resize(filled + READ, 0);
            let read = self.stream.io().read(&mut self.read[filled..]);
            self.read.truncate(filled + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let from = self.taken;
        self.taken += wanted;
        Ok(&self.read[from..self.taken])
    }

    /// Waits until the milter closes the connection; true if it sent nothing before.
    ///
    /// # Errors
    ///
    /// If it neither closes nor sends for 30 s.
    pub fn closed(&mut self) -> io::Result<bool> {
        let _ = self.flush();
        if self.taken < self.read.len() {
            return Ok(false);
        }
        match self.stream.io().read(&mut [0]) {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Sends a command with its macros, and waits for the reply if there is one.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn command(&mut self, command: u8, data: &[u8]) -> io::Result<Option<Reply>> {
        let macros = self.macros.iter().find(|(stage, _)| *stage == command);
        if let Some((_, frame)) = macros {
            put(&mut self.out, b'D', frame);
        }
        self.put(command, data);
        if self.agreed_steps & protocol_flags::quiet(command) != 0 {
            return Ok(None);
        }
        self.reply().map(Some)
    }

    /// Sends a command without data, and does not wait.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn command_without_reply(&mut self, command: u8) -> io::Result<()> {
        self.put(command, b"");
        self.flush()
    }

    /// Sends CONNECT and HELO.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn greet(&mut self) -> io::Result<()> {
        let connect = self.profile.connect.clone();
        self.command(b'C', &connect)?;
        self.command(b'H', b"client.test\0")?;
        Ok(())
    }

    /// Sends the envelope, DATA included.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn envelope(&mut self, mail: &Mail) -> io::Result<Option<Reply>> {
        let sender = self.path(&mail.sender);
        self.command(b'M', &sender)?;
        for recipient in &mail.recipients {
            let recipient = self.path(recipient);
            self.command(b'R', &recipient)?;
        }
        if self.profile.data {
            self.command(b'T', b"")
        } else {
            Ok(None)
        }
    }

    /// Sends a complete message; returns all replies to it, the final one last.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn send(&mut self, mail: &Mail) -> io::Result<Vec<Reply>> {
        if let Some(early) = self.envelope(mail)?.filter(|reply| reply.name != b'c') {
            return Ok(vec![early]);
        }
        // Postfix passes the message from smtpd to cleanup here, with an empty buffer.
        self.flush()?;
        if let Some(early) = self.content(mail)? {
            return Ok(vec![early]);
        }
        self.end_of_message()
    }

    /// Sends header and body; returns a reply that ended the message early.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn content(&mut self, mail: &Mail) -> io::Result<Option<Reply>> {
        let leading = self.agreed_steps & protocol_flags::LEADING_SPACE != 0;
        for (name, value) in &mail.fields {
            let value = match value.strip_prefix(b" ") {
                Some(rest) if !leading => rest,
                _ => value,
            };
            let unfolded: Vec<u8> = value
                .iter()
                .copied()
                .filter(|&byte| byte != b'\r')
                .collect();
            let frame = [name.as_bytes(), b"\0", &unfolded, b"\0"].concat();
            if let Some(early) = self.settling(b'L', &frame)? {
                return Ok(Some(early));
            }
        }
        if let Some(early) = self.settling(b'N', b"")? {
            return Ok(Some(early));
        }
        for chunk in mail.body.chunks(self.profile.chunk) {
            match self.settling(b'B', chunk)? {
                Some(skip) if skip.name == b's' => break,
                Some(early) => return Ok(Some(early)),
                None => {}
            }
        }
        Ok(None)
    }

    /// Sends the end of the message; returns all replies, the final one last.
    ///
    /// # Errors
    ///
    /// As [`Client::reply`].
    pub fn end_of_message(&mut self) -> io::Result<Vec<Reply>> {
        let mut replies: Vec<Reply> = self.command(b'E', b"")?.into_iter().collect();
        while !replies.last().is_some_and(Reply::is_final) {
            replies.push(self.reply()?);
        }
        Ok(replies)
    }

    fn settling(&mut self, command: u8, data: &[u8]) -> io::Result<Option<Reply>> {
        Ok(self
            .command(command, data)?
            .filter(|reply| reply.name != b'c'))
    }

    fn path(&self, address: &str) -> Vec<u8> {
        if self.profile.brackets {
            format!("<{address}>\0").into_bytes()
        } else {
            format!("{address}\0").into_bytes()
        }
    }
}

fn put(out: &mut Vec<u8>, command: u8, data: &[u8]) {
    let length = u32::try_from(data.len() + 1).expect("a frame below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(command);
    out.extend_from_slice(data);
}

fn word(data: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&data[at..at + 4]);
    u32::from_be_bytes(word)
}

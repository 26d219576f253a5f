//! What an MTA says.

use std::net::IpAddr;

use memchr::memchr;
use thiserror::Error;

/// One command of the MTA. Body chunks are not among them: they come in pieces,
/// as [`Frame::Body`](super::Frame::Body).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `O`: what the MTA offers; the first command of a connection.
    Negotiate(OptNeg),
    /// `D`: macros for the command that follows.
    Macros(Macros<'a>),
    /// `C`: an SMTP client connected.
    Connect {
        /// Its name, or its address in brackets.
        name: &'a [u8],
        /// Where it connected from.
        address: PeerAddress<'a>,
    },
    /// `H`: the name it gave.
    Helo(&'a [u8]),
    /// `M`: envelope sender, then ESMTP parameters.
    Mail(Arguments<'a>),
    /// `R`: envelope recipient, then ESMTP parameters.
    Rcpt(Arguments<'a>),
    /// `T`: DATA was given.
    Data,
    /// `L`: a header field.
    Header {
        /// Its name.
        name: &'a [u8],
        /// Its value; folds are LF and white space.
        value: &'a [u8],
    },
    /// `N`: the header is complete.
    EndOfHeader,
    /// `E`: the message is complete. May carry the last bytes of the body.
    EndOfBody(&'a [u8]),
    /// `U`: an SMTP command that the MTA does not know.
    Unknown(&'a [u8]),
    /// `A`: this message is given up; never answered.
    Abort,
    /// `Q`: the connection is over.
    Quit,
    /// `K`: this SMTP client is gone, another one follows on the same
    /// connection (Sendmail).
    QuitNewConnection,
}

/// Names of commands, body chunks included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the commands")]
pub enum Kind {
    Negotiate,
    Macros,
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    Header,
    EndOfHeader,
    Body,
    EndOfBody,
    Unknown,
    Abort,
    Quit,
    QuitNewConnection,
}

/// What the MTA offers in its first command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptNeg {
    /// Highest version it speaks.
    pub version: u32,
    /// What it lets milters change: bits of [`actions`](super::actions).
    pub actions: u32,
    /// How it can shape the conversation: bits of [`protocol_flags`](super::protocol_flags).
    pub protocol_flags: u32,
}

/// Where an SMTP client connected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress<'a> {
    /// The MTA does not know, or it was no connection at all.
    Unknown,
    /// A local socket.
    Local(&'a [u8]),
    /// A host on a network. Port 0 is what Postfix says for mail that was
    /// handed in by a command on its own host.
    Network {
        /// Address of the client.
        address: IpAddr,
        /// Port of the client.
        port: u16,
    },
}

/// A frame whose data is not what its command calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// No such command.
    #[error("{:?} is no milter command", char::from(*.0))]
    UnknownCommand(u8),
    /// The data ends too early, or a text does not end with NUL.
    #[error("the data of {0:?} is cut short")]
    Truncated(Kind),
    /// CONNECT with a family or an address that cannot be read.
    #[error("CONNECT names an address that cannot be read")]
    InvalidAddress,
}

impl<'a> Command<'a> {
    /// Reads a frame that is not a body chunk.
    ///
    /// # Errors
    ///
    /// Tells what of the data is missing.
    pub fn decode(name: u8, data: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match name {
            b'O' => Self::Negotiate(OptNeg::decode(data)?),
            b'D' => {
                let (&stage, pairs) = data
                    .split_first()
                    .ok_or(Malformed::Truncated(Kind::Macros))?;
                Self::Macros(Macros { stage, pairs })
            }
            b'C' => connect(data)?,
            b'H' => Self::Helo(text(data, Kind::Helo)?),
            b'M' => Self::Mail(Arguments::decode(data, Kind::Mail)?),
            b'R' => Self::Rcpt(Arguments::decode(data, Kind::Rcpt)?),
            b'T' => Self::Data,
            b'L' => {
                let (name, rest) = split(data, Kind::Header)?;
                Self::Header {
                    name,
                    value: text(rest, Kind::Header)?,
                }
            }
            b'N' => Self::EndOfHeader,
            b'E' => Self::EndOfBody(data),
            b'U' => Self::Unknown(data.strip_suffix(b"\0").unwrap_or(data)),
            b'A' => Self::Abort,
            b'Q' => Self::Quit,
            b'K' => Self::QuitNewConnection,
            _ => return Err(Malformed::UnknownCommand(name)),
        })
    }

    /// Which command this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Negotiate(_) => Kind::Negotiate,
            Self::Macros(_) => Kind::Macros,
            Self::Connect { .. } => Kind::Connect,
            Self::Helo(_) => Kind::Helo,
            Self::Mail(_) => Kind::Mail,
            Self::Rcpt(_) => Kind::Rcpt,
            Self::Data => Kind::Data,
            Self::Header { .. } => Kind::Header,
            Self::EndOfHeader => Kind::EndOfHeader,
            Self::EndOfBody(_) => Kind::EndOfBody,
            Self::Unknown(_) => Kind::Unknown,
            Self::Abort => Kind::Abort,
            Self::Quit => Kind::Quit,
            Self::QuitNewConnection => Kind::QuitNewConnection,
        }
    }
}

impl OptNeg {
    fn decode(data: &[u8]) -> Result<Self, Malformed> {
        // Bytes behind the third word are no business of a milter.
        match data {
            [a, b, c, d, e, f, g, h, i, j, k, l, ..] => Ok(Self {
                version: u32::from_be_bytes([*a, *b, *c, *d]),
                actions: u32::from_be_bytes([*e, *f, *g, *h]),
                protocol_flags: u32::from_be_bytes([*i, *j, *k, *l]),
            }),
            _ => Err(Malformed::Truncated(Kind::Negotiate)),
        }
    }
}

/// An address of the envelope and the ESMTP parameters behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// The address as it was given: in angle brackets from SMTP, without them
    /// from local submission, empty for the null sender there.
    pub address: &'a [u8],
    parameters: &'a [u8],
}

impl<'a> Arguments<'a> {
    fn decode(data: &'a [u8], kind: Kind) -> Result<Self, Malformed> {
        let (address, parameters) = split(data, kind)?;
        Ok(Self {
            address,
            parameters,
        })
    }

    /// ESMTP parameters (RFC 5321, section 4.1.1.11), as the client wrote them.
    pub fn parameters(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parameters
            .split(|&byte| byte == 0)
            .filter(|parameter| !parameter.is_empty())
    }
}

/// Macros that the MTA sends ahead of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macros<'a> {
    /// Byte of the command that they belong to.
    pub stage: u8,
    pairs: &'a [u8],
}

impl<'a> Macros<'a> {
    /// Names without their braces, and values. A name without a value, at the
    /// end of a frame that was cut, is left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || {
            let (name, behind) = rest.split_at_checked(memchr(0, rest)?)?;
            let value = &behind[1..];
            let end = memchr(0, value)?;
            rest = &value[end + 1..];
            let bare = name
                .strip_prefix(b"{")
                .and_then(|name| name.strip_suffix(b"}"))
                .unwrap_or(name);
            Some((bare, &value[..end]))
        })
    }
}

fn connect(data: &[u8]) -> Result<Command<'_>, Malformed> {
    let short = Malformed::Truncated(Kind::Connect);
    let (name, rest) = split(data, Kind::Connect)?;
    let (family, rest) = rest.split_first().ok_or(short)?;
    if *family == b'U' {
        return Ok(Command::Connect {
            name,
            address: PeerAddress::Unknown,
        });
    }
    let (port, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let address = text(rest, Kind::Connect)?;
    let address = match family {
        b'L' => PeerAddress::Local(address),
        b'4' | b'6' => PeerAddress::Network {
            address: parse_ip(address).ok_or(Malformed::InvalidAddress)?,
            port: u16::from_be_bytes(*port),
        },
        _ => return Err(Malformed::InvalidAddress),
    };
    Ok(Command::Connect { name, address })
}

/// An address as MTAs write it: RFC 5321's `IPv6:` in front is Sendmail's.
pub(in crate::milter) fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    let bare = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => &text[5..],
        _ => text,
    };
    bare.parse().ok()
}

/// What stands before the first NUL, and what stands behind it.
fn split(data: &[u8], kind: Kind) -> Result<(&[u8], &[u8]), Malformed> {
    let nul = memchr(0, data).ok_or(Malformed::Truncated(kind))?;
    Ok((&data[..nul], &data[nul + 1..]))
}

/// A text that is to end with NUL.
fn text(data: &[u8], kind: Kind) -> Result<&[u8], Malformed> {
    data.strip_suffix(b"\0").ok_or(Malformed::Truncated(kind))
}

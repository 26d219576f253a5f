//! Commands of an MTA.

use std::net::IpAddr;

use memchr::memchr;
use thiserror::Error;

/// A command of the MTA. Body chunks are separate, because they are decoded in
/// pieces: [`Frame::Body`](super::Frame::Body).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `O`: option negotiation, the first command of a connection.
    Negotiate(OptNeg),
    /// `D`: macros for the next command.
    Macros(Macros<'a>),
    /// `C`: an SMTP client connected.
    Connect {
        /// Its host name, or its address in brackets.
        name: &'a [u8],
        /// Its address.
        address: PeerAddress<'a>,
    },
    /// `H`: HELO or EHLO name.
    Helo(&'a [u8]),
    /// `M`: envelope sender, then ESMTP parameters.
    Mail(Arguments<'a>),
    /// `R`: envelope recipient, then ESMTP parameters.
    Rcpt(Arguments<'a>),
    /// `T`: DATA.
    Data,
    /// `L`: a header field.
    Header {
        /// Its name.
        name: &'a [u8],
        /// Its value; folds are LF and white space.
        value: &'a [u8],
    },
    /// `N`: end of the header.
    EndOfHeader,
    /// `E`: end of the message, with the last bytes of the body or none.
    EndOfBody(&'a [u8]),
    /// `U`: an SMTP command that the MTA does not know.
    Unknown(&'a [u8]),
    /// `A`: the message is aborted; never answered.
    Abort,
    /// `Q`: end of the connection.
    Quit,
    /// `K`: end of this SMTP client; another one follows on the same connection
    /// (Sendmail).
    QuitNewConnection,
}

/// Kinds of commands, body chunks included.
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

/// Options: offered by the MTA in `SMFIC_OPTNEG`, and selected in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptNeg {
    /// Protocol version; the highest supported one in an offer.
    pub version: u32,
    /// Permitted changes: bits of [`actions`](super::actions).
    pub actions: u32,
    /// Commands and replies to omit: bits of
    /// [`protocol_flags`](super::protocol_flags).
    pub protocol_flags: u32,
}

/// Address of an SMTP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress<'a> {
    /// Unknown, or there is no connection.
    Unknown,
    /// A local socket.
    Local(&'a [u8]),
    /// A host on a network. With port 0, Postfix presents mail of the `sendmail`
    /// command.
    Network {
        /// Address of the client.
        address: IpAddr,
        /// Port of the client.
        port: u16,
    },
}

/// A frame with invalid data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Unknown command.
    #[error("unknown milter command {:?}", char::from(*.0))]
    UnknownCommand(u8),
    /// The data ends early, or a string is not terminated by NUL.
    #[error("{0:?}: truncated data")]
    Truncated(Kind),
    /// CONNECT with an invalid family or address.
    #[error("Connect: invalid address")]
    InvalidAddress,
}

impl<'a> Command<'a> {
    /// Decodes a frame that is not a body chunk.
    ///
    /// # Errors
    ///
    /// The command is unknown, or its data is invalid.
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

    /// The kind of command.
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
        // Bytes after the third word are reserved.
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

/// Arguments of MAIL and RCPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// The address: in angle brackets from SMTP, without them from local submission,
    /// and empty for the null sender there.
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

    /// ESMTP parameters (RFC 5321, section 4.1.1.11), as sent by the client.
    pub fn parameters(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parameters
            .split(|&byte| byte == 0)
            .filter(|parameter| !parameter.is_empty())
    }
}

/// Macros that precede a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macros<'a> {
    /// Byte of that command.
    pub stage: u8,
    pairs: &'a [u8],
}

impl<'a> Macros<'a> {
    /// Names without braces, and values. A name without a value, at the end of a
    /// truncated frame, is omitted.
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

/// Parses an IP address, with or without the prefix `IPv6:` (RFC 5321; Sendmail
/// writes it).
pub(crate) fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    let bare = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => &text[5..],
        _ => text,
    };
    bare.parse().ok()
}

/// Splits at the first NUL.
fn split(data: &[u8], kind: Kind) -> Result<(&[u8], &[u8]), Malformed> {
    let nul = memchr(0, data).ok_or(Malformed::Truncated(kind))?;
    Ok((&data[..nul], &data[nul + 1..]))
}

/// A string terminated by NUL.
fn text(data: &[u8], kind: Kind) -> Result<&[u8], Malformed> {
    data.strip_suffix(b"\0").ok_or(Malformed::Truncated(kind))
}

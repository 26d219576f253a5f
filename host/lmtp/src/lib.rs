//! An LMTP server (RFC 2033): the side of a delivery agent to which Postfix's
//! lmtp(8), or another MTA, hands messages, and which answers for each recipient.
//!
//! Implement [`Handler`], and run it with [`Server`]:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use waxseal_lmtp::{
//!     Delivery, Handler, Limits, ListenerSettings, Receipt, Replies, Reply, Server,
//! };
//!
//! struct Print;
//!
//! impl Handler for Print {
//!     async fn deliver(&self, delivery: Delivery, replies: Replies) -> Receipt {
//!         for recipient in &delivery.recipients {
//!             println!("{}: {} bytes", recipient.address, delivery.content.len());
//!             replies.set(recipient.position, Reply::delivered("printed"));
//!         }
//!         Receipt::none()
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = ListenerSettings::new("print", "unix:/run/print/lmtp.sock".parse()?);
//! let server = Server::bind(&[listener], Limits::default(), Arc::new(Print))?;
//! server.run(async { drop(tokio::signal::ctrl_c().await) }).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - The content is byte for byte what the client sent, in one buffer, without the
//!   dots that are added for transport. Only CRLF `.` CRLF ends it (RFC 5321,
//!   4.1.1.4); CR and LF outside of CRLF are rejected ([`BareNewlines`]).
//! - Each recipient gets exactly one reply, in order (RFC 2033, 4.2), as long as the
//!   client is there: that of the handler, or 451.
//! - A handler is not dropped because the client is gone, and learns which replies
//!   were written and read ([`Receipt`]).
//! - Text of replies cannot become a reply of its own, and is ASCII unless the message
//!   has SMTPUTF8.
//! - Memory is bounded ([`Limits::memory`]), and so is the time of each stage, whatever
//!   clients send. What a client declares by SIZE is compared with the limit, and not
//!   relied upon.
//!
//! # Protocol
//!
//! LHLO announces PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), DSN
//! (RFC 3461), ENHANCEDSTATUSCODES (RFC 2034), SIZE (RFC 1870) and XFORWARD (Postfix
//! `XFORWARD_README`). HELO and EHLO are refused with 500, VRFY is answered with 252.
//! There is no TLS and no AUTH: use a Unix socket, whose permissions say who may
//! deliver.
//!
//! Command lines have at most 4,096 bytes, and end with CRLF. Source routes are
//! refused. Attributes of XFORWARD last until the end of the transaction, RSET or LHLO.
//! After 20 protocol errors without a message in between, the connection is closed with
//! 421; refused addresses, and what was pipelined behind a refused command, do not
//! count.
//!
//! [`Session`] does no I/O, and can be used without the server.

mod command;
mod delivery;
mod envelope;
mod reply;
mod server;
mod session;

pub use delivery::{
    Acknowledgement, Answers, Delivery, Handler, Receipt, Recipient, Replies, ReplyStatus,
};
pub use envelope::{
    Address, Body, InvalidPath, Notify, OriginalRecipient, Ret, Source, XForward, XText,
};
pub use reply::{InvalidReply, Reply};
pub use server::{Limits, ListenerSettings, Server};
pub use session::{BareNewlines, Event, LONGEST_LINE, Session, SessionSettings};
pub use waxseal_system::server::{
    BindError, ByteBudget, Endpoint, InvalidEndpoint, SocketFile, UnixSocket,
};

//! A milter library: the server side of the protocol by which Postfix and Sendmail
//! let a program inspect, change and reject mail before the queue.
//!
//! Implement [`Filter`], and run it with [`Server`]:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use waxseal_milter::{Filter, Limits, Listener, ListenerSettings, Response, Server, Submission};
//!
//! struct Tag;
//!
//! impl Filter for Tag {
//!     type Transaction = ();
//!
//!     fn begin(&self, _: &Listener) {}
//!
//!     async fn filter(&self, (): (), message: Submission) -> Response {
//!         let bytes = message.content.bytes().len();
//!         Response::accept().with_header("X-Size", bytes.to_string())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = ListenerSettings::new("tag", "inet:127.0.0.1:8891".parse()?);
//! let server = Server::bind(&[listener], Limits::default(), Arc::new(Tag))?;
//! server.run(async { drop(tokio::signal::ctrl_c().await) }).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - Bytes of the message that no edit names are unchanged.
//! - A response is applied completely or not at all: all edits and the final reply
//!   are one write, and a response that this MTA cannot apply defers the message.
//! - A message that the filter does not want ([`Interest::Pass`]) is not held in
//!   memory.
//! - An error defers one message, or closes one connection, and is logged once
//!   ([`tracing`]).
//! - Memory is bounded ([`Limits::memory`]), whatever clients and MTA send.
//!
//! # Types of messages and edits
//!
//! [`Content`], [`Edits`], [`Verdict`] and the like are those of the crate
//! `waxseal-core`. This crate exports the ones that its signatures contain, so that a
//! milter needs no other dependency.
//!
//! # Protocol
//!
//! Versions 2 to 6, as specified by libmilter's `mfdef.h` and Postfix's
//! `milter8.c`. Sendmail sends several SMTP clients over one connection
//! (`SMFIC_QUIT_NC`), keeps counting deleted header fields, and has no
//! `milter_header_checks`, so that [`Response::transient_headers`] have no effect.
//! Postfix sends the queue id from DATA on, and presents mail from the `sendmail`
//! command as a client on port 0, with addresses without angle brackets.
//!
//! The modules [`codec`], [`negotiation`], [`session`] and [`response`] do no I/O.
//! They are public for fuzzing and tests, and not covered by semantic versioning.

#[doc(hidden)]
pub mod codec;
mod executor;
mod filter;
mod header_names;
mod listener;
#[doc(hidden)]
pub mod negotiation;
mod receipt;
#[doc(hidden)]
pub mod response;
mod server;
#[doc(hidden)]
pub mod session;
mod submission;

pub use executor::{Executor, InlineExecutor, Job, NotProcessed};
pub use filter::{Filter, Interest, Response};
#[doc(hidden)]
pub use header_names::HeaderNames;
pub use listener::Listener;
pub use negotiation::EarlyAccept;
pub use receipt::{Receipt, ReplyStatus};
pub use server::{Limits, ListenerSettings, Server};
pub use submission::{EnvelopeInfo, Recipient, Submission};
pub use waxseal_core::decision::{Reply, Verdict};
pub use waxseal_core::edit::{Edits, HeaderEdit, TransientHeader};
pub use waxseal_core::message::{
    Address, Client, Content, InvalidAddress, Limits as MessageLimits, ReversePath,
};
pub use waxseal_system::server::{BindError, Endpoint, InvalidEndpoint, SocketFile, UnixSocket};

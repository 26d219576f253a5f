//! The milter server: what Postfix and Sendmail talk to.
//!
//! | module | what |
//! | --- | --- |
//! | [`codec`] | frames, commands and replies |
//! | [`negotiation`] | what a connection agrees on, versions 2 to 6 |
//! | [`session`] | one connection as a state machine, no I/O |
//! | [`response`] | what was decided, as one buffer of replies |
//! | [`filter`] | the seam to whatever decides |
//! | [`server`] | sockets, limits, an orderly stop |
//!
//! What it promises: a message that passes is not touched and not held in
//! memory; a message that is edited is edited whole or not at all; whatever
//! goes wrong costs one message a temporary failure, or one connection its
//! life, and is told in one log line.
//!
//! Differences between MTAs that show here: Sendmail sends several SMTP clients
//! over one connection (`QuitNewConnection`), counts deleted header fields on,
//! and has no `milter_header_checks`, so that a [`TransientHeader`](crate::edit::TransientHeader) does nothing there;
//! Postfix names the queue id from DATA on only, and shows mail from its own
//! host's `sendmail` as a client on port 0 with addresses without brackets.

pub mod codec;
pub mod filter;
pub mod negotiation;
pub mod response;
pub mod server;
pub mod session;

pub use filter::{
    EnvelopeInfo, Filter, Interest, InvalidAddress, Listener, Receipt, Recipient, ReplyStatus,
    Response, Submission,
};
pub use negotiation::EarlyAccept;
pub use server::{BindError, Endpoint, Limits, ListenerSettings, Server, UnixSocket};
pub(crate) use server::{SocketFile, bind_unix};

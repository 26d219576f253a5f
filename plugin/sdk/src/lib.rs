//! What the author of a Waxseal mail policy depends on.
//!
//! A policy is a WebAssembly component that says, for each outgoing message,
//! which relays it takes, what it is charged to, which envelope sender it leaves
//! with, which domains sign it and what is added to it. It is a pure function:
//! message and facts in, [`Decision`] out. The host carries the decision out.
//!
//! A whole policy:
//!
//! ```
//! use waxseal_policy::{Decision, Facts, Message};
//!
//! fn decide(message: &Message, _: &Facts) -> Result<Decision, String> {
//!     if message.has_trait("bulk") {
//!         return Ok(Decision::accept().relay("bulk").reason("bulk mail has a relay of its own"));
//!     }
//!     Ok(Decision::accept())
//! }
//!
//! waxseal_policy::export!(fn decide);
//!
//! // Off wasm, a message is a value that a test can make.
//! let newsletter = Message::builder().with_trait("bulk").build();
//! let decision = decide(&newsletter, &Facts::default()).expect("a decision");
//! assert_eq!(decision.route[0].relay, "bulk");
//! ```
//!
//! Built as a `cdylib` with `cargo build --target wasm32-wasip2` this is a
//! component that the host loads; nothing else is needed. A policy with settings
//! implements [`Policy`] and names the type instead: `export!(Acme)`.
//!
//! # What a policy should know
//!
//! - `configure` runs once; the host keeps the memory it leaves, and every
//!   message begins from there. Work out beforehand what can be.
//! - Nothing that `decide` changes is seen by the next message.
//! - A panic is told to the administrator with its text and place (see
//!   [`export!`]) and costs that message what the host is set to do when a policy
//!   fails. So is an error that `decide` returns. A refusal is neither: it is
//!   [`Decision::reject`].
//! - `std::collections::HashMap` asks for randomness when the first one is made.
//!   It gets it, fixed for the message; a `BTreeMap` or a sorted `Vec` needs none.
//! - Files, sockets, environment and arguments are empty or denied. What is
//!   printed is a line of the log, as by [`info!`].

#[doc(hidden)]
pub mod bindings;
mod decision;
mod export;
pub mod log;
mod message;
#[cfg(not(target_family = "wasm"))]
mod native;
mod policy;
#[cfg(all(target_family = "wasm", feature = "quiet-wasi"))]
mod quiet_wasi;

pub use bindings::exports::waxseal::policy::setup::{
    Configured, Description, Problem, Reference, ReferenceKind,
};
pub use bindings::waxseal::policy::facts::Datetime;
pub use bindings::waxseal::policy::mail::{Attachment, Mailbox, Recipient};
pub use bindings::waxseal::policy::types::{
    AuthorRewrite, Charge, Decision, Disclaimer, HeaderChange, HeaderField, Hop, Placement, Reply,
    ReturnPath, Unit, Verdict, WhenFull,
};
pub use decision::counter_name;
pub use message::{Facts, Message};
#[cfg(not(target_family = "wasm"))]
pub use native::{FactsBuilder, MessageBuilder};
pub use policy::Policy;

/// What [`export!`] expands to. Not for anybody else.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Slot, configure, configure_nothing, decide, describe};
}

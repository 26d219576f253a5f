//! SDK for authors of Waxseal mail policies.
//!
//! A policy is a WebAssembly component that decides, for each outgoing message, which relays it is sent by, which counters
//! it is charged to, which envelope sender and DKIM signatures it gets, and what is added to it. It is a pure function:
//! message and facts in, [`Decision`] out. The host applies the decision.
//!
//! A complete policy:
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
//! // On other targets, a message is a value that a test can create.
//! let newsletter = Message::builder().with_trait("bulk").build();
//! let decision = decide(&newsletter, &Facts::default()).expect("a decision");
//! assert_eq!(decision.route[0].relay, "bulk");
//! ```
//!
//! Built as a `cdylib` with `cargo build --target wasm32-wasip2` this is a component that the host loads; nothing else is
//! needed. A policy with settings implements [`Policy`] and exports the type instead: `export!(Acme)`.
//!
//! # Execution
//!
//! - `configure` runs once; the host snapshots its memory, and every message starts from there. Precompute there what is
//!   possible.
//! - Changes that `decide` makes are not visible to the next message.
//! - A panic is logged with its text and location (see [`export!`]), and the host's `on-error` setting applies to the
//!   message. The same holds for an error that `decide` returns. To reject a message, return [`Decision::reject`].
//! - `std::collections::HashMap` requests randomness when the first one is created. It is fixed for the message; a `BTreeMap`
//!   or a sorted `Vec` needs none.
//! - Files, sockets, environment and arguments are empty or denied. Output is written to the log, as by [`info!`].

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

/// Used by [`export!`]. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Slot, configure, configure_nothing, decide, describe};
}

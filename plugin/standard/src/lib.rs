//! The standard policy: relays, return path, signing, disclaimers, archive copies
//! and daily maxima, from settings alone.
//!
//! `docs/standard-policy.md` describes every setting. In short: a message has a
//! *sending domain* (`author`) and a *mail type* (`recognise`); the settings say
//! what the two get, and that is worked out beforehand (`plan`). To decide is
//! then two searches and a copy. A message of a domain that is not listed goes
//! as it is, unless there is a default entry. A message that names a domain which
//! its client may not send for is refused (`permission`).
//!
//! A decision puts its texts together without `format!`: that calls through
//! pointers, each of which a fresh instance has to look up when it is first
//! called, and it took a twelfth of the time of a decision.
//!
//! Which mail is outgoing, daily maxima of relays, and null senders are the
//! host's business.

mod author;
mod domains;
mod language;
mod names;
mod permission;
mod plan;
mod policy;
mod recognise;
mod settings;
#[cfg(test)]
mod tests;
mod warnings;

pub use policy::StandardPolicy;

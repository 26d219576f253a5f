//! The standard policy: relays, return path, signing, disclaimers, archive copies
//! and daily limits, from settings alone.
//!
//! `docs/standard-policy.md` describes every setting. A message has a *sending
//! domain* (`author`) and a *mail type* (`recognize`). `configure` computes the
//! result for each pair (`plan`), so a decision is two searches and a copy. A
//! message of a domain that is not listed stays unchanged, unless there is a
//! default entry. A message that names a domain which its client may not send
//! for is rejected (`permission`).
//!
//! A decision builds its texts without `format!`, which calls through function
//! pointers. A new instance resolves each of them at the first call, which took a
//! twelfth of the time of a decision.
//!
//! The host classifies mail as outgoing and enforces daily limits of relays.

mod author;
mod domains;
mod language;
mod names;
mod permission;
mod plan;
mod policy;
mod recognize;
mod settings;
#[cfg(test)]
mod tests;
mod warnings;

pub use policy::StandardPolicy;

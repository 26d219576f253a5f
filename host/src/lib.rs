//! Mail policies as WebAssembly components, beside the mail server you already
//! run.
//!
//! A policy is a component of the world `waxseal:policy/policy`: a pure function
//! from a message and facts to a [`Decision`](decision::Decision). This crate
//! runs it in a sandbox and carries out what it decides.
//!
//! The modules, from the ground up; each imports only from those above it:
//!
//! | module | what |
//! | --- | --- |
//! | [`message`] | a message as bytes plus a map of them |
//! | [`decision`] | what a policy can decide |
//! | [`config`] | `waxseal.toml` |
//! | [`edit`] | message and decision to edits, edits to bytes |
//! | [`sign`] | keys and DKIM |
//! | [`store`] | what outlives the process: the secret, counters |
//! | [`relay`] | relays as the MTA knows them |
//! | [`quota`] | daily maxima over the store |
//! | [`policy`] | Wasm: loading, limits, sandbox |
//! | [`pipeline`] | decide → resolve → edit, in one place |
//! | [`record`] | decisions written down, and decided again |
//! | [`service`] | the version in service, and going back |
//! | [`milter`] | wire codec, session, server |
//! | [`postfix`] | the configuration generated for Postfix |
//! | [`daemon`] | everything put together and kept running |
//! | [`cli`] | the `waxseal` command |

pub mod cli;
pub mod config;
pub mod daemon;
pub mod decision;
pub mod edit;
pub mod message;
pub mod milter;
pub mod pipeline;
pub mod policy;
pub mod postfix;
mod private;
pub mod quota;
pub mod record;
pub mod relay;
pub mod service;
pub mod sign;
pub mod store;

/// The header field that tells Postfix where a message goes
/// (`milter_header_checks`). Added and taken out again in one reply, so that it
/// is never delivered; refused in decisions, deleted where a sender wrote it.
pub const ROUTE_FIELD: &str = "X-Waxseal-Route";

/// The header field that carries a sealed route to the split listener, which
/// takes it out again.
pub const SPLIT_FIELD: &str = "X-Waxseal-Split";

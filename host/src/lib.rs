//! Mail policies as WebAssembly components, beside the mail server you already
//! run.
//!
//! A policy is a component of the world `waxseal:policy/policy`: a pure function
//! from a message and facts to a [`Decision`](decision::Decision). This crate
//! runs it in a sandbox and carries out what it decides.
//!
//! An [`Engine`] is all it takes to have policies in a program of one's own;
//! `examples/embed` is a whole SMTP server on it:
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use waxseal::intake::{Direction, Engine, Received};
//! use waxseal::pipeline::Outcome;
//!
//! async fn decide(received: Received) -> Result<Option<Outcome>, Box<dyn std::error::Error>> {
//!     let config = waxseal::config::read(Path::new("waxseal.toml"))?;
//!     let engine = Engine::builder(config).build().await?;
//!     // The above once; this for each message:
//!     let transaction = engine.intake().begin(&"submission".into());
//!     let Direction::Outgoing(outgoing) = transaction.classify(&received.client, false) else {
//!         return Ok(None); // not outgoing: not ours to sign or to relay
//!     };
//!     let message = outgoing.message(received).map_err(|reply| reply.text)?;
//!     Ok(Some(engine.intake().process(outgoing, Arc::new(message)).await))
//! }
//! ```
//!
//! The modules, from the ground up; each imports only from those above it:
//!
//! | module | what |
//! | --- | --- |
//! | [`work`] | metered work: bounds on steps and time |
//! | [`pool`] | worker threads for what is done with messages |
//! | [`message`] | a message as bytes plus a map of them |
//! | [`decision`] | what a policy can decide |
//! | [`config`] | `waxseal.toml` |
//! | [`edit`] | message and decision to edits, edits to bytes |
//! | [`dkim`] | keys and DKIM |
//! | [`crypto`] | the secret, derived keys, sealed texts, return paths |
//! | [`state`] | state that outlives the process: counters |
//! | [`relay`] | relays as the MTA knows them |
//! | [`quota`] | daily maxima over the state |
//! | [`runtime`] | Wasm: loading, limits, sandbox |
//! | [`pipeline`] | decide → resolve → edit, in one place |
//! | [`testing`] | policy test files and their runner |
//! | [`record`] | decisions written down, and decided again |
//! | [`rollout`] | the version in service, and going back |
//! | [`intake`] | what every front calls: classify, process, confirm |
//! | [`milter`] | wire codec, session, server |
//! | [`postfix`] | the configuration generated for Postfix |
//! | [`admin`] | the control channel of the daemon |
//! | [`daemon`] | everything put together and kept running |
//! | [`cli`] | the `waxseal` command |

pub mod admin;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod decision;
pub mod dkim;
pub mod edit;
mod format;
pub mod input_file;
pub mod intake;
mod log;
pub mod message;
pub mod milter;
pub mod pipeline;
pub mod pool;
pub mod postfix;
pub mod printable;
pub mod quota;
pub mod record;
pub mod relay;
pub mod rollout;
pub mod runtime;
pub mod secure_fs;
pub mod state;
pub mod testing;
pub mod work;

pub use intake::Engine;

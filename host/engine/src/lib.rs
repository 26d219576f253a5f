//! Mail policies as WebAssembly components, for any mail server.
//!
//! A policy is a component of the world `waxseal:policy/policy`: a pure function
//! from a message and facts to a [`Decision`](decision::Decision). This crate
//! runs it in a sandbox and applies its decision: relay, sending limits, return
//! path, DKIM signature, disclaimer.
//!
//! An [`Engine`] runs policies in a program of your own; `examples/embed` in the
//! repository is a complete SMTP server built on it:
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
//! | module | contents |
//! | --- | --- |
//! | [`work`], [`message`], [`decision`], [`edit`] | re-exported from `waxseal-core` |
//! | [`runtime`] | the sandbox, re-exported from `waxseal-runtime` |
//! | [`config`] | `waxseal.toml` |
//! | [`dkim`] | keys and DKIM signatures |
//! | [`crypto`] | the secret, derived keys, sealed texts, return paths |
//! | [`state`] | state that outlives the process: counters, relays, the journal |
//! | [`quota`] | daily limits on counters |
//! | [`relay`] | the relays of a configuration: failures, health, limits |
//! | [`delivery`] | the plan of a message from milter to delivery agent; the journal |
//! | [`pipeline`] | decide, resolve, edit and sign |
//! | [`comparison`] | differences between the results of two versions |
//! | `record` | recorded decisions, and their replay |
//! | [`rollout`] | policy versions: activation, rollback, shadow runs |
//! | [`intake`] | what every front calls: classify, process, confirm |
//!
//! Features, all on by default:
//!
//! | feature | contents | without it |
//! | --- | --- | --- |
//! | `config-file` | `config::read` and `config::read_text` | a program creates a [`Config`](config::Config) from values |
//! | `record` | `record`, `rollout::Recordings` | decisions are not recorded |
//! | `sqlite` | the SQLite backend of [`state`] | a program implements [`state::CounterStore`] |

// Times and dates in signatures are of this version.
pub use jiff;
pub use waxseal_core::{decision, edit, message, work};
pub use waxseal_runtime as runtime;

pub mod comparison;
pub mod config;
pub mod crypto;
pub mod delivery;
pub mod dkim;
pub mod intake;
pub mod pipeline;
pub mod quota;
#[cfg(feature = "record")]
pub mod record;
pub mod relay;
pub mod rollout;
pub mod state;

pub use intake::Engine;

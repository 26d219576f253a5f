//! The sandbox for policies: loading WebAssembly components and calling them
//! under limits.
//!
//! A component is described, configured and compiled once ([`Sandbox::load`]);
//! where possible, its settings are pre-initialized into its memory image. It then
//! decides on messages ([`Policy::decide`]), any number at a time. Whatever the
//! component does, each decision has these properties:
//!
//! - **Isolation**: the component reads its message, its facts and its settings,
//!   and nothing else. Its WASI is empty: no arguments, environment, folders or
//!   network; the clock is fixed to the message's arrival, to the second; the
//!   random source is seeded for each message. Any other call fails with
//!   [`PolicyError::ImportDenied`].
//! - **No shared state**: each message gets an instance of its own, in memory that
//!   holds nothing of another message.
//! - **Bounded resources**: a decision ends within the limits below and frees
//!   everything it allocated. So does one whose future is dropped.
//! - **Determinism**: the same message, facts and seed give the same decision in
//!   the same number of instructions, unless the wall clock stops it.
//! - **Fairness**: a guest yields its thread after a million instructions and
//!   continues on low-priority threads. If host calls on the message take more
//!   than a millisecond or two, the decision is restarted there. Time in host
//!   calls counts as the decision's time.
//!
//! | limit | set by | error |
//! | --- | --- | --- |
//! | wall clock | [`Limits::time`] | [`PolicyError::TimedOut`] |
//! | instructions | [`Limits::instructions`] | [`PolicyError::OutOfInstructions`] |
//! | linear memory, all memories together | [`Limits::memory`] | [`PolicyError::OutOfMemory`] |
//! | bytes passed to the host in one call | 1 MiB | [`PolicyError::TooMuchData`] |
//! | bytes read from the host | 16 MiB | [`PolicyError::TooMuchData`] |
//! | open handles | 64 | [`PolicyError::TooMuchData`] |
//! | stack | 512 KiB | [`PolicyError::Trapped`] |
//! | log | 64 lines, 16 KiB | none: further lines are dropped |
//!
//! Waiting for a free instance ([`Limits::decisions`]) does not count as time. Setup
//! (describe, configure) has wider limits of its own: it runs once per load, while
//! no client waits.

mod call;
mod contract;
mod describe;
mod deterministic_env;
mod engine;
mod error;
mod facts;
#[doc(hidden)]
pub mod fuzzing;
mod imports;
mod inspect;
mod limits;
mod linked;
mod load;
mod log;
mod policy;
mod preinit;
mod sandbox;
mod setup;
mod state;
mod strip_setup;
mod wasi;

pub use contract::CONTRACT_VERSIONS;
pub use describe::{Configured, Description, Reference, ReferenceKind};
pub use deterministic_env::Seed;
pub use error::{LoadError, PolicyError, SettingsProblem, SetupCall};
pub use facts::{FactQuery, FactTrace, Facts, RecordingFacts, ReplayedFacts, StaticFacts};
pub use imports::ImportAccess;
pub use inspect::{Import, Inspection, Preinit, inspect};
pub use limits::Limits;
pub use load::{CODE_FOLDER, CacheKey, CodeCache, Compiler, WorkerError, run_compile_worker};
pub use log::{LogLevel, LogLine};
pub use policy::{Evaluation, Policy};
pub use sandbox::{Builder, Sandbox};

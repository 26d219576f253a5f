//! The policy in service, and the life around it: versions, their statistics,
//! going back.
//!
//! [`VersionHistory`] holds one pointer to the [`ActiveVersion`] in service. A message takes
//! a version when it begins ([`PolicyService::begin`]) and finishes on it
//! (`Intake::process`), whatever is swapped meanwhile: a swap is one store of
//! that pointer, and no message is decided half by one version.
//!
//! What is promised:
//!
//! - **Going back is immediate**: earlier versions are kept with component,
//!   settings and tables, and nothing is read, compiled or asked. Configuration
//!   and keys stay as they were last read, whatever the policy is.
//! - **Going back by itself has a cause in the policy**: a failure counts against
//!   a version only where the version before decides the same message
//!   ([`PolicyService::rechecked`]), and no sender alone causes it where
//!   there are others.
//! - **Nothing goes to and fro**: a version that was gone back from is not gone
//!   back to. It comes again when somebody puts it in service.
//! - **The good version is not lost, and memory is bounded**: [`KEPT`] versions
//!   before the one in service are kept, and the last one that decided on
//!   messages; of older ones a [`VersionSummary`] remains.
//!
//! [`VersionHistory`] and [`PolicyService`] read no clock, file or network: time is that of
//! messages and callers. [`PolicyManager`] is the way from files to versions: it checks
//! and compiles, watches files, and remembers over a restart.

mod admission;
mod check;
mod failures;
mod histogram;
mod history;
mod manager;
mod observe;
mod recheck;
mod recordings;
mod service;
mod shadow_controller;
mod shadow_run;
mod snapshots;
mod statistics;
mod status;
mod version;
mod version_history;
mod watch;

pub use check::{Check, CheckFuture};
pub use history::{KEPT, RollbackError, SkipReason, Skipped};
pub use manager::PolicyManager;
pub use observe::{DecisionEvent, Observer};
pub use recordings::{InRecording, Recordings};
pub use service::PolicyService;
pub use shadow_controller::{MakeSandbox, ShadowController, ShadowError};
pub use shadow_run::{Comparison, DiffExample, ShadowRun};
pub use snapshots::{Pin, PinReason};
pub use statistics::{LastError, LatencySummary, MeanMax, VersionStats};
pub use status::{Refusal, Status, Trigger, Trying};
pub use version::{ActivationReason, ActiveVersion, VersionSummary};
pub use version_history::{RECORDS, RolledBack, VersionHistory};

//! Rollout of policy versions: activation, statistics, rollback.
//!
//! [`VersionHistory`] holds one pointer to the [`ActiveVersion`]. A message takes the
//! active version when it begins ([`PolicyService::begin`]) and is completely processed
//! by it (`Intake::process`): an activation replaces that pointer, and no message is
//! processed by two versions.
//!
//! Guarantees:
//!
//! - **A rollback is immediate**: earlier versions are retained with component, settings
//!   and tables; nothing is read, compiled or queried. Configuration and keys stay as
//!   they were last read.
//! - **An automatic rollback has its cause in the policy**: a failure counts against a
//!   version only if the previous version decides the same message
//!   ([`PolicyService::rechecked`]), and no sender alone causes a rollback if there are
//!   others.
//! - **Rollbacks do not alternate**: a version that was rolled back from is not selected
//!   by a rollback. It becomes active again only by command.
//! - **A working version is always retained, and memory is bounded**:
//!   [`RETAINED_VERSIONS`] versions before the active one are retained, and the last one
//!   that decided on messages; of older ones a [`VersionSummary`] remains.
//!
//! [`VersionHistory`] and [`PolicyService`] read no clock, file or network: they use the
//! time of messages and callers. [`PolicyManager`] creates versions from files: it
//! validates and compiles, watches files, and persists the active version.

mod admission;
mod check;
mod failures;
mod histogram;
mod history;
mod manager;
mod observe;
mod recheck;
mod recheck_job;
#[cfg(feature = "record")]
mod recordings;
mod service;
mod shadow_controller;
mod shadow_run;
mod snapshots;
mod statistics;
mod status;
mod version;
mod version_history;

pub use check::{Check, CheckFuture};
pub use history::{RETAINED_VERSIONS, RollbackError, SkipReason, Skipped};
pub use manager::PolicyManager;
pub use observe::{DecisionEvent, Observer, Subscription};
pub use recordings::{RecordingStatus, Recordings};
pub use service::PolicyService;
pub use shadow_controller::{MakeSandbox, ShadowController, ShadowError};
pub use shadow_run::{Comparison, DiffExample, ShadowRun};
pub use snapshots::{Pin, PinReason};
pub use statistics::{LastError, LatencySummary, MeanMax, VersionStats};
pub use status::{Rejection, Status, Trigger, Validating};
pub use version::{ActivationReason, ActiveVersion, VersionSummary};
pub use version_history::{RECORDS, RolledBack, VersionHistory};

//! The policy in service, and the life around it: versions, their statistics,
//! going back.
//!
//! [`Versions`] holds one pointer to the [`Version`] in service. A message takes
//! a version when it begins ([`Service::begin`]) and finishes on it
//! ([`Service::process`]), whatever is swapped meanwhile: a swap is one store of
//! that pointer, and no message is decided half by one version.
//!
//! What is promised:
//!
//! - **Going back is immediate**: the versions before are kept whole, with
//!   configuration, tables and keys, and nothing is read, compiled or asked.
//! - **Nothing goes to and fro**: a version that was gone back from is not gone
//!   back to. It comes again when somebody puts it in service.
//! - **Memory is bounded**: [`KEPT`] versions before the one in service are kept;
//!   of older ones a [`Record`] remains.
//!
//! [`Versions`] and [`Service`] read no clock, file or network: time is that of
//! messages and callers. [`Keeper`] is the way from files to versions: it checks
//! and compiles, watches files, and remembers over a restart.

mod gate;
mod histogram;
mod keeper;
mod observe;
mod recordings;
mod shadow;
mod shadows;
mod shelf;
mod statistics;
mod status;
mod version;
mod versions;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::message::Message;
use crate::pipeline::{Outcome, Pipeline};
use crate::policy::{Facts, Recorder};
use crate::quota::Ledger;

pub use keeper::Keeper;
pub use observe::{Observed, Observer};
pub use recordings::{InRecording, Recordings};
pub use shadow::{Comparison, Otherwise, Shadow};
pub use shadows::{MakeSandbox, ShadowError, Shadows};
pub use shelf::{Because, Kept};
pub use statistics::{LastError, Numbers, Span, Times};
pub use status::{Refusal, Status, Trigger, Trying};
pub use version::{Record, Version, Why};
pub use versions::{KEPT, NoVersionBefore, RECORDS, Versions};

/// Processes messages with the version that was in service when they began, and
/// counts what came of it.
pub struct Service<L> {
    pipeline: Pipeline<L>,
    versions: Arc<Versions>,
    observers: ArcSwap<Vec<Arc<dyn Observer>>>,
}

impl<L: Ledger> Service<L> {
    /// A service of these versions.
    pub fn new(pipeline: Pipeline<L>, versions: Arc<Versions>) -> Self {
        Self {
            pipeline,
            versions,
            observers: ArcSwap::default(),
        }
    }

    /// The version that a message which begins now is decided with. To be taken
    /// once for each message, at its MAIL command.
    pub fn begin(&self) -> Arc<Version> {
        self.versions.in_service()
    }

    /// Decides on an outgoing message and works out what has to be done for
    /// the decision; see [`Pipeline::process`]. Counts for the version what came
    /// of it, and goes back to the version before when too many messages in a
    /// row failed (`policy.roll-back-after`).
    pub async fn process(&self, version: &Arc<Version>, message: Arc<Message>) -> Outcome {
        let generation = version.generation();
        let facts = self.pipeline.facts(generation, &message);
        let observers = self.observers.load_full();
        let outcome = if observers.is_empty() {
            self.pipeline
                .process_with(generation, Arc::clone(&message), Arc::new(facts))
                .await
        } else {
            let facts = Arc::new(Recorder::new(facts));
            let given = Arc::clone(&facts) as Arc<dyn Facts>;
            let outcome = self
                .pipeline
                .process_with(generation, Arc::clone(&message), given)
                .await;
            let observed = Observed {
                version,
                message: &message,
                facts: &facts.answers(),
                outcome: &outcome,
            };
            observers
                .iter()
                .for_each(|observer| observer.decided(&observed));
            outcome
        };
        self.versions.decided(version, &message, &outcome);
        outcome
    }

    /// Shows what is decided from now on to somebody else as well: a recording,
    /// a candidate in shadow.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.rcu(|observers| {
            let mut observers = Vec::clone(observers);
            observers.push(Arc::clone(&observer));
            observers
        });
    }

    /// Stops showing it to that observer.
    pub fn forget(&self, observer: &Arc<dyn Observer>) {
        self.observers.rcu(|observers| {
            let others = observers
                .iter()
                .filter(|other| !Arc::ptr_eq(other, observer));
            others.cloned().collect::<Vec<_>>()
        });
    }

    /// The versions.
    pub fn versions(&self) -> &Arc<Versions> {
        &self.versions
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Pipeline<L> {
        &self.pipeline
    }
}

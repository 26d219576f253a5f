//! Messages between the handle and the task of the policy manager.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::pipeline::InputDigests;
use crate::rollout::history::RollbackError;
use crate::rollout::snapshots::Pin;
use crate::rollout::status::{Rejection, Validating};
use crate::rollout::version::ActiveVersion;
use crate::rollout::version_history::RolledBack;

/// The result of a request; `None` if there was nothing to do.
pub(super) type RequestResult = Option<Result<Arc<ActiveVersion>, Rejection>>;

/// A message to the task.
pub(super) enum Message {
    /// Try a candidate. Requests are processed one at a time.
    Request {
        candidate: CandidateRequest,
        now: Timestamp,
        reply: oneshot::Sender<RequestResult>,
    },
    /// Roll back. Processed at once.
    RollBack {
        number: Option<u64>,
        now: Timestamp,
        reply: oneshot::Sender<Result<RolledBack, RollbackError>>,
    },
}

/// The candidate of a request.
pub(super) enum CandidateRequest {
    /// A configuration that was read again.
    Reload(Box<Config>),
    /// The configured files.
    FilesChanged,
    /// Other files.
    Swap {
        file: PathBuf,
        settings: Option<PathBuf>,
    },
    /// The files of the shadow candidate.
    Promote {
        file: PathBuf,
        settings: Option<PathBuf>,
        inputs: InputDigests,
    },
}

/// What the task publishes for readers.
#[derive(Clone)]
pub(super) struct Published {
    /// The last valid configuration.
    pub(super) config: Arc<Config>,
    /// The pin of the active version, once it is written.
    pub(super) pin: Option<Pin>,
    pub(super) rejected: Option<Rejection>,
    pub(super) validating: Option<Validating>,
}

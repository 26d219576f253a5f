//! The handle of the policy manager.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::files::with_files;
use super::messages::{CandidateRequest, Message, Published};
use super::task::Task;
use crate::config::{Config, Problem};
use crate::pipeline::{DerivedKeys, InputDigests, PolicySnapshot};
use crate::rollout::admission::{Admission, Candidate};
use crate::rollout::check::Check;
use crate::rollout::history::RollbackError;
use crate::rollout::status::{Rejection, Status, Trigger};
use crate::rollout::version::ActiveVersion;
use crate::rollout::version_history::{RolledBack, VersionHistory};
use waxseal_runtime::Sandbox;

/// Messages that wait for the task; further senders wait.
const QUEUE: usize = 16;

/// A handle of the policy manager. The manager stops when it is dropped.
pub struct PolicyManager {
    messages: mpsc::Sender<Message>,
    published: watch::Receiver<Published>,
    admission: Arc<Admission>,
    versions: Arc<VersionHistory>,
}

impl PolicyManager {
    /// Activates the first version, from the configured files or from what is
    /// pinned instead of them, and starts the manager. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// All problems at once, if neither can be activated.
    pub async fn start(
        sandbox: Sandbox,
        secrets: Arc<DerivedKeys>,
        checks: Vec<Arc<dyn Check>>,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        let admission = Arc::new(Admission {
            sandbox,
            secrets,
            checks,
        });
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (task, published) = Task::start(Arc::clone(&admission), config, receiver, now).await?;
        let versions = Arc::clone(task.versions());
        tokio::spawn(task.run());
        Ok(Arc::new(Self {
            messages: sender,
            published,
            admission,
            versions,
        }))
    }

    /// The active version and earlier ones.
    pub fn versions(&self) -> &Arc<VersionHistory> {
        &self.versions
    }

    /// The status, for people and programs.
    pub fn status(&self, now: Timestamp) -> Status {
        let published = self.published.borrow().clone();
        let policy = &published.config.policy;
        Status {
            now,
            file: policy.file.clone(),
            settings: policy.settings.clone(),
            watched: policy.watch,
            roll_back_after: policy.roll_back_after,
            roll_back_share: policy.roll_back_share.map(|share| share.to_string()),
            versions: self.versions.history(),
            next_rollback: self.versions.next_rollback(),
            pin: published.pin,
            rejected: published.rejected,
            validating: published.validating,
        }
    }

    /// Adopts a configuration that was read again, and reads the keys again.
    /// The policy's files are tried if they have changed; a policy that is
    /// active instead of them stays active and makes no new version.
    ///
    /// # Errors
    ///
    /// If the configuration is rejected. The active version stays active.
    pub async fn reload(
        &self,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Rejection> {
        let file = config.policy.file.clone();
        let candidate = CandidateRequest::Reload(Box::new(config));
        self.activate(candidate, Trigger::Reload, file, now).await
    }

    /// Tries the configured files if they differ from those last seen. Returns
    /// `None` if there is nothing to do.
    ///
    /// # Errors
    ///
    /// If they are rejected; they are not tried again until they change.
    pub async fn files_changed(
        &self,
        now: Timestamp,
    ) -> Option<Result<Arc<ActiveVersion>, Rejection>> {
        self.request(CandidateRequest::FilesChanged, now)
            .await
            .unwrap_or_else(|Stopped| {
                let file = self.config().policy.file.clone();
                Some(Err(stopped(Trigger::FilesChanged, file, now)))
            })
    }

    /// Activates another policy than the configured one, with the configured
    /// settings if none are given.
    ///
    /// # Errors
    ///
    /// If it is rejected. The active version stays active.
    pub async fn swap(
        &self,
        file: PathBuf,
        settings: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Rejection> {
        let candidate = CandidateRequest::Swap {
            file: file.clone(),
            settings,
        };
        self.activate(candidate, Trigger::Command, file, now).await
    }

    /// Activates the shadow candidate, if its files have not changed since it
    /// was validated.
    ///
    /// # Errors
    ///
    /// If they have changed or are rejected. The active version stays active.
    pub(in crate::rollout) async fn promote(
        &self,
        file: PathBuf,
        settings: Option<PathBuf>,
        inputs: &InputDigests,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Rejection> {
        let candidate = CandidateRequest::Promote {
            file: file.clone(),
            settings,
            inputs: inputs.clone(),
        };
        self.activate(candidate, Trigger::Command, file, now).await
    }

    /// Rolls back to an earlier policy at once: to the version with this
    /// number, or to the newest that has decided messages.
    ///
    /// # Errors
    ///
    /// If there is no such version.
    pub async fn roll_back(
        &self,
        number: Option<u64>,
        now: Timestamp,
    ) -> Result<RolledBack, RollbackError> {
        let (reply, result) = oneshot::channel();
        let message = Message::RollBack { number, now, reply };
        if self.messages.send(message).await.is_ok()
            && let Ok(result) = result.await
        {
            return result;
        }
        tracing::error!("the policy manager has stopped: this rollback is not persisted");
        self.versions.roll_back(number, now)
    }

    /// Validates a shadow candidate in a sandbox of its own. Nothing is
    /// activated, and nothing is written to disk.
    ///
    /// # Errors
    ///
    /// If it is rejected.
    pub(in crate::rollout) async fn validate(
        &self,
        sandbox: Sandbox,
        file: PathBuf,
        settings: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Rejection> {
        let mut config = with_files(&self.config(), file.clone(), settings);
        config.dkim.generate = false;
        let admission = Admission {
            sandbox,
            secrets: Arc::clone(&self.admission.secrets),
            checks: self.admission.checks.clone(),
        };
        let active = self.versions.active();
        let candidate = Candidate::Policy(Box::new(config));
        let built = admission
            .validate_candidate(candidate, active.snapshot(), now)
            .await;
        built.map_err(|problems| Rejection::new(now, Trigger::Command, file, &problems))
    }

    /// The last valid configuration.
    pub(in crate::rollout) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.published.borrow().config)
    }

    pub(super) fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    async fn activate(
        &self,
        candidate: CandidateRequest,
        trigger: Trigger,
        file: PathBuf,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Rejection> {
        match self.request(candidate, now).await {
            Ok(Some(result)) => result,
            Ok(None) => Ok(self.versions.active()),
            Err(Stopped) => Err(stopped(trigger, file, now)),
        }
    }

    /// Sends a request. Dropping the future cancels a request that has not
    /// activated its candidate yet.
    async fn request(
        &self,
        candidate: CandidateRequest,
        now: Timestamp,
    ) -> Result<super::messages::RequestResult, Stopped> {
        let (reply, result) = oneshot::channel();
        let message = Message::Request {
            candidate,
            now,
            reply,
        };
        self.messages.send(message).await.map_err(|_| Stopped)?;
        result.await.map_err(|_| Stopped)
    }
}

/// The task of the manager has ended.
struct Stopped;

fn stopped(trigger: Trigger, file: PathBuf, now: Timestamp) -> Rejection {
    let problem = Problem::of_file(&file, "the policy manager has stopped", None);
    Rejection::new(now, trigger, file, &[problem])
}

impl fmt::Debug for PolicyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyManager")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

//! Admission of versions: the checks before activation.

use std::sync::Arc;

use jiff::Timestamp;

use super::check::Check;
use super::snapshots::{Pin, PinReason, SnapshotStore};
use super::status::{Rejection, Trigger};
use crate::config::{Config, Problem, Severity};
use crate::pipeline::{BuildReport, DerivedKeys, PolicySnapshot};
use waxseal_runtime::Sandbox;

/// Dependencies of the admission of versions.
pub(super) struct Admission {
    pub(super) sandbox: Sandbox,
    pub(super) secrets: Arc<DerivedKeys>,
    pub(super) checks: Vec<Arc<dyn Check>>,
}

/// The input of a version. Boxed, reason configurations are large.
pub(super) enum Candidate {
    /// A configuration, its keys, and the policy's files that it names.
    Whole(Box<Config>),
    /// The policy's files that it names, with the active host settings.
    Policy(Box<Config>),
    /// A configuration and its keys, with the active policy.
    Host(Box<Config>),
}

/// The first version after a start.
pub(super) struct First {
    pub(super) snapshot: Arc<PolicySnapshot>,
    /// Whether the version is pinned, rather than the configured one.
    pub(super) is_pinned: bool,
    /// The problems of the configured files, if they were tried and rejected.
    pub(super) rejected: Option<Rejection>,
}

impl Admission {
    /// Returns the problems that the checks find.
    async fn failures(&self, candidate: &Arc<PolicySnapshot>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for check in &self.checks {
            problems.extend(check.check(candidate).await);
        }
        problems
    }

    /// Reads, checks and compiles; warnings are logged here.
    async fn build(
        &self,
        candidate: Candidate,
        serving: &PolicySnapshot,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Vec<Problem>> {
        let today = |config: &Config| now.to_zoned(config.time_zone.clone()).date();
        let built = match candidate {
            Candidate::Whole(config) => return self.whole(*config, None, now).await,
            Candidate::Policy(named) => {
                let today = named.dkim.generate.then(|| today(&named));
                PolicySnapshot::build_on(&self.sandbox, serving.host(), &named, today).await
            }
            Candidate::Host(config) => {
                let (today, secrets) = (today(&config), Arc::clone(&self.secrets));
                serving.rehosted(*config, secrets, today)
            }
        };
        built.map(ready).map_err(Vec::from)
    }

    /// Everything that a configuration names, with the policy's files of another one if given.
    async fn whole(
        &self,
        config: Config,
        named: Option<&Config>,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Vec<Problem>> {
        let today = now.to_zoned(config.time_zone.clone()).date();
        let secrets = Arc::clone(&self.secrets);
        let built = match named {
            Some(named) => {
                PolicySnapshot::build_naming(&self.sandbox, config, named, secrets, today).await
            }
            None => PolicySnapshot::build(&self.sandbox, config, secrets, today).await,
        };
        built.map(ready).map_err(Vec::from)
    }

    /// Builds a candidate, and runs the policy tests of its configuration.
    ///
    /// # Errors
    ///
    /// All problems, including those of failed tests; none is logged yet.
    pub(super) async fn validate_candidate(
        &self,
        candidate: Candidate,
        serving: &PolicySnapshot,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Vec<Problem>> {
        let snapshot = self.build(candidate, serving, now).await?;
        let failures = self.failures(&snapshot).await;
        match failures.is_empty() {
            true => Ok(snapshot),
            false => Err(failures),
        }
    }

    /// Builds the first version after a start. Failed tests do not prevent a start if there is
    /// no other version, reason mail waits for it.
    ///
    /// # Errors
    ///
    /// The problems of the files, if they are rejected and no pinned version can be activated.
    pub(super) async fn validate_at_startup(
        &self,
        snapshots: &SnapshotStore,
        config: &Config,
        pin: Option<&Pin>,
        now: Timestamp,
    ) -> Result<First, Vec<Problem>> {
        if let Some(pin) = pin
            && pin.reason != PinReason::Rejected
            && let Some(pinned) = snapshots.log_config_from_snapshot(config, pin)
        {
            match self.whole(config.clone(), Some(&pinned), now).await {
                Ok(snapshot) => {
                    return Ok(First {
                        snapshot,
                        is_pinned: true,
                        rejected: None,
                    });
                }
                Err(problems) => {
                    log_problems(&problems);
                    tracing::error!(
                        "the pinned version is incompatible with this configuration; loading the configured files"
                    );
                }
            }
        }
        // Rejected files may be valid now: what they refer to may exist.
        let rejected = pin.filter(|pin| pin.reason == PinReason::Rejected);
        let problems = match self.whole(config.clone(), None, now).await {
            Err(problems) => problems,
            Ok(snapshot) => {
                let failures = self.failures(&snapshot).await;
                if failures.is_empty() || rejected.is_none() {
                    log_problems(&failures);
                    return Ok(First {
                        snapshot,
                        is_pinned: false,
                        rejected: None,
                    });
                }
                failures
            }
        };
        let Some(pinned) = rejected.and_then(|pin| snapshots.log_config_from_snapshot(config, pin))
        else {
            return Err(problems);
        };
        log_problems(&problems);
        let file = config.policy.file.clone();
        match self.whole(config.clone(), Some(&pinned), now).await {
            Ok(snapshot) => Ok(First {
                snapshot,
                is_pinned: true,
                rejected: Some(Rejection::new(now, Trigger::Start, file, &problems)),
            }),
            Err(_) => Err(problems),
        }
    }
}

/// The built snapshot; its warnings are logged.
fn ready(built: BuildReport) -> Arc<PolicySnapshot> {
    log_problems(&built.warnings);
    built.snapshot
}

/// Logs problems.
pub(super) fn log_problems(problems: &[Problem]) {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
            Severity::Advice => tracing::info!("{problem}"),
        }
    }
}

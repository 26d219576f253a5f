//! The way into service: what a version has to pass.

use std::sync::Arc;

use jiff::Timestamp;

use super::check::Check;
use super::snapshots::{Pin, PinReason, SnapshotStore};
use super::status::{Refusal, Trigger};
use crate::config::{Config, Problem, Severity};
use crate::pipeline::{BuildReport, DerivedKeys, PolicySnapshot};
use waxseal_runtime::Sandbox;

/// What versions are made with.
pub(super) struct Admission {
    pub(super) sandbox: Sandbox,
    pub(super) secrets: Arc<DerivedKeys>,
    pub(super) checks: Vec<Arc<dyn Check>>,
}

/// What a version is made from. Configurations are large, and moved about.
pub(super) enum Candidate {
    /// A configuration, its keys, and the policy's files that it names.
    Whole(Box<Config>),
    /// The policy's files that it names, on the host settings in service.
    Policy(Box<Config>),
    /// A configuration and its keys, for the policy in service.
    Host(Box<Config>),
}

/// What goes in service at the start.
pub(super) struct First {
    pub(super) snapshot: Arc<PolicySnapshot>,
    /// It is not what the files say.
    pub(super) remembered: bool,
    /// Why the files are not in service, where they were tried.
    pub(super) refused: Option<Refusal>,
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

    /// All that a configuration names, with the policy's files of another one if
    /// there is one.
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

    /// Builds a candidate, and runs the tests that come with it.
    ///
    /// # Errors
    ///
    /// All problems, those of tests that fail among them; logged nowhere yet.
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

    /// Makes what goes in service at the start. Tests that fail do not keep a
    /// host from starting which has nothing else: mail waits for it.
    ///
    /// # Errors
    ///
    /// The problems of the files, when they cannot be put in service and
    /// nothing is remembered that can.
    pub(super) async fn validate_at_startup(
        &self,
        snapshots: &SnapshotStore,
        config: &Config,
        kept: Option<&Pin>,
        now: Timestamp,
    ) -> Result<First, Vec<Problem>> {
        if let Some(kept) = kept
            && kept.because != PinReason::Refused
            && let Some(instead) = snapshots.log_config_from_snapshot(config, kept)
        {
            match self.whole(config.clone(), Some(&instead), now).await {
                Ok(snapshot) => {
                    return Ok(First {
                        snapshot,
                        remembered: true,
                        refused: None,
                    });
                }
                Err(problems) => {
                    tell(&problems);
                    tracing::error!("it does not go with this configuration: the files are tried");
                }
            }
        }
        // Files that were refused may be good now: what they refer to may be
        // there.
        let refused = kept.filter(|kept| kept.because == PinReason::Refused);
        let problems = match self.whole(config.clone(), None, now).await {
            Err(problems) => problems,
            Ok(snapshot) => {
                let failures = self.failures(&snapshot).await;
                if failures.is_empty() || refused.is_none() {
                    tell(&failures);
                    return Ok(First {
                        snapshot,
                        remembered: false,
                        refused: None,
                    });
                }
                failures
            }
        };
        let Some(instead) =
            refused.and_then(|kept| snapshots.log_config_from_snapshot(config, kept))
        else {
            return Err(problems);
        };
        tell(&problems);
        let file = config.policy.file.clone();
        match self.whole(config.clone(), Some(&instead), now).await {
            Ok(snapshot) => Ok(First {
                snapshot,
                remembered: true,
                refused: Some(Refusal::new(now, Trigger::Start, file, &problems)),
            }),
            Err(_) => Err(problems),
        }
    }
}

/// The snapshot that was built; what there is to warn of is logged.
fn ready(built: BuildReport) -> Arc<PolicySnapshot> {
    tell(&built.warnings);
    built.snapshot
}

/// Problems as lines of the log.
pub(super) fn tell(problems: &[Problem]) {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
            Severity::Advice => tracing::info!("{problem}"),
        }
    }
}

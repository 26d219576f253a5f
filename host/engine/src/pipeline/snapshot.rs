//! An immutable snapshot of everything that a decision depends on.
//!
//! It has two parts: the administrator's ([`HostSettings`]), and the policy's ([`PolicyBundle`]). Any bundle can be combined
//! with the newest host settings ([`PolicySnapshot::with_host`]), so that a rollback to an earlier policy does not restore
//! earlier networks, limits, relays or keys.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access;
use super::build_error::BuildError;
use super::checks;
use super::host::{self, DerivedKeys, HostSettings};
use super::input_digests::{InputDigests, digest_hex};
use super::policy_id::PolicyId;
use super::source::{Parts, PolicySource};
use super::tables::Tables;
use crate::config::{Config, Domain, Problem, Severity, Source};
use crate::dkim::Keys;
use crate::relay::RelayRegistry;
use waxseal_runtime::{LoadError, Policy, Reference, Sandbox, Seed, SettingsProblem};

/// The policy's side of a snapshot: component, settings and tables, loaded.
pub struct PolicyBundle {
    policy: Policy,
    settings: Source,
    tables: Tables,
    inputs: InputDigests,
    file: PathBuf,
}

/// A policy bundle and its host settings. Loaded once per message: an activation replaces the pointer to it.
pub struct PolicySnapshot {
    host: Arc<HostSettings>,
    bundle: Arc<PolicyBundle>,
}

/// A snapshot, and what there is to say about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct BuildReport {
    /// The snapshot.
    pub snapshot: Arc<PolicySnapshot>,
    /// Settings that are valid, but probably not intended.
    pub warnings: Vec<Problem>,
}

impl PolicySnapshot {
    /// Reads and validates everything that the configuration refers to, and loads the policy. Missing DKIM keys are generated if
    /// `dkim.generate` is set.
    ///
    /// # Errors
    ///
    /// All problems (including warnings), each with its position.
    pub async fn build(
        sandbox: &Sandbox,
        config: Config,
        secrets: Arc<DerivedKeys>,
        today: jiff::civil::Date,
    ) -> Result<BuildReport, BuildError> {
        let named = config.clone();
        Self::build_naming(sandbox, config, &named, secrets, today).await
    }

    /// As [`PolicySnapshot::build`], with a policy in memory: the policy files of the configuration are not read.
    ///
    /// # Errors
    ///
    /// All problems (including warnings), each with its position.
    pub async fn from_source(
        sandbox: &Sandbox,
        config: Config,
        source: PolicySource,
        secrets: Arc<DerivedKeys>,
        today: jiff::civil::Date,
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        checks::host(&config, &mut problems);
        let parts = Parts::of(source, &config, &mut problems);
        let bundle = load_bundle(sandbox, &config, parts, &secrets.preinit, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::service_keys(&config, references, today, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// As [`PolicySnapshot::build`], with the policy files of another configuration, `named`.
    ///
    /// # Errors
    ///
    /// As [`PolicySnapshot::build`].
    pub async fn build_naming(
        sandbox: &Sandbox,
        config: Config,
        named: &Config,
        secrets: Arc<DerivedKeys>,
        today: jiff::civil::Date,
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        checks::host(&config, &mut problems);
        access::policy_files(named, &mut problems);
        let parts = Parts::read(named, None, &mut problems);
        let bundle = load_bundle(sandbox, named, parts, &secrets.preinit, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::service_keys(&config, references, today, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// Loads the policy files of `named` for active host settings: neither configuration nor keys are read. If `dkim.generate` is
    /// set, keys are generated for domains that have none, with the day in their selector; none are generated without a day.
    ///
    /// # Errors
    ///
    /// All problems (including warnings), each with its position.
    pub async fn build_on(
        sandbox: &Sandbox,
        host: &Arc<HostSettings>,
        named: &Config,
        today: Option<jiff::civil::Date>,
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        access::policy_files(named, &mut problems);
        let parts = Parts::read(named, None, &mut problems);
        let seed = &host.secrets.preinit;
        let bundle = load_bundle(sandbox, named, parts, seed, &mut problems).await;
        let host = match today {
            Some(day) => host.with_generated(references(bundle.as_ref()), day, &mut problems),
            None => Arc::clone(host),
        };
        join(host, bundle.map(Arc::new), problems)
    }

    /// The same policy with a configuration and keys that are read now; the policy's files are not read.
    ///
    /// # Errors
    ///
    /// All problems (including warnings), each with its position.
    pub fn rehosted(
        &self,
        config: Config,
        secrets: Arc<DerivedKeys>,
        today: jiff::civil::Date,
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        checks::host(&config, &mut problems);
        access::policy_files(&config, &mut problems);
        let references = references(Some(&*self.bundle));
        let keys = host::service_keys(&config, references, today, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), Some(Arc::clone(&self.bundle)), problems)
    }

    /// The same policy with other host settings: nothing is read or compiled.
    ///
    /// # Errors
    ///
    /// If the policy's settings refer to something that the host settings lack.
    pub fn with_host(&self, host: &Arc<HostSettings>) -> Result<Arc<Self>, BuildError> {
        let bundle = Some(Arc::clone(&self.bundle));
        join(Arc::clone(host), bundle, Vec::new()).map(|built| built.snapshot)
    }

    /// As [`PolicySnapshot::build`] for policy tests, which read no password and no private key: each domain that the policy or the
    /// configuration signs for, and each of `domains`, has a test key ([`Keys::for_tests`]). `settings` replace the file of the
    /// configuration.
    ///
    /// # Errors
    ///
    /// All problems (including warnings), each with its position.
    pub async fn build_for_tests(
        sandbox: &Sandbox,
        config: Config,
        secrets: Arc<DerivedKeys>,
        settings: Option<Source>,
        domains: &[Domain],
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        checks::listeners(&config, &mut problems);
        let parts = Parts::read(&config, settings, &mut problems);
        let bundle = load_bundle(sandbox, &config, parts, &secrets.preinit, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::test_keys(&config, references, domains, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// Problems of the policy and its settings alone, for a configuration that has problems itself: whether relays and keys exist
    /// cannot be checked.
    pub async fn examine_policy(
        sandbox: &Sandbox,
        config: &Config,
        secrets: &DerivedKeys,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let parts = Parts::without_tables(config, &mut problems);
        load_policy(sandbox, config, &parts, &secrets.preinit, &mut problems).await;
        problems
    }

    /// The host settings.
    pub fn host(&self) -> &Arc<HostSettings> {
        &self.host
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.host.config
    }

    /// The relays.
    pub fn relays(&self) -> &RelayRegistry {
        &self.host.relays
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.bundle.policy
    }

    /// Digests of the policy's inputs.
    pub fn inputs(&self) -> &InputDigests {
        &self.bundle.inputs
    }

    /// The file that the component was read from.
    pub fn file(&self) -> &Path {
        &self.bundle.file
    }

    /// The DKIM keys.
    pub fn keys(&self) -> &Keys {
        &self.host.keys
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.bundle.tables
    }

    pub(super) fn secrets(&self) -> &DerivedKeys {
        &self.host.secrets
    }

    /// Address of Postfix's smtpd for the split listener, if there is one.
    pub(super) fn split_smtpd(&self) -> Option<SocketAddr> {
        self.config()
            .listeners
            .iter()
            .find_map(|listener| listener.smtpd)
    }

    /// Name, version and digest of the policy.
    pub fn policy_id(&self) -> PolicyId {
        let policy = self.policy();
        let description = policy.description();
        PolicyId {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: policy.digest().to_owned(),
        }
    }
}

/// Names that the policy's settings refer to; empty without a policy.
fn references(bundle: Option<&PolicyBundle>) -> &[Reference] {
    bundle.map_or(&[], |bundle| &bundle.policy.configured().references)
}

/// Combines a policy with host settings. Without a bundle, `problems` contain the reason.
fn join(
    host: Arc<HostSettings>,
    bundle: Option<Arc<PolicyBundle>>,
    mut problems: Vec<Problem>,
) -> Result<BuildReport, BuildError> {
    if let Some(bundle) = &bundle {
        let references = references(Some(bundle));
        let PolicyBundle {
            settings, tables, ..
        } = &**bundle;
        checks::references(&host, tables, references, settings, &mut problems);
        checks::keys(&host.keys, references, settings, &mut problems);
    }
    let failed = problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    match bundle {
        Some(bundle) if !failed => Ok(BuildReport {
            snapshot: Arc::new(PolicySnapshot { host, bundle }),
            warnings: problems,
        }),
        _ => Err(BuildError(problems)),
    }
}

/// Loads a policy. The problems of a missing part are already reported.
async fn load_bundle(
    sandbox: &Sandbox,
    named: &Config,
    parts: Parts,
    seed: &Seed,
    problems: &mut Vec<Problem>,
) -> Option<PolicyBundle> {
    let policy = load_policy(sandbox, named, &parts, seed, problems).await?;
    let Parts {
        settings,
        has_settings,
        tables,
        ..
    } = parts;
    let settings = settings?;
    Some(PolicyBundle {
        inputs: InputDigests {
            component: policy.digest().to_owned(),
            settings: has_settings.then(|| digest_hex(settings.text.as_bytes())),
            tables: tables.digests().clone(),
        },
        file: named.policy.file.clone(),
        policy,
        settings,
        tables,
    })
}

async fn load_policy(
    sandbox: &Sandbox,
    config: &Config,
    parts: &Parts,
    seed: &Seed,
    problems: &mut Vec<Problem>,
) -> Option<Policy> {
    let (settings, component) = (parts.settings.as_ref()?, parts.component.clone()?);
    let at_file = |message: String, expected: Option<String>| {
        config.source.problem(
            Severity::Error,
            config.policy.file_span.clone(),
            message,
            expected,
        )
    };
    let file = &config.policy.file;
    match sandbox
        .load(component, Arc::clone(&settings.text), seed)
        .await
    {
        Ok(policy) => {
            let warnings = &policy.configured().warnings;
            problems.extend(
                warnings
                    .iter()
                    .map(|given| at_settings(settings, Severity::Warning, given)),
            );
            Some(policy)
        }
        Err(LoadError::Settings(given)) => {
            problems.extend(
                given
                    .iter()
                    .map(|given| at_settings(settings, Severity::Error, given)),
            );
            None
        }
        Err(error) => {
            problems.push(at_file(format!("{}: {error}", file.display()), None));
            None
        }
    }
}

fn at_settings(settings: &Source, severity: Severity, given: &SettingsProblem) -> Problem {
    settings.problem(
        severity,
        given.span.clone(),
        given.message.clone(),
        given.expected.clone(),
    )
}

impl fmt::Debug for PolicyBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBundle")
            .field("file", &self.file)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PolicySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySnapshot")
            .field("policy", &self.policy_id())
            .finish_non_exhaustive()
    }
}

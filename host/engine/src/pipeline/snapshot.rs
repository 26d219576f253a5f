//! All that a message is decided with, as one value that never changes.
//!
//! It has two sides: the administrator's ([`HostSettings`]), and the policy's
//! ([`PolicyBundle`]). Any bundle can be joined with the newest host settings
//! ([`PolicySnapshot::with_host`]), so that going back to an earlier policy brings
//! back no earlier network, limit, relay or key.

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

/// A policy bundle and the host settings that it runs with. Taken once per
/// message: a swap replaces the pointer to it.
pub struct PolicySnapshot {
    host: Arc<HostSettings>,
    bundle: Arc<PolicyBundle>,
}

/// A snapshot, and what there is to say about it.
pub struct BuildReport {
    /// Ready for service.
    pub snapshot: Arc<PolicySnapshot>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<Problem>,
}

impl PolicySnapshot {
    /// Reads and checks everything that the configuration names, and loads the
    /// policy. Missing DKIM keys are made where `dkim.generate` says so.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
    pub async fn build(
        sandbox: &Sandbox,
        config: Config,
        secrets: Arc<DerivedKeys>,
        today: jiff::civil::Date,
    ) -> Result<BuildReport, BuildError> {
        let named = config.clone();
        Self::build_naming(sandbox, config, &named, secrets, today).await
    }

    /// As [`PolicySnapshot::build`], with a policy in memory: the files of the policy
    /// that the configuration names are not read.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
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
        let bundle = load_bundle(sandbox, &config, parts, &secrets.bake, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::service_keys(&config, references, today, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// The same with the policy's files of another configuration, `named`.
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
        let bundle = load_bundle(sandbox, named, parts, &secrets.bake, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::service_keys(&config, references, today, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// Loads the policy's files that `named` names, for host settings that are
    /// in service already: neither configuration nor keys are read. Where
    /// `dkim.generate` says so, keys are made for domains that have none, and
    /// named after that day; none are made without a day.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
    pub async fn build_on(
        sandbox: &Sandbox,
        host: &Arc<HostSettings>,
        named: &Config,
        today: Option<jiff::civil::Date>,
    ) -> Result<BuildReport, BuildError> {
        let mut problems = Vec::new();
        access::policy_files(named, &mut problems);
        let parts = Parts::read(named, None, &mut problems);
        let seed = &host.secrets.bake;
        let bundle = load_bundle(sandbox, named, parts, seed, &mut problems).await;
        let host = match today {
            Some(day) => host.with_generated(references(bundle.as_ref()), day, &mut problems),
            None => Arc::clone(host),
        };
        join(host, bundle.map(Arc::new), problems)
    }

    /// The same policy with a configuration and keys that are read now; its own
    /// files are not.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
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
    /// When the policy's settings name something that they do not have.
    pub fn with_host(&self, host: &Arc<HostSettings>) -> Result<Arc<Self>, BuildError> {
        let bundle = Some(Arc::clone(&self.bundle));
        join(Arc::clone(host), bundle, Vec::new()).map(|built| built.snapshot)
    }

    /// As [`PolicySnapshot::build`] for policy tests, which read no password and no
    /// private key: each domain that the policy or the configuration signs for,
    /// and each of `domains`, has a key that is made up ([`Keys::for_tests`]).
    /// `settings` stand in for the file that the configuration names.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
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
        let bundle = load_bundle(sandbox, &config, parts, &secrets.bake, &mut problems).await;
        let references = references(bundle.as_ref());
        let keys = host::test_keys(&config, references, domains, &mut problems);
        let host = HostSettings::new(config, keys, secrets);
        join(Arc::new(host), bundle.map(Arc::new), problems)
    }

    /// What is wrong with the policy and its settings by themselves, for a
    /// configuration that has mistakes of its own: whether relays and keys that
    /// the settings name exist cannot be told from it.
    pub async fn examine_policy(
        sandbox: &Sandbox,
        config: &Config,
        secrets: &DerivedKeys,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let parts = Parts::without_tables(config, &mut problems);
        load_policy(sandbox, config, &parts, &secrets.bake, &mut problems).await;
        problems
    }

    /// The administrator's side.
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

    /// What the policy's files contained when they were read.
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

    /// Where Postfix's smtpd for the split listener is, if there is one.
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

/// What a policy's settings mention; nothing where there is none.
fn references(bundle: Option<&PolicyBundle>) -> &[Reference] {
    bundle.map_or(&[], |bundle| &bundle.policy.configured().references)
}

/// Holds a policy against host settings. Without a bundle, `problems` say why.
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

/// Loads a policy. Of a part that is missing, the problems are known.
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

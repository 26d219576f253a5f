//! All that a message is decided with, as one value that never changes.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use super::checks;
use super::inputs::{Inputs, digest_hex};
use super::outcome::PolicyId;
use super::tables::Tables;
use crate::config::{Config, Domain, Problem, Severity, Source};
use crate::policy::{LoadError, Policy, Reference, ReferenceKind, Sandbox, Seed, SettingsProblem};
use crate::sign::{self, Algorithm, Keys};
use crate::store::{Key, Secret};

/// Keys derived from the host's secret, one for each purpose.
pub struct Secrets {
    /// Seeds of decisions.
    pub(super) decisions: Key,
    /// Return paths that cannot be forged.
    pub(super) verp: Key,
    /// Routes sealed for the split listener.
    pub(super) split: Key,
    /// Seed of what is baked into a policy.
    bake: Seed,
}

impl Secrets {
    /// Derives all keys from the host's secret.
    pub fn new(secret: &Secret) -> Self {
        Self {
            decisions: secret.derive("decisions"),
            verp: secret.derive("verp"),
            split: secret.derive("split"),
            bake: secret.derive("bake").tag(b"seed"),
        }
    }
}

/// Configuration, policy with its settings, tables, relays and keys of one
/// moment. Taken once per message: a swap replaces the pointer to it.
pub struct Generation {
    config: Config,
    policy: Policy,
    keys: Keys,
    tables: Tables,
    inputs: Inputs,
    secrets: Arc<Secrets>,
}

/// A generation, and what there is to say about it.
pub struct Built {
    /// Ready for service.
    pub generation: Arc<Generation>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<Problem>,
}

impl Generation {
    /// Reads and checks everything that the configuration names, and loads the
    /// policy. Missing DKIM keys are made where `dkim.generate` says so.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
    pub async fn build(
        sandbox: &Sandbox,
        config: Config,
        secrets: Arc<Secrets>,
        today: jiff::civil::Date,
    ) -> Result<Built, Vec<Problem>> {
        let mut problems = Vec::new();
        checks::relays(&config, &mut problems);
        checks::record(&config, &mut problems);
        let settings = read_settings(&config, &mut problems);
        let keys = |known: Option<Known<'_>>, problems: &mut Vec<Problem>| {
            service_keys(&config, known, today, problems)
        };
        let read = Read { settings, problems };
        Self::assemble(sandbox, &config, secrets, read, keys).await
    }

    /// The same for policy tests, which read no password and no private key:
    /// each domain that the policy or the configuration signs for, and each of
    /// `domains`, has a key that is made up ([`Keys::for_tests`]). `settings`
    /// stand in for the file that the configuration names.
    ///
    /// # Errors
    ///
    /// All problems at once (warnings among them), each with its place.
    pub async fn build_for_tests(
        sandbox: &Sandbox,
        config: Config,
        secrets: Arc<Secrets>,
        settings: Option<Source>,
        domains: &[Domain],
    ) -> Result<Built, Vec<Problem>> {
        let mut problems = Vec::new();
        let settings = settings.or_else(|| read_settings(&config, &mut problems));
        let keys = |known: Option<Known<'_>>, problems: &mut Vec<Problem>| {
            test_keys(&config, known, domains, problems)
        };
        let read = Read { settings, problems };
        Self::assemble(sandbox, &config, secrets, read, keys).await
    }

    async fn assemble(
        sandbox: &Sandbox,
        config: &Config,
        secrets: Arc<Secrets>,
        read: Read,
        keys: impl FnOnce(Option<Known<'_>>, &mut Vec<Problem>) -> Keys,
    ) -> Result<Built, Vec<Problem>> {
        let Read {
            settings,
            mut problems,
        } = read;
        let tables = Tables::load(&config.tables, &config.source, &mut problems);
        checks::listeners(config, &mut problems);
        let loaded = match &settings {
            Some(settings) => {
                load_policy(sandbox, config, settings, &secrets.bake, &mut problems).await
            }
            None => None,
        };
        let known = match (&loaded, &settings) {
            (Some(policy), Some(settings)) => Some(Known {
                references: &policy.configured().references,
                settings,
            }),
            _ => None,
        };
        if let Some(known) = known {
            let Known {
                references,
                settings,
            } = known;
            checks::references(config, &tables, references, settings, &mut problems);
        }
        let keys = keys(known, &mut problems);
        let failed = problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        match loaded {
            Some(policy) if !failed => Ok(Built {
                generation: Arc::new(Self {
                    inputs: Inputs {
                        component: policy.digest().to_owned(),
                        settings: settings
                            .filter(|_| config.policy.settings.is_some())
                            .map(|settings| digest_hex(settings.text.as_bytes())),
                        tables: tables.digests().clone(),
                    },
                    config: config.clone(),
                    policy,
                    keys,
                    tables,
                    secrets,
                }),
                warnings: problems,
            }),
            _ => Err(problems),
        }
    }

    /// What is wrong with the policy and its settings by themselves, for a
    /// configuration that has mistakes of its own: whether relays and keys that
    /// the settings name exist cannot be told from it.
    pub async fn examine_policy(
        sandbox: &Sandbox,
        config: &Config,
        secrets: &Secrets,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(settings) = read_settings(config, &mut problems) {
            load_policy(sandbox, config, &settings, &secrets.bake, &mut problems).await;
        }
        problems
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the policy's files contained when they were read.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The DKIM keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Where Postfix's smtpd for the split listener is, if there is one.
    pub(super) fn split_smtpd(&self) -> Option<SocketAddr> {
        self.config
            .listeners
            .iter()
            .find_map(|listener| listener.smtpd)
    }

    /// Name, version and digest of the policy.
    pub fn policy_id(&self) -> PolicyId {
        let description = self.policy.description();
        PolicyId {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: self.policy.digest().to_owned(),
        }
    }
}

/// What has been read so far, and what was wrong with it.
struct Read {
    settings: Option<Source>,
    problems: Vec<Problem>,
}

/// What the policy's settings mention.
#[derive(Clone, Copy)]
struct Known<'a> {
    references: &'a [Reference],
    settings: &'a Source,
}

/// The keys of the files; those that are missing are made where
/// `dkim.generate` says so.
fn service_keys(
    config: &Config,
    known: Option<Known<'_>>,
    today: jiff::civil::Date,
    problems: &mut Vec<Problem>,
) -> Keys {
    if let Some(known) = known
        && config.dkim.generate
    {
        make_keys(config, known.references, today, problems);
    }
    let (keys, of_keys) = Keys::load(&config.dkim);
    problems.extend(of_keys);
    if let Some(known) = known {
        checks::keys(&keys, known.references, known.settings, problems);
    }
    keys
}

fn test_keys(
    config: &Config,
    known: Option<Known<'_>>,
    given: &[Domain],
    problems: &mut Vec<Problem>,
) -> Keys {
    let mut domains = signing_domains(known.map_or(&[], |known| known.references));
    domains.extend(config.dkim.files.iter().map(|key| key.domain.clone()));
    domains.extend(given.iter().cloned());
    Keys::for_tests(&domains).unwrap_or_else(|error| {
        let message = format!("making keys for tests: {error}");
        problems.push(Problem::of_file(&config.source.path, message, None));
        Keys::default()
    })
}

fn read_settings(config: &Config, problems: &mut Vec<Problem>) -> Option<Source> {
    let Some(path) = &config.policy.settings else {
        return Some(Source {
            path: config.policy.file.clone(),
            text: "".into(),
        });
    };
    match fs::read_to_string(path) {
        Ok(text) => Some(Source {
            path: path.clone(),
            text: text.into(),
        }),
        Err(error) => {
            let message = format!("the policy's settings {}: {error}", path.display());
            let span = config.policy.settings_span.clone();
            problems.push(config.source.problem(Severity::Error, span, message, None));
            None
        }
    }
}

async fn load_policy(
    sandbox: &Sandbox,
    config: &Config,
    settings: &Source,
    seed: &Seed,
    problems: &mut Vec<Problem>,
) -> Option<Policy> {
    let at_file = |message: String, expected: Option<String>| {
        config.source.problem(
            Severity::Error,
            config.policy.file_span.clone(),
            message,
            expected,
        )
    };
    let file = &config.policy.file;
    let component = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let expected = "the policy's component; `make policies` builds those of this project";
            problems.push(at_file(
                format!("{}: {error}", file.display()),
                Some(expected.into()),
            ));
            return None;
        }
    };
    match sandbox
        .load(component.into(), Arc::clone(&settings.text), seed)
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

fn signing_domains(references: &[Reference]) -> BTreeSet<Domain> {
    let domains = references
        .iter()
        .filter(|reference| reference.kind == ReferenceKind::DkimDomain);
    domains
        .filter_map(|reference| reference.name.parse().ok())
        .collect()
}

fn make_keys(
    config: &Config,
    references: &[Reference],
    today: jiff::civil::Date,
    problems: &mut Vec<Problem>,
) {
    let (present, _) = Keys::load(&config.dkim);
    for domain in signing_domains(references) {
        if !present.for_domain(domain.as_str()).is_empty() {
            continue;
        }
        match sign::generate(&config.dkim, &domain, Algorithm::Rsa, None, today) {
            Ok(made) => tracing::info!(
                domain = domain.as_str(),
                selector = made.key.selector(),
                "made a DKIM key: publish its record (`waxseal dkim record {domain}`)"
            ),
            Err(error) => {
                let message = format!("making a DKIM key for {domain}: {error}");
                problems.push(Problem::of_file(&config.dkim.keys, message, None));
            }
        }
    }
}

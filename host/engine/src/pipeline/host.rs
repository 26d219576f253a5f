//! The host settings of a snapshot: configuration and keys.
//!
//! They are read at the start and at a reload, and do not change in between: an activated or rolled-back policy runs with the
//! newest ones. A key file that is added signs nothing before the next reload.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::unaligned;
use crate::config::{Config, Domain, Problem};
use crate::crypto::{Key as SecretKey, Secret};
use crate::dkim::{self, Algorithm, Key, Keys};
use crate::relay::RelayRegistry;
use waxseal_runtime::{Reference, ReferenceKind, Seed};

/// Keys derived from the host's secret, one for each purpose.
pub struct DerivedKeys {
    /// Seeds of decisions.
    pub(super) decisions: SecretKey,
    /// Return paths.
    pub(super) verp: SecretKey,
    /// Routes for the split listener.
    pub(super) split: SecretKey,
    /// Seed of the pre-initialization of policies.
    pub(super) preinit: Seed,
}

impl DerivedKeys {
    /// Derives all keys from the host's secret.
    pub fn new(secret: &Secret) -> Self {
        Self {
            decisions: secret.derive("decisions"),
            verp: secret.derive("verp"),
            split: secret.derive("split"),
            preinit: Seed::new(secret.derive("bake").tag(b"seed")),
        }
    }
}

/// Configuration and keys, as read at one time.
pub struct HostSettings {
    pub(super) config: Config,
    pub(super) relays: RelayRegistry,
    pub(super) keys: Keys,
    pub(super) secrets: Arc<DerivedKeys>,
}

impl HostSettings {
    pub(super) fn new(config: Config, keys: Keys, secrets: Arc<DerivedKeys>) -> Self {
        Self {
            relays: RelayRegistry::new(&config),
            config,
            keys,
            secrets,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The relays.
    pub fn relays(&self) -> &RelayRegistry {
        &self.relays
    }

    /// The DKIM keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether the text of the configuration and the set of keys are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let names = |keys: &Keys| -> Vec<(String, String, String)> {
            let all = keys.all().into_iter();
            all.map(|key| {
                let public = key.record().value.clone();
                (key.domain().to_owned(), key.selector().to_owned(), public)
            })
            .collect()
        };
        self.config.source.text == other.config.source.text
            && names(&self.keys) == names(&other.keys)
    }

    /// A copy with keys for domains that have none; they are generated if `dkim.generate` is set. Keys that others added are not
    /// read.
    pub(super) fn with_generated(
        self: &Arc<Self>,
        references: &[Reference],
        today: Date,
        problems: &mut Vec<Problem>,
    ) -> Arc<Self> {
        if !self.config.dkim.generate {
            return Arc::clone(self);
        }
        let made = generate(&self.config, references, today, problems);
        if made.is_empty() {
            return Arc::clone(self);
        }
        Arc::new(Self {
            config: self.config.clone(),
            relays: self.relays.clone(),
            keys: self.keys.with(made),
            secrets: Arc::clone(&self.secrets),
        })
    }
}

/// The keys of the files; missing ones are generated if `dkim.generate` is set.
pub(super) fn service_keys(
    config: &Config,
    references: &[Reference],
    today: Date,
    problems: &mut Vec<Problem>,
) -> Keys {
    if config.dkim.generate {
        generate(config, references, today, problems);
    }
    let (keys, of_keys) = Keys::load(&config.dkim);
    problems.extend(of_keys);
    unaligned::unaligned_pairs(config, &keys, problems);
    keys
}

/// Test keys for each domain that the policy or the configuration signs for, and each of `given`.
pub(super) fn test_keys(
    config: &Config,
    references: &[Reference],
    given: &[Domain],
    problems: &mut Vec<Problem>,
) -> Keys {
    let mut domains = signing_domains(references);
    domains.extend(config.dkim.files.iter().map(|key| key.domain.clone()));
    domains.extend(given.iter().cloned());
    Keys::for_tests(&domains).unwrap_or_else(|error| {
        let message = format!("making keys for tests: {error}");
        problems.push(Problem::of_file(&config.source.path, message, None));
        Keys::default()
    })
}

fn signing_domains(references: &[Reference]) -> BTreeSet<Domain> {
    let domains = references
        .iter()
        .filter(|reference| reference.kind == ReferenceKind::DkimDomain);
    domains
        .filter_map(|reference| reference.name.parse().ok())
        .collect()
}

fn generate(
    config: &Config,
    references: &[Reference],
    today: Date,
    problems: &mut Vec<Problem>,
) -> Vec<Key> {
    let (present, _) = Keys::load(&config.dkim);
    let mut made = Vec::new();
    for domain in signing_domains(references) {
        if !present.for_domain(domain.as_str()).is_empty() {
            continue;
        }
        match dkim::generate(&config.dkim, &domain, Algorithm::Rsa, None, today) {
            Ok(generated) => {
                tracing::info!(
                    domain = domain.as_str(),
                    selector = generated.key.selector(),
                    "made a DKIM key: publish its record (`waxseal dkim record {domain}`)"
                );
                made.push(generated.key);
            }
            Err(error) => {
                let message = format!("making a DKIM key for {domain}: {error}");
                problems.push(Problem::of_file(&config.dkim.keys, message, None));
            }
        }
    }
    made
}

/// Shows no key.
impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKeys").finish_non_exhaustive()
    }
}

impl fmt::Debug for HostSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSettings")
            .field("config", &self.config.source.path)
            .finish_non_exhaustive()
    }
}

//! The environment of test runs: policy snapshots, cached until their files change.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal::config::{self, Config, ConfigError, Domain, Problem, Severity, Source};
use waxseal::crypto::Secret;
use waxseal::pipeline::{BuildReport, DerivedKeys, PolicySnapshot};
use waxseal_runtime::{CodeCache, Compiler, Limits, Sandbox};
use waxseal_system::file_watch::{Stamps, stamps};

/// The environment that a test file names.
pub(super) struct Setup {
    /// The test file.
    pub(super) source: Source,
    /// Span of `config` in the test file.
    pub(super) span: Range<usize>,
    /// The configuration; `None` is that of the command.
    pub(super) config: Option<PathBuf>,
    /// Configuration inside the test file.
    pub(super) within: Option<Box<Config>>,
    /// Policy that replaces that of the configuration.
    pub(super) policy: Option<PathBuf>,
    /// Settings that replace those of the configuration.
    pub(super) settings: Option<Settings>,
    /// Domains with a test key.
    pub(super) domains: Vec<Domain>,
}

/// Settings of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settings {
    /// In a file.
    File(PathBuf),
    /// In the test file itself.
    Text(String),
}

impl Setup {
    /// Whether both can use the same snapshot.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |setup: &Self| setup.within.is_none();
        bare(self)
            && bare(other)
            && self.config == other.config
            && self.policy == other.policy
            && self.settings == other.settings
            && self.domains == other.domains
    }

    fn configuration(&self, default: &Path) -> Result<Config, Vec<Problem>> {
        let mut config = match &self.within {
            Some(within) => (**within).clone(),
            None => {
                let path = self.config.as_deref().unwrap_or(default);
                config::read(path).map_err(|error| self.describe_error(error))?
            }
        };
        if let Some(policy) = &self.policy {
            config.policy.file.clone_from(policy);
            config.policy.file_span = 0..0;
        }
        if let Some(Settings::File(file)) = &self.settings {
            config.policy.settings = Some(file.clone());
            config.policy.settings_span = 0..0;
        }
        Ok(config)
    }

    fn describe_error(&self, error: ConfigError) -> Vec<Problem> {
        match error {
            ConfigError::Problems(problems) => problems,
            error if self.config.is_some() => {
                let span = self.span.clone();
                vec![
                    self.source
                        .problem(Severity::Error, span, error.to_string(), None),
                ]
            }
            error => {
                let message = format!("the test file does not name what to test, and {error}");
                let expected = "`config`, or `policy` with its options, at the top level";
                vec![Problem::of_file(
                    &self.source.path,
                    message,
                    Some(expected.to_owned()),
                )]
            }
        }
    }

    fn settings(&self) -> Option<Source> {
        match &self.settings {
            Some(Settings::Text(text)) => Some(Source {
                path: format!("{} (settings)", self.source.path.display()).into(),
                text: text.as_str().into(),
            }),
            _ => None,
        }
    }
}

/// Sandboxes and snapshots for test runs. Reusing it avoids compiling unchanged
/// policies again.
pub struct TestEnvironment {
    default_config: PathBuf,
    code: Option<CodeCache>,
    compiler: Option<Compiler>,
    sandboxes: Vec<(Limits, Sandbox)>,
    kept: Vec<Kept>,
}

struct Kept {
    setup: String,
    files: Stamps,
    snapshot: Arc<PolicySnapshot>,
}

impl fmt::Debug for TestEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEnvironment")
            .field("default_config", &self.default_config)
            .field("snapshots", &self.kept.len())
            .finish_non_exhaustive()
    }
}

impl TestEnvironment {
    /// Creates an empty environment. `default_config` is used by test files that do not
    /// name what to test.
    pub fn new(default_config: PathBuf) -> Self {
        Self {
            default_config,
            code: None,
            compiler: None,
            sandboxes: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Sets a cache for compiled code; compiling an interpreter takes ten seconds.
    #[must_use]
    pub fn with_code_cache(mut self, cache: CodeCache) -> Self {
        self.code = Some(cache);
        self
    }

    /// Sets the compiler process.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Input files of all snapshots: configurations, policies, settings and tables.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let files = self.kept.iter().flat_map(|kept| &kept.files);
        files.map(|(file, _)| file.clone()).collect()
    }

    /// Drops snapshots that the last run did not use.
    pub(super) fn keep(&mut self, used: &[Option<Arc<PolicySnapshot>>]) {
        self.kept.retain(|kept| {
            let is_kept = |used: &Arc<PolicySnapshot>| Arc::ptr_eq(used, &kept.snapshot);
            used.iter().flatten().any(is_kept)
        });
    }

    /// The snapshot of a setup.
    pub(super) async fn snapshot(
        &mut self,
        setup: &Setup,
    ) -> Result<Arc<PolicySnapshot>, Vec<Problem>> {
        let config = setup.configuration(&self.default_config)?;
        let files = files(&config, setup);
        let name = format!(
            "{:?} {:?} {:?} {:?}",
            config.source.path, setup.policy, setup.settings, setup.domains
        );
        if let Some(kept) = self.kept.iter().find(|kept| kept.setup == name)
            && kept.files == stamps(&files)
        {
            return Ok(Arc::clone(&kept.snapshot));
        }
        self.kept.retain(|kept| kept.setup != name);
        // Taken before the files are read, so that a later change is detected.
        let files = stamps(&files);
        let sandbox = self.sandbox(&config)?;
        let secrets = Arc::new(DerivedKeys::new(&Secret::from_bytes(SECRET)));
        let settings = setup.settings();
        let built =
            PolicySnapshot::build_for_tests(&sandbox, config, secrets, settings, &setup.domains);
        let BuildReport { snapshot, .. } = built.await?;
        self.kept.push(Kept {
            setup: name,
            files,
            snapshot: Arc::clone(&snapshot),
        });
        Ok(snapshot)
    }

    fn sandbox(&mut self, config: &Config) -> Result<Sandbox, Vec<Problem>> {
        let limits = Limits::from(&config.limits);
        let same = |other: &Limits| {
            (
                other.time,
                other.instructions,
                other.memory,
                other.decisions,
            ) == (
                limits.time,
                limits.instructions,
                limits.memory,
                limits.decisions,
            )
        };
        if let Some((_, sandbox)) = self.sandboxes.iter().find(|(limits, _)| same(limits)) {
            return Ok(sandbox.clone());
        }
        let builder = Sandbox::builder(limits).for_trials();
        let builder = match &self.code {
            Some(cache) => builder.cache(cache.clone()),
            None => builder,
        };
        let builder = match &self.compiler {
            Some(compiler) => builder.compiler(compiler.clone()),
            None => builder,
        };
        let sandbox = builder.build().map_err(|error| {
            let message = error.to_string();
            vec![Problem::of_file(&config.source.path, message, None)]
        })?;
        self.sandboxes.push((limits, sandbox.clone()));
        Ok(sandbox)
    }
}

/// A fixed value instead of a secret, so that results are the same everywhere.
const SECRET: [u8; 32] = *b"policy tests keep no secret here";

fn files(config: &Config, setup: &Setup) -> Vec<PathBuf> {
    let mut files = vec![config.source.path.clone(), config.policy.file.clone()];
    if setup.settings().is_none() {
        files.extend(config.policy.settings.clone());
    }
    files.extend(config.tables.iter().map(|table| table.file.clone()));
    files
}

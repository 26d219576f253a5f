//! The source of a policy: component, settings and lookup tables.

use std::path::PathBuf;
use std::sync::Arc;

use super::tables::Tables;
use crate::config::{Config, Problem, Severity, Source};
use waxseal_system::input_file;

/// A policy in memory: its component, settings and lookup tables. The files of a configuration
/// ([`PolicySnapshot::build`](super::PolicySnapshot::build)) are one source; a program that embeds Waxseal can have others.
#[derive(Clone, Debug)]
pub struct PolicySource {
    component: Arc<[u8]>,
    settings: Option<Source>,
    tables: Vec<(String, Source)>,
}

impl PolicySource {
    /// The policy of this component, without settings and tables.
    pub fn new(component: impl Into<Arc<[u8]>>) -> Self {
        Self {
            component: component.into(),
            settings: None,
            tables: Vec::new(),
        }
    }

    /// Sets the settings. `name` is the file name in problems.
    pub fn settings(mut self, name: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        self.settings = Some(Source {
            path: name.into(),
            text: text.into(),
        });
        self
    }

    /// Adds a lookup table: lines of a key and a value separated by white space.
    pub fn table(mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let path = PathBuf::from(&name);
        let text = text.into();
        self.tables.push((name, Source { path, text }));
        self
    }
}

/// The parts of a policy's source that could be read.
pub(super) struct Parts {
    pub(super) component: Option<Arc<[u8]>>,
    /// The settings; empty if the policy has none.
    pub(super) settings: Option<Source>,
    pub(super) has_settings: bool,
    pub(super) tables: Tables,
}

impl Parts {
    /// Reads the files of a configuration; `settings` replace those of the file.
    pub(super) fn read(
        named: &Config,
        settings: Option<Source>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let tables = Tables::read(&named.tables, &named.source, problems);
        let settings = settings.or_else(|| read_settings(named, problems));
        Self {
            tables,
            ..Self::with_settings(named, settings, problems)
        }
    }

    /// The same without tables, which are not read.
    pub(super) fn without_tables(named: &Config, problems: &mut Vec<Problem>) -> Self {
        let settings = read_settings(named, problems);
        Self::with_settings(named, settings, problems)
    }

    /// The component that a configuration names, with these settings and no tables.
    fn with_settings(
        named: &Config,
        settings: Option<Source>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self {
            component: settings
                .is_some()
                .then(|| read_component(named, problems))
                .flatten(),
            settings,
            has_settings: named.policy.settings.is_some(),
            tables: Tables::default(),
        }
    }

    pub(super) fn of(source: PolicySource, named: &Config, problems: &mut Vec<Problem>) -> Self {
        let mut tables = Tables::default();
        for (name, file) in &source.tables {
            tables.add(name, file, problems);
        }
        Self {
            component: Some(source.component),
            has_settings: source.settings.is_some(),
            settings: Some(source.settings.unwrap_or_else(|| no_settings(named))),
            tables,
        }
    }
}

fn no_settings(config: &Config) -> Source {
    Source {
        path: config.policy.file.clone(),
        text: "".into(),
    }
}

fn read_settings(config: &Config, problems: &mut Vec<Problem>) -> Option<Source> {
    let Some(path) = &config.policy.settings else {
        return Some(no_settings(config));
    };
    match input_file::read_text(path, input_file::SETTINGS) {
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

fn read_component(config: &Config, problems: &mut Vec<Problem>) -> Option<Arc<[u8]>> {
    let file = &config.policy.file;
    match input_file::read(file, input_file::COMPONENT) {
        Ok(bytes) => Some(bytes.into()),
        Err(error) => {
            let expected = "the policy's component; `make policies` builds those of this project";
            let span = config.policy.file_span.clone();
            let message = format!("{}: {error}", file.display());
            let problem =
                config
                    .source
                    .problem(Severity::Error, span, message, Some(expected.to_owned()));
            problems.push(problem);
            None
        }
    }
}

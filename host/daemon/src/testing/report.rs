//! The report of a test run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::golden::Golden;
use super::observed::Observed;
use super::suite::Case;
use waxseal_runtime::{LogLevel, LogLine};

/// Results of a test run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The cases, in the order of their files.
    pub cases: Vec<CaseReport>,
    /// Total wall-clock time.
    #[serde(rename = "microseconds", serialize_with = "micros")]
    pub time: Duration,
}

impl Report {
    /// Whether every case passed.
    pub fn passed(&self) -> bool {
        self.failed() == 0
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed()).count()
    }
}

/// Result of a case.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// Name of the case, including the name of the row.
    pub name: String,
    /// The test file.
    pub file: PathBuf,
    /// Line of the case, from 1.
    pub line: usize,
    /// Differences from the expectations; empty if the case passed.
    pub failures: Vec<Failure>,
    /// Reasons that the policy gave.
    pub reasons: Vec<String>,
    /// Log lines of the policy.
    #[serde(serialize_with = "log")]
    pub log: Vec<LogLine>,
    /// Instructions executed by the policy.
    pub instructions: u64,
    /// Memory used by the policy, in bytes.
    pub memory: usize,
    /// Wall-clock time of the case: decision, edits, signatures, checks.
    #[serde(rename = "microseconds", serialize_with = "micros")]
    pub time: Duration,
    #[serde(skip)]
    pub(super) golden: Option<Golden>,
}

impl CaseReport {
    pub(super) fn new(
        case: &Case,
        observed: &Observed,
        failures: Vec<Failure>,
        golden: Option<Golden>,
    ) -> Self {
        let outcome = observed.outcome.as_ref();
        let result = outcome.and_then(|outcome| outcome.result.as_ref());
        Self {
            failures,
            reasons: outcome.map_or_else(Vec::new, |outcome| outcome.reasons.clone()),
            log: result.map_or_else(Vec::new, |result| result.log.clone()),
            instructions: result.map_or(0, |result| result.cost.instructions),
            memory: result.map_or(0, |result| result.cost.memory),
            golden,
            ..Self::bare(case, observed.time)
        }
    }

    /// A case that could not be run.
    pub(super) fn of_failure(case: &Case, failure: Failure, time: Duration) -> Self {
        Self {
            failures: vec![failure],
            ..Self::bare(case, time)
        }
    }

    fn bare(case: &Case, time: Duration) -> Self {
        Self {
            name: case.name.clone(),
            file: case.source.path.clone(),
            line: case.line(&case.span),
            failures: Vec::new(),
            reasons: Vec::new(),
            log: Vec::new(),
            instructions: 0,
            memory: 0,
            time,
            golden: None,
        }
    }

    /// Whether the case passed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

fn micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn log<S: serde::Serializer>(lines: &[LogLine], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lines.iter().map(log_line))
}

/// A log line of the policy as text.
pub(super) fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    format!("{level}: {}", line.text)
}

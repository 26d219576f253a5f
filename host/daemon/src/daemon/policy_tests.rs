//! The policy tests of `policy.tests`, as a check of rollout candidates.

use std::sync::Arc;

use crate::testing::{Options, Suite};
use waxseal::config::Problem;
use waxseal::pipeline::PolicySnapshot;
use waxseal::rollout::{Check, CheckFuture};

/// Runs the tests that the candidate's configuration names (`policy.tests`).
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyTests;

impl Check for PolicyTests {
    fn check<'a>(&'a self, candidate: &'a Arc<PolicySnapshot>) -> CheckFuture<'a> {
        Box::pin(failures(candidate))
    }
}

async fn failures(candidate: &Arc<PolicySnapshot>) -> Vec<Problem> {
    let paths = candidate.config().policy.tests.clone();
    if paths.is_empty() {
        return Vec::new();
    }
    let suite = match tokio::task::spawn_blocking(move || Suite::read(&paths)).await {
        Ok(Ok(suite)) => suite,
        Ok(Err(problems)) => return problems,
        Err(error) => {
            let file = &candidate.config().source.path;
            let message = format!("cannot read the tests of the policy: {error}");
            return vec![Problem::of_file(file, message, None)];
        }
    };
    // One test at a time: the other cores and instances are left to mail.
    let options = Options {
        parallel: 1,
        progress: None,
    };
    let report = suite.run_against(candidate, &options).await;
    let failed = report.cases.iter().filter(|case| !case.passed());
    failed
        .flat_map(|case| {
            case.failures.iter().map(|failure| {
                let message = format!(
                    "the test \"{}\" fails: {} is {}",
                    case.name, failure.what, failure.actual
                );
                let expected = Some(failure.expected.clone());
                let mut problem = Problem::of_file(&case.file, message, expected);
                problem.line = Some(failure.line.unwrap_or(case.line));
                problem.column = Some(1);
                problem
            })
        })
        .collect()
}

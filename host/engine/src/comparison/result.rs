//! The result of a policy in a form that can be stored and compared.

use serde::{Deserialize, Serialize};

use waxseal_core::decision::compare::{Difference, Field, compare};
use waxseal_core::decision::{Decision, Verdict};
use waxseal_runtime::PolicyError;

/// The result of a policy: a decision, or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedResult {
    /// A decision.
    Decision(Box<Decision>),
    /// An error.
    Error {
        /// Its kind ([`PolicyError::kind`]).
        kind: String,
        /// Its text.
        text: String,
    },
}

impl RecordedResult {
    /// The result of a policy call.
    pub fn of(decision: &Result<Decision, PolicyError>) -> Self {
        match decision {
            Ok(decision) => Self::Decision(Box::new(decision.clone())),
            Err(error) => Self::Error {
                kind: error.kind().to_owned(),
                text: error.to_string(),
            },
        }
    }

    /// The differences of another result.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        if let (Self::Decision(before), Self::Decision(after)) = (self, other) {
            return compare(before, after);
        }
        Difference::value(Field::Outcome, self.outcome(), other.outcome())
            .into_iter()
            .collect()
    }

    /// A short form for counting, and a form for people.
    fn outcome(&self) -> [String; 2] {
        match self {
            Self::Decision(decision) => {
                let verdict = match decision.verdict {
                    Verdict::Accept => "accept",
                    Verdict::Reject(_) => "reject",
                    Verdict::Defer(_) => "defer",
                    Verdict::Discard => "discard",
                    Verdict::Hold(_) => "hold",
                };
                [verdict.to_owned(), format!("decided: {verdict}")]
            }
            Self::Error { kind, text } => [format!("error {kind}"), format!("error: {text}")],
        }
    }
}

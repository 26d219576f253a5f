//! Selection of the earlier versions to retain, and of the target of a rollback.
//!
//! A pure state machine over any [`Entry`]. Its rules:
//!
//! - The newest [`RETAINED_VERSIONS`] versions before the active one are retained, and also
//!   the last one that decided messages, however many follow.
//! - A rollback selects the newest of them that decided messages; if none did, the newest.
//!   It skips those that equal the active one, and those that are incompatible with the
//!   current host settings.
//! - The version that a rollback leaves is retained until another one is activated, for a
//!   rollback to its number only: rollbacks do not alternate.

use thiserror::Error;

/// Versions before the active one that are retained. Each holds its compiled code: some
/// megabytes for a policy in Rust and some tens for one in Python.
pub const RETAINED_VERSIONS: usize = 2;

/// The properties of a version that the selection depends on.
pub(super) trait Entry: Clone {
    /// Its number.
    fn number(&self) -> u64;

    /// Whether it is made from the same files.
    fn is_same(&self, other: &Self) -> bool;

    /// Whether it decided messages.
    fn has_decided(&self) -> bool;
}

/// Why there is no rollback.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// No version can be selected.
    #[error(
        "no version to roll back to{}. Activate another policy with `waxseal policy swap FILE`", skipped(.0)
    )]
    NoneBefore(Vec<Skipped>),
    /// The requested version is not retained.
    #[error("version {number} is not retained; {}", list(.retained))]
    NotRetained {
        /// Its number.
        number: u64,
        /// Numbers of the retained versions.
        retained: Vec<u64>,
    },
    /// The requested version cannot be activated, or is active.
    #[error("{0}")]
    Rejected(Skipped),
}

/// A version that a rollback skips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number.
    pub number: u64,
    /// Why.
    pub reason: SkipReason,
}

/// Why a rollback skips a version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is made from the same files as the active one.
    Same,
    /// It decided no message, and an earlier version did.
    NeverDecided,
    /// It refers to something that `waxseal.toml` or the keys no longer have.
    Incompatible(String),
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, reason } = self;
        match reason {
            SkipReason::Same => write!(f, "version {number} equals the active version"),
            SkipReason::NeverDecided => write!(f, "version {number} has not decided a message"),
            SkipReason::Incompatible(problem) => write!(
                f,
                "version {number} is incompatible with the current configuration and keys: {problem}"
            ),
        }
    }
}

fn skipped(skipped: &[Skipped]) -> String {
    let texts: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    match texts.is_empty() {
        true => ": no earlier version is retained".to_owned(),
        false => format!(": {}", texts.join("; ")),
    }
}

fn list(retained: &[u64]) -> String {
    let retained: Vec<String> = retained.iter().map(ToString::to_string).collect();
    match retained.is_empty() {
        true => "no earlier version is".to_owned(),
        false => format!("retained versions: {}", retained.join(", ")),
    }
}

/// The target of a rollback.
#[derive(Debug)]
pub(super) struct Target<V, T> {
    pub(super) version: V,
    /// The version built for the current host settings.
    pub(super) fitted: T,
    pub(super) skipped: Vec<Skipped>,
}

/// The retained versions, oldest first.
#[derive(Debug)]
pub(super) struct History<V> {
    before: Vec<V>,
    /// The version that the last rollback left.
    left: Option<V>,
}

impl<V> Default for History<V> {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            left: None,
        }
    }
}

impl<V: Entry> History<V> {
    /// All retained versions, oldest first.
    pub(super) fn retained(&self) -> Vec<V> {
        let mut retained: Vec<V> = self.before.iter().chain(&self.left).cloned().collect();
        retained.sort_by_key(Entry::number);
        retained
    }

    /// Replaces a version that must not count as an earlier one.
    pub(super) fn replaced(&mut self, old: V) {
        // A copy would use up the room of a version that is another.
        self.before.retain(|retained| !retained.is_same(&old));
        self.before.push(old);
        self.left = None;
        let pinned = self.before.iter().rposition(Entry::has_decided);
        let newest = self.before.len().saturating_sub(RETAINED_VERSIONS);
        let mut at = 0;
        self.before.retain(|_| {
            at += 1;
            at > newest || Some(at - 1) == pinned
        });
    }

    /// The target of a rollback from `serving`, by number or by the rules. `fit` builds a version
    /// for the host settings, or returns why it cannot be activated.
    ///
    /// # Errors
    ///
    /// If there is no target.
    pub(super) fn target<T>(
        &self,
        serving: &V,
        number: Option<u64>,
        mut fit: impl FnMut(&V) -> Result<T, String>,
    ) -> Result<Target<V, T>, RollbackError> {
        let mut fitting = |version: &V| {
            let reason = if version.is_same(serving) {
                SkipReason::Same
            } else {
                match fit(version) {
                    Ok(fitted) => return Ok(fitted),
                    Err(problem) => SkipReason::Incompatible(problem),
                }
            };
            Err(Skipped {
                number: version.number(),
                reason,
            })
        };
        if let Some(number) = number {
            let mut all = self.before.iter().chain(&self.left).chain([serving]);
            let Some(version) = all.find(|version| version.number() == number) else {
                let retained = self.retained().iter().map(Entry::number).collect();
                return Err(RollbackError::NotRetained { number, retained });
            };
            let fitted = fitting(version).map_err(RollbackError::Rejected)?;
            return Ok(Target {
                version: version.clone(),
                fitted,
                skipped: Vec::new(),
            });
        }
        let mut skipped = Vec::new();
        let mut candidates = Vec::new();
        for version in self.before.iter().rev() {
            match fitting(version) {
                Ok(fitted) => candidates.push((version, fitted)),
                Err(reason) => skipped.push(reason),
            }
        }
        let decided = candidates
            .iter()
            .position(|(version, _)| version.has_decided());
        let at = decided.unwrap_or(0);
        let passed = candidates.iter().take(at).map(|(version, _)| Skipped {
            number: version.number(),
            reason: SkipReason::NeverDecided,
        });
        skipped.extend(passed);
        match candidates.into_iter().nth(at) {
            Some((version, fitted)) => {
                skipped.retain(|skipped| skipped.number > version.number());
                Ok(Target {
                    version: version.clone(),
                    fitted,
                    skipped,
                })
            }
            None => Err(RollbackError::NoneBefore(skipped)),
        }
    }

    /// Records a rollback to a version from another. Versions in between are retained if they
    /// decided messages and differ from the one that was left.
    pub(super) fn went_back(&mut self, to: u64, left: V) {
        self.before.retain(|retained| {
            let number = retained.number();
            number < to || (number > to && retained.has_decided() && !retained.is_same(&left))
        });
        self.left = Some(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, files, and whether it decided messages.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Given(u64, char, bool);

    impl Entry for Given {
        fn number(&self) -> u64 {
            self.0
        }

        fn is_same(&self, other: &Self) -> bool {
            self.1 == other.1
        }

        fn has_decided(&self) -> bool {
            self.2
        }
    }

    fn history(versions: &[Given]) -> History<Given> {
        let mut history = History::default();
        versions.iter().for_each(|given| history.replaced(*given));
        history
    }

    fn numbers(history: &History<Given>) -> Vec<u64> {
        history.retained().iter().map(Entry::number).collect()
    }

    fn target(history: &History<Given>, serving: Given) -> Result<u64, RollbackError> {
        let fit = |_: &Given| Ok::<(), String>(());
        let target = history.target(&serving, None, fit)?;
        Ok(target.version.number())
    }

    fn skipped(number: u64, reason: SkipReason) -> Skipped {
        Skipped { number, reason }
    }

    #[test]
    fn author_h2_the_last_version_that_decided_is_kept_whatever_follows() {
        let mut history = history(&[Given(1, 'a', true)]);
        for number in 2..10 {
            let files = char::from(b'a' + number as u8);
            history.replaced(Given(number, files, false));
            assert!(numbers(&history).contains(&1), "after version {number}");
            assert!(numbers(&history).len() <= RETAINED_VERSIONS + 1);
            assert_eq!(target(&history, Given(number + 1, 'z', false)), Ok(1));
        }
        // As soon as a later one decided messages, it is the target.
        history.replaced(Given(10, 'x', true));
        history.replaced(Given(11, 'y', false));
        assert_eq!(numbers(&history), [10, 11]);
    }

    #[test]
    fn d9_copies_of_a_version_use_up_no_history() {
        let history = history(&[
            Given(1, 'a', true),
            Given(2, 'b', true),
            Given(3, 'c', true),
            Given(4, 'c', false),
            Given(5, 'c', false),
        ]);
        assert_eq!(numbers(&history), [2, 5]);
        assert_eq!(target(&history, Given(6, 'c', false)), Ok(2));
    }

    #[test]
    fn author_h2_a_rollback_skips_what_is_in_service_and_what_never_decided() {
        let history = history(&[
            Given(1, 'a', true),
            Given(2, 'b', false),
            Given(3, 'c', false),
        ]);
        let serving = Given(4, 'c', true);
        let target = history.target(&serving, None, |_| Ok::<(), String>(()));
        let target = target.expect("a version");
        assert_eq!(target.version, Given(1, 'a', true));
        let expected = [
            skipped(3, SkipReason::Same),
            skipped(2, SkipReason::NeverDecided),
        ];
        assert_eq!(target.skipped, expected);
    }

    #[test]
    fn where_no_version_has_decided_a_rollback_goes_to_the_newest() {
        let history = history(&[Given(1, 'a', false), Given(2, 'b', false)]);
        assert_eq!(target(&history, Given(3, 'c', false)), Ok(2));
        let none = RollbackError::NoneBefore(vec![skipped(1, SkipReason::Same)]);
        let only = super::tests::history(&[Given(1, 'a', true)]);
        assert_eq!(target(&only, Given(2, 'a', true)), Err(none));
    }

    #[test]
    fn h4_a_version_that_does_not_fit_the_configuration_of_now_is_skipped_with_the_reason() {
        let history = history(&[Given(1, 'a', true), Given(2, 'b', true)]);
        let fit = |given: &Given| match given.1 {
            'b' => Err("there is no relay \"west\"".to_owned()),
            files => Ok(files),
        };
        let serving = Given(3, 'c', true);
        let target = history.target(&serving, None, fit).expect("a version");
        assert_eq!((target.version.0, target.fitted), (1, 'a'));
        let misfit = skipped(
            2,
            SkipReason::Incompatible("there is no relay \"west\"".into()),
        );
        assert_eq!(target.skipped, std::slice::from_ref(&misfit));
        let rejected = history
            .target(&serving, Some(2), fit)
            .expect_err("rejected");
        assert_eq!(rejected, RollbackError::Rejected(misfit));
    }

    #[test]
    fn going_back_does_not_go_to_and_fro() {
        let mut history = history(&[Given(1, 'a', true), Given(2, 'b', true)]);
        let third = Given(3, 'c', true);
        assert_eq!(target(&history, third), Ok(2));
        history.went_back(2, third);
        let fourth = Given(4, 'b', true);
        assert_eq!(target(&history, fourth), Ok(1), "not to 3, which was left");
        history.went_back(1, fourth);
        let fifth = Given(5, 'a', true);
        assert_eq!(
            target(&history, fifth),
            Err(RollbackError::NoneBefore(vec![]))
        );
        // It can be selected by its number.
        let fit = |_: &Given| Ok::<(), String>(());
        let again = history.target(&fifth, Some(4), fit).expect("retained");
        assert_eq!(again.version, fourth);
    }

    #[test]
    fn d9_a_rollback_to_a_number_keeps_the_good_versions_in_between() {
        let mut history = history(&[Given(1, 'a', true), Given(2, 'b', true)]);
        let fit = |_: &Given| Ok::<(), String>(());
        let third = Given(3, 'c', true);
        let one = history.target(&third, Some(1), fit).expect("retained");
        assert_eq!(one.version.number(), 1);
        history.went_back(1, third);
        assert_eq!(numbers(&history), [2, 3]);
        assert_eq!(target(&history, Given(4, 'a', true)), Ok(2));
        let serving = Given(4, 'a', true);
        let same = history.target(&serving, Some(4), fit).expect_err("same");
        assert_eq!(same, RollbackError::Rejected(skipped(4, SkipReason::Same)));
        let retained = vec![2, 3];
        let gone = history.target(&serving, Some(7), fit).expect_err("gone");
        assert_eq!(
            gone,
            RollbackError::NotRetained {
                number: 7,
                retained
            }
        );
    }
}

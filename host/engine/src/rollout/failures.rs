//! Failures of the version in service on messages that the version before
//! decides, and when there are too many of them.
//!
//! A pure state machine. A failure that the version before shares is the
//! message's fault and never gets here. Where mail comes from four senders (logins,
//! or clients without one) or more, none of them counts for more than a quarter of
//! the failures that a rollback takes: one alone cannot cause it. Where it comes
//! from fewer, each counts for its part, so that a host that serves one program
//! has automatic rollbacks, too.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Messages that the share of failures is taken of: the last ones.
pub(super) const RECENT: usize = 200;

/// Least failures among them for a rollback by share.
pub(super) const LEAST: u64 = 20;

/// Senders that it takes at least for a rollback, where it takes as many
/// failures and as many are known.
const SENDERS: u64 = 4;

/// Most failures in a row that are distinguished: bounds memory, and is what
/// `policy.roll-back-after` can be at most.
const MOST: usize = 10_000;

/// Shares of recent messages, in percent, at which failures are reported: once
/// at each, so again as they grow.
const REPORTED: [u64; 6] = [5, 10, 25, 50, 75, 90];

/// Least failures that are reported.
const LEAST_REPORTED: u64 = 5;

/// A message that a version failed on, in place of its bytes and its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Hash of what is in it.
    pub(super) content: u64,
    /// Hash of who sent it.
    pub(super) sender: u64,
    /// Messages that the version had decided on before it.
    pub(super) after: u64,
}

/// When a version has failed too often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// Failures in a row (`policy.roll-back-after`); 0 is any number.
    pub(super) in_a_row: u64,
    /// Share of recent messages (`policy.roll-back-share`), in parts of one;
    /// none is any share.
    pub(super) share: Option<f64>,
    /// Senders of messages that were decided on ([`Senders::known`]).
    pub(super) senders: u64,
}

/// Senders of messages that were decided on since the start, by whatever version:
/// the first few, which is all that matters.
#[derive(Debug, Default)]
pub(super) struct Senders {
    hasher: RandomState,
    first: Mutex<HashSet<u64>>,
    complete: AtomicBool,
}

impl Senders {
    /// A message of this sender was decided on.
    pub(super) fn decided(&self, sender: impl Hash) {
        if self.complete.load(Ordering::Relaxed) {
            return;
        }
        let mut first = self.first();
        first.insert(self.hasher.hash_one(sender));
        self.complete
            .store(first.len() as u64 >= SENDERS, Ordering::Relaxed);
    }

    /// How many there are, as far as that matters.
    pub(super) fn known(&self) -> u64 {
        self.first().len() as u64
    }

    fn first(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a version has failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// So many different messages in a row.
    InARow(u64),
    /// So many of the last messages.
    Share {
        /// Failures.
        failures: u64,
        /// Messages.
        of: u64,
    },
}

/// What came of one more failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The version is to be left.
    pub(super) exceeded: Option<Exceeded>,
    /// Failures among recent messages, and how many these are, where that is to
    /// be reported.
    pub(super) report: Option<(u64, u64)>,
}

/// Failures of one version.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Messages decided on.
    decided: u64,
    /// All failures.
    total: u64,
    /// Senders by message, since the version last decided on one.
    row: HashMap<u64, u64>,
    /// The last messages; none for one that was decided on.
    recent: VecDeque<Option<Failed>>,
    /// The highest of [`REPORTED`] that was reached.
    reported: u64,
}

impl Failures {
    /// The version decided on a message.
    pub(super) fn decided(&mut self, counts_as_recent: bool) {
        self.decided += 1;
        self.row.clear();
        if counts_as_recent {
            self.push(None);
        }
    }

    /// Messages that the version decided on.
    pub(super) fn number_decided(&self) -> u64 {
        self.decided
    }

    /// Failures so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Failures in a row.
    pub(super) fn in_a_row(&self) -> u64 {
        self.row.len() as u64
    }

    /// Failures among recent messages, and how many these are.
    pub(super) fn recent(&self) -> (u64, u64) {
        let failed = self.recent.iter().flatten().count();
        (failed as u64, self.recent.len() as u64)
    }

    /// The version failed on a message that the version before decides.
    pub(super) fn failed(&mut self, failed: Failed, bounds: &Bounds) -> Verdict {
        // One that was decided on since ends the row.
        if failed.after == self.decided && self.row.len() < MOST {
            self.row.insert(failed.content, failed.sender);
        }
        let known = |other: &Failed| other.content == failed.content;
        if !self.recent.iter().flatten().any(known) {
            self.total += 1;
            self.push(Some(failed));
        }
        Verdict {
            exceeded: self.exceeded(bounds),
            report: self.report(),
        }
    }

    fn push(&mut self, message: Option<Failed>) {
        self.recent.push_back(message);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn exceeded(&self, bounds: &Bounds) -> Option<Exceeded> {
        if bounds.in_a_row > 0 {
            let count = counted(self.row.values().copied(), bounds.in_a_row, bounds);
            if count >= bounds.in_a_row {
                return Some(Exceeded::InARow(count));
            }
        }
        let share = bounds.share?;
        let (all, of) = self.recent();
        let senders = self.recent.iter().flatten().map(|failed| failed.sender);
        let failures = counted(senders, LEAST, bounds);
        // What does not count is no part of either number.
        let of = of - (all - failures);
        let reached = failures >= LEAST && failures as f64 >= share * of as f64;
        reached.then_some(Exceeded::Share { failures, of })
    }

    fn report(&mut self) -> Option<(u64, u64)> {
        let (failures, of) = self.recent();
        if failures < LEAST_REPORTED {
            return None;
        }
        let reached = |step: &&u64| failures * 100 >= **step * of;
        let step = *REPORTED.iter().rev().find(reached)?;
        let grown = step > self.reported;
        self.reported = self.reported.max(step);
        grown.then_some((failures, of))
    }
}

/// How many failures count of those of these senders, where it takes `most`.
fn counted(senders: impl Iterator<Item = u64>, most: u64, bounds: &Bounds) -> u64 {
    let each = most.div_ceil(bounds.senders.clamp(1, SENDERS));
    let mut by_sender: HashMap<u64, u64> = HashMap::new();
    for sender in senders {
        *by_sender.entry(sender).or_default() += 1;
    }
    by_sender.values().map(|&count| count.min(each)).sum()
}

/// Different messages that a version failed on since it last decided on one,
/// whoever is to blame.
#[derive(Debug, Default)]
pub(super) struct Row(HashSet<u64>);

impl Row {
    /// The version decided on a message.
    pub(super) fn ended(&mut self) {
        self.0.clear();
    }

    /// Counts a message; gives how many there are where this is another one.
    pub(super) fn another(&mut self, content: u64) -> Option<u64> {
        let another = self.0.len() < MOST && self.0.insert(content);
        another.then(|| self.number())
    }

    /// How many there are.
    pub(super) fn number(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        in_a_row: 20,
        share: Some(0.5),
        senders: SENDERS,
    };

    /// A failure on a message of its own of that sender.
    fn failed(failures: &Failures, content: u64, sender: u64) -> Failed {
        Failed {
            content,
            sender,
            after: failures.number_decided(),
        }
    }

    fn fail(failures: &mut Failures, content: u64, sender: u64) -> Verdict {
        let failed = failed(failures, content, sender);
        failures.failed(failed, &BOUNDS)
    }

    #[test]
    fn h4_one_sender_alone_causes_no_rollback_and_four_can() {
        let mut failures = Failures::default();
        for content in 0..1_000 {
            let verdict = fail(&mut failures, content, 1);
            assert_eq!(verdict.exceeded, None, "after {content}");
        }
        assert_eq!(failures.recent(), (200, 200));
        let mut failures = Failures::default();
        for content in 0..19 {
            assert_eq!(fail(&mut failures, content, content % 4).exceeded, None);
        }
        let last = fail(&mut failures, 19, 3);
        assert_eq!(last.exceeded, Some(Exceeded::InARow(20)));
    }

    #[test]
    fn a_sender_counts_for_its_part_where_fewer_than_four_are_known() {
        for (known, senders, exceeds) in [(0, 1, true), (1, 1, true), (2, 1, false), (2, 2, true)] {
            let bounds = Bounds {
                senders: known,
                share: None,
                ..BOUNDS
            };
            let mut failures = Failures::default();
            let verdicts = (0..20).map(|content| {
                let failed = failed(&failures, content, content % senders);
                failures.failed(failed, &bounds).exceeded.is_some()
            });
            let verdicts: Vec<bool> = verdicts.collect();
            assert_eq!(verdicts[19], exceeds, "{known} known, {senders} failing");
            assert!(!verdicts[..19].contains(&true));
        }
    }

    #[test]
    fn senders_are_counted_up_to_as_many_as_matter() {
        let senders = Senders::default();
        let mut known = Vec::new();
        for name in ["a", "b", "a", "c", "d", "e", "f"] {
            senders.decided(name);
            known.push(senders.known());
        }
        assert_eq!(known, [1, 2, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn a_message_that_is_decided_on_ends_the_row_even_for_what_comes_late() {
        let bounds = Bounds {
            share: None,
            ..BOUNDS
        };
        let mut failures = Failures::default();
        let late: Vec<Failed> = (0..40)
            .map(|content| failed(&failures, content, content))
            .collect();
        failures.decided(true);
        for failed in late {
            assert_eq!(failures.failed(failed, &bounds).exceeded, None);
        }
        assert_eq!((failures.in_a_row(), failures.total()), (0, 40));
    }

    #[test]
    fn the_same_message_again_counts_once() {
        let mut failures = Failures::default();
        for _ in 0..100 {
            fail(&mut failures, 7, 1);
        }
        assert_eq!((failures.in_a_row(), failures.total()), (1, 1));
        assert_eq!(failures.recent(), (1, 1));
    }

    #[test]
    fn m9_a_version_that_fails_on_half_of_the_messages_is_left_by_share() {
        let mut failures = Failures::default();
        let mut left = None;
        for content in 0..200 {
            failures.decided(true);
            let verdict = fail(&mut failures, content, content % 50);
            left = left.or(verdict.exceeded.map(|exceeded| (content, exceeded)));
        }
        let share = Exceeded::Share {
            failures: 20,
            of: 40,
        };
        assert_eq!(left, Some((19, share)));
    }

    #[test]
    fn m9_below_the_share_it_is_reported_once_and_again_as_it_grows() {
        let mut failures = Failures::default();
        let mut reports = Vec::new();
        let mut content = 0;
        for every in [50, 10, 3] {
            for number in 0..400 {
                if number % every == 0 {
                    content += 1;
                    let verdict = fail(&mut failures, content, content);
                    assert_eq!(verdict.exceeded, None);
                    reports.extend(verdict.report);
                } else {
                    failures.decided(true);
                }
            }
        }
        let shares: Vec<u64> = reports
            .iter()
            .map(|(failures, of)| failures * 100 / of)
            .collect();
        assert_eq!(shares, [5, 10, 25]);
    }

    #[test]
    fn zero_is_never() {
        let never = Bounds {
            in_a_row: 0,
            share: None,
            senders: SENDERS,
        };
        let mut failures = Failures::default();
        for content in 0..500 {
            let failed = failed(&failures, content, content);
            assert_eq!(failures.failed(failed, &never).exceeded, None);
        }
    }
}

//! Failures of the active version on messages that the previous version decides, and the
//! conditions of an automatic rollback.
//!
//! A pure state machine. A failure of both versions is caused by the message and not
//! counted. If there are four senders (logins, or clients without one) or more, each of
//! them counts for at most a quarter of the failures that a rollback requires: one alone
//! cannot cause it. If there are fewer, each counts for its part, so that a host that
//! serves one program has automatic rollbacks, too.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of recent messages from which the share of failures is computed.
pub(super) const RECENT_MESSAGES: usize = 200;

/// Minimum number of failures among them for a rollback by share.
pub(super) const MIN_FAILURES: u64 = 20;

/// Minimum number of failing senders for a rollback, if it requires as many failures and as
/// many senders are known.
const MIN_SENDERS: u64 = 4;

/// Maximum number of consecutive failures that are tracked; bounds memory, and is the largest
/// value of `policy.roll-back-after`.
const MAX_CONSECUTIVE: usize = 10_000;

/// Shares of recent messages, in percent, at which failures are reported, once for each.
const REPORTED_SHARES: [u64; 6] = [5, 10, 25, 50, 75, 90];

/// Minimum number of failures that are reported.
const MIN_REPORTED: u64 = 5;

/// A message that a version failed on, by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Hash of its content.
    pub(super) content: u64,
    /// Hash of its sender.
    pub(super) sender: u64,
    /// Number of messages that the version had decided before it.
    pub(super) after: u64,
}

/// Conditions of an automatic rollback.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// Consecutive failures (`policy.roll-back-after`); 0 is unlimited.
    pub(super) consecutive: u64,
    /// Share of recent messages (`policy.roll-back-share`), as a fraction; `None` is unlimited.
    pub(super) share: Option<f64>,
    /// Number of senders of decided messages ([`Senders::known`]).
    pub(super) senders: u64,
}

/// Senders of messages that any version decided since the start: the first few, which is
/// sufficient.
#[derive(Debug, Default)]
pub(super) struct Senders {
    hasher: RandomState,
    first: Mutex<HashSet<u64>>,
    complete: AtomicBool,
}

impl Senders {
    /// Counts a decided message of this sender.
    pub(super) fn decided(&self, sender: impl Hash) {
        if self.complete.load(Ordering::Relaxed) {
            return;
        }
        let mut first = self.first();
        first.insert(self.hasher.hash_one(sender));
        self.complete
            .store(first.len() as u64 >= MIN_SENDERS, Ordering::Relaxed);
    }

    /// Number of senders, up to the maximum.
    pub(super) fn known(&self) -> u64 {
        self.first().len() as u64
    }

    fn first(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The condition of a rollback that is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Consecutive failures on different messages.
    InARow(u64),
    /// Failures among recent messages.
    Share {
        /// Failures.
        failures: u64,
        /// Messages.
        of: u64,
    },
}

/// The result of counting a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The condition that is met, if any: the version must be rolled back.
    pub(super) exceeded: Option<Exceeded>,
    /// Failures among recent messages and the number of these, if they must be reported.
    pub(super) report: Option<(u64, u64)>,
}

/// Failures of one version.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Number of messages decided.
    decided: u64,
    /// Number of all failures.
    total: u64,
    /// Senders by message, since the version last decided a message.
    row: HashMap<u64, u64>,
    /// The recent messages; `None` for a decided one.
    recent: VecDeque<Option<Failed>>,
    /// The highest of [`REPORTED_SHARES`] that was reported.
    reported: u64,
}

impl Failures {
    /// Counts a message that the version decided.
    pub(super) fn decided(&mut self, counts_as_recent: bool) {
        self.decided += 1;
        self.row.clear();
        if counts_as_recent {
            self.push(None);
        }
    }

    /// Number of messages that the version decided.
    pub(super) fn number_decided(&self) -> u64 {
        self.decided
    }

    /// Number of failures.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Number of consecutive failures.
    pub(super) fn consecutive(&self) -> u64 {
        self.row.len() as u64
    }

    /// Failures among recent messages, and the number of these.
    pub(super) fn recent(&self) -> (u64, u64) {
        let failed = self.recent.iter().flatten().count();
        (failed as u64, self.recent.len() as u64)
    }

    /// Counts a failure on a message that the previous version decides.
    pub(super) fn failed(&mut self, failed: Failed, bounds: &Bounds) -> Verdict {
        // A message that was decided since ends the sequence.
        if failed.after == self.decided && self.row.len() < MAX_CONSECUTIVE {
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
        if self.recent.len() > RECENT_MESSAGES {
            self.recent.pop_front();
        }
    }

    fn exceeded(&self, bounds: &Bounds) -> Option<Exceeded> {
        if bounds.consecutive > 0 {
            let count = counted(self.row.values().copied(), bounds.consecutive, bounds);
            if count >= bounds.consecutive {
                return Some(Exceeded::InARow(count));
            }
        }
        let share = bounds.share?;
        let (all, of) = self.recent();
        let senders = self.recent.iter().flatten().map(|failed| failed.sender);
        let failures = counted(senders, MIN_FAILURES, bounds);
        // Failures over a sender's part count in neither number.
        let of = of - (all - failures);
        let reached = failures >= MIN_FAILURES && failures as f64 >= share * of as f64;
        reached.then_some(Exceeded::Share { failures, of })
    }

    fn report(&mut self) -> Option<(u64, u64)> {
        let (failures, of) = self.recent();
        if failures < MIN_REPORTED {
            return None;
        }
        let reached = |step: &&u64| failures * 100 >= **step * of;
        let step = *REPORTED_SHARES.iter().rev().find(reached)?;
        let grown = step > self.reported;
        self.reported = self.reported.max(step);
        grown.then_some((failures, of))
    }
}

/// The number of failures of these senders that count, if `most` are required.
fn counted(senders: impl Iterator<Item = u64>, most: u64, bounds: &Bounds) -> u64 {
    let each = most.div_ceil(bounds.senders.clamp(1, MIN_SENDERS));
    let mut by_sender: HashMap<u64, u64> = HashMap::new();
    for sender in senders {
        *by_sender.entry(sender).or_default() += 1;
    }
    by_sender.values().map(|&count| count.min(each)).sum()
}

/// Different messages that a version failed on since it last decided one, whatever the cause.
#[derive(Debug, Default)]
pub(super) struct ConsecutiveFailures(HashSet<u64>);

impl ConsecutiveFailures {
    /// Ends the sequence: the version decided a message.
    pub(super) fn ended(&mut self) {
        self.0.clear();
    }

    /// Counts a message; returns the number if it is a new one.
    pub(super) fn another(&mut self, content: u64) -> Option<u64> {
        let another = self.0.len() < MAX_CONSECUTIVE && self.0.insert(content);
        another.then(|| self.number())
    }

    /// Their number.
    pub(super) fn number(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        consecutive: 20,
        share: Some(0.5),
        senders: MIN_SENDERS,
    };

    /// A failure on a message of this sender.
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
        assert_eq!((failures.consecutive(), failures.total()), (0, 40));
    }

    #[test]
    fn the_same_message_again_counts_once() {
        let mut failures = Failures::default();
        for _ in 0..100 {
            fail(&mut failures, 7, 1);
        }
        assert_eq!((failures.consecutive(), failures.total()), (1, 1));
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
            consecutive: 0,
            share: None,
            senders: MIN_SENDERS,
        };
        let mut failures = Failures::default();
        for content in 0..500 {
            let failed = failed(&failures, content, content);
            assert_eq!(failures.failed(failed, &never).exceeded, None);
        }
    }
}

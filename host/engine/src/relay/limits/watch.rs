//! Warnings about limits that are nearly used.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::quota::{ChargeRequest, Day, Ledger};

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitLevel {
    /// As many percent as the setting says, or more.
    Near,
    /// All of it.
    Full,
}

/// A limit is nearly or fully used (R35).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitWarning {
    /// Name of the counter.
    pub counter: String,
    /// How much is used.
    pub level: LimitLevel,
    /// Units used.
    pub used: u64,
    /// The limit.
    pub maximum: u64,
    /// When the counter resets.
    pub resets_at: Timestamp,
}

/// Says once a day for each counter and level that a limit is nearly or fully used.
#[derive(Clone, Debug)]
pub struct LimitWatch {
    percent: u32,
    date: Option<Date>,
    reached: HashMap<String, LimitLevel>,
}

impl LimitWatch {
    /// A watch that warns from this percentage on.
    pub fn new(percent: u32) -> Self {
        Self {
            percent,
            date: None,
            reached: HashMap::new(),
        }
    }

    /// Looks at counters after a charge, or after one failed because of a limit. To
    /// call it once at the start, and to ignore the result, keeps a restart from
    /// repeating the warnings of the day.
    pub fn check(
        &mut self,
        ledger: &dyn Ledger,
        day: &Day,
        requests: &[ChargeRequest],
    ) -> Vec<LimitWarning> {
        let checked = requests.iter().filter_map(|request| {
            let used = ledger.used(day, &request.counter);
            self.check_one(day, &request.counter, used, request.maximum?)
        });
        checked.collect()
    }

    fn check_one(
        &mut self,
        day: &Day,
        counter: &str,
        used: u64,
        maximum: u64,
    ) -> Option<LimitWarning> {
        let level = level(used, maximum, self.percent)?;
        // A message that arrived before midnight says nothing new.
        if self.date.is_some_and(|date| day.date() < date) {
            return None;
        }
        if self.date != Some(day.date()) {
            self.date = Some(day.date());
            self.reached.clear();
        }
        let before = self.reached.get(counter).copied();
        if before >= Some(level) {
            return None;
        }
        self.reached.insert(counter.to_owned(), level);
        Some(LimitWarning {
            counter: counter.to_owned(),
            level,
            used,
            maximum,
            resets_at: day.resets_at(),
        })
    }
}

/// Eighty percent.
impl Default for LimitWatch {
    fn default() -> Self {
        Self::new(80)
    }
}

fn level(used: u64, maximum: u64, percent: u32) -> Option<LimitLevel> {
    if used >= maximum {
        return Some(LimitLevel::Full);
    }
    let near = u128::from(used) * 100 >= u128::from(maximum) * u128::from(percent);
    near.then_some(LimitLevel::Near)
}

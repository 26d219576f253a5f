//! Limits on the cost of work, by size of the input.
//!
//! Two measures, because neither is complete: the steps that the code reports ([`waxseal::work`]) are the same on every machine
//! but miss loops that report nothing; the processor time of the thread includes those, and is judged only if several runs exceed
//! the limit.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use waxseal::work;

/// Number of runs of which the fastest counts, if the first was too slow.
const RUNS: usize = 6;

/// Limits for input of n bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Steps for each byte and doubling: steps ≤ this · (n + 1024) · log₂(n + 2).
    pub(crate) steps: u64,
    /// Processor time for each byte.
    pub(crate) nanoseconds: u64,
    /// Fixed processor time.
    pub(crate) base: Duration,
}

impl Cost {
    /// For one pass, or a few.
    pub(crate) const PASSES: Self = Self {
        steps: 4,
        nanoseconds: 400,
        base: Duration::from_millis(4),
    };

    /// For a settings file: each entry becomes a value of its own, with its position in the text.
    pub(crate) const DOCUMENT: Self = Self {
        steps: 10,
        nanoseconds: 4000,
        base: Duration::from_millis(20),
    };

    /// For work that reads a message several times.
    pub(crate) const MANY_PASSES: Self = Self {
        steps: 10,
        nanoseconds: 1500,
        base: Duration::from_millis(8),
    };

    /// Does some work and checks its limits.
    pub(crate) fn hold<T>(self, what: &str, size: usize, work: impl Fn() -> T) -> T {
        let (done, steps, time) = measured(&work);
        let n = size as u64;
        let most = self.steps * (n + 1024) * u64::from((n + 2).ilog2() + 1);
        assert!(
            steps <= most,
            "{what}: {steps} steps for {n} bytes, and {most} are the most"
        );
        let most = self.base + Duration::from_nanos(self.nanoseconds * n);
        if time > most {
            let again = (1..RUNS).map(|_| measured(&work).2);
            let least = again.fold(time, Duration::min);
            assert!(
                least <= most,
                "{what}: {least:?} for {n} bytes, and {most:?} are the most"
            );
        }
        done
    }
}

fn measured<T>(work: impl Fn() -> T) -> (T, u64, Duration) {
    let before = processor_time();
    let (done, steps) = work::count(work);
    (done, steps, processor_time().saturating_sub(before))
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(steps: usize) {
        Cost::PASSES.hold("work", 1 << 16, || work::spend(steps));
    }

    #[test]
    fn a_few_steps_for_each_byte_are_within_the_bounds() {
        spent(1 << 20);
    }

    #[test]
    #[should_panic(expected = "steps for 65536 bytes")]
    fn l15_a_step_for_each_pair_of_bytes_is_not() {
        spent(1 << 32);
    }

    #[test]
    #[should_panic(expected = "for 10 bytes, and")]
    fn l15_time_that_nothing_reports_is_seen() {
        Cost::PASSES.hold("work", 10, || {
            let from = processor_time();
            while processor_time() - from < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
        });
    }
}

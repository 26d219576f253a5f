//! Processor time, which measures work independently of the load of the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this thread has used.
pub fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

/// The minimum processor time of some work in a number of runs.
pub fn least<T>(runs: usize, mut work: impl FnMut() -> T) -> Duration {
    let time = || {
        let before = used();
        std::hint::black_box(work());
        used().saturating_sub(before)
    };
    std::iter::repeat_with(time)
        .take(runs)
        .min()
        .unwrap_or_default()
}

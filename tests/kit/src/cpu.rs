//! Processor time: what work costs, however busy the machine is.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this thread has used.
pub fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

/// The least processor time that some work takes in a number of runs.
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

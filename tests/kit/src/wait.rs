//! Waiting for something to become true, without fixed sleeps.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: a busy machine
/// makes a test slow, never red.
pub const DEADLINE: Duration = Duration::from_secs(180);

const PAUSE: Duration = Duration::from_millis(15);

/// Asks `condition` again and again until it has an answer.
///
/// # Panics
///
/// When there is none within [`DEADLINE`]; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(PAUSE);
    }
}

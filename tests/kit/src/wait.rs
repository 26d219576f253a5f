//! Waiting for a condition, without fixed sleeps.

use std::time::{Duration, Instant};

/// Timeout of a wait. Generous: a busy machine makes a test slow, but does not fail it.
pub const DEADLINE: Duration = Duration::from_secs(180);

const PAUSE: Duration = Duration::from_millis(15);

/// Evaluates `condition` until it returns a value.
///
/// # Panics
///
/// If there is none within [`DEADLINE`]; the message contains `what`.
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

//! Metering of work: limits on the steps and the time of code that processes bytes from outside.
//!
//! Code reports its work by [`spend`], one step for about one byte or one list
//! element. [`run`] limits the steps and the time of everything that it calls, on
//! this thread. At a limit, [`spend`] unwinds the stack, without a panic message,
//! up to the `run` that set the limit, which returns [`Exhausted`]. So a function
//! that maps, edits or signs a message needs no error of its own for this, and no
//! loop can forget to propagate one.
//!
//! Guarantees:
//!
//! - Outside of [`run`] nothing is limited, and [`spend`] costs an addition.
//! - Steps are the same for the same input, on every machine: tests measure
//!   growth by them ([`count`]).
//! - The clock is read once in [`CHECK_INTERVAL`] steps.
//! - A nested `run` is limited by the outer ones as well; it is canceled by its
//!   own flag if it has one, and by theirs otherwise.
//!
//! In a program that is built with `panic = "abort"` work cannot be stopped:
//! there, steps are counted and limits are not enforced.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use thiserror::Error;

/// Steps between two reads of the clock: some tens of microseconds.
pub const CHECK_INTERVAL: u64 = 1 << 16;

/// Limits on some work. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Maximum number of steps.
    pub steps: Option<u64>,
    /// Time at which it is stopped.
    pub deadline: Option<Instant>,
    /// Set to cancel the work.
    pub canceled: Option<Arc<AtomicBool>>,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// [`Bounds::steps`].
    Steps,
    /// [`Bounds::deadline`].
    Deadline,
    /// [`Bounds::canceled`].
    Canceled,
}

/// Work was stopped at one of its limits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Exhausted {
    /// The limit.
    pub cause: Cause,
    /// The stage set by [`stage`]; empty without one.
    pub stage: &'static str,
    /// Number of steps done.
    pub steps: u64,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, steps, .. } = self;
        let stage = if stage.is_empty() {
            "processing"
        } else {
            stage
        };
        match self.cause {
            Cause::Steps => write!(f, "{stage}: work limit exceeded after {steps} steps"),
            Cause::Deadline => write!(f, "{stage}: deadline exceeded after {steps} steps"),
            Cause::Canceled => write!(f, "{stage}: canceled after {steps} steps"),
        }
    }
}

/// The state of the work on this thread.
struct Meter {
    /// Steps since the innermost [`run`] or [`count`] began.
    steps: Cell<u64>,
    /// Number of steps at which limits are checked next.
    check_at: Cell<u64>,
    stage: Cell<&'static str>,
    bounds: RefCell<Bounds>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            steps: Cell::new(0),
            check_at: Cell::new(u64::MAX),
            stage: Cell::new(""),
            bounds: RefCell::new(Bounds { steps: None, deadline: None, canceled: None }),
        }
    };
}

/// Reports steps that are done, or about to be. Does not return if they reach a
/// limit of the enclosing [`run`].
#[inline]
pub fn spend(steps: usize) {
    METER.with(|meter| {
        let done = meter.steps.get().saturating_add(steps as u64);
        meter.steps.set(done);
        if done >= meter.check_at.get() {
            check(meter);
        }
    });
}

#[cold]
fn check(meter: &Meter) {
    let steps = meter.steps.get();
    let cause = {
        let bounds = meter.bounds.borrow();
        meter.check_at.set(next_check(&bounds, steps));
        reached(&bounds, steps)
    };
    // A destructor that runs while the stack unwinds may finish.
    if let Some(cause) = cause
        && cfg!(panic = "unwind")
        && !std::thread::panicking()
    {
        let stage = meter.stage.get();
        resume_unwind(Box::new(Exhausted {
            cause,
            stage,
            steps,
        }));
    }
}

fn reached(bounds: &Bounds, steps: u64) -> Option<Cause> {
    let canceled = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
    if bounds.steps.is_some_and(|most| steps > most) {
        Some(Cause::Steps)
    } else if bounds.canceled.as_ref().is_some_and(canceled) {
        Some(Cause::Canceled)
    } else if bounds.deadline.is_some_and(|end| Instant::now() >= end) {
        Some(Cause::Deadline)
    } else {
        None
    }
}

fn next_check(bounds: &Bounds, steps: u64) -> u64 {
    let clock = match bounds {
        Bounds {
            deadline: None,
            canceled: None,
            ..
        } => u64::MAX,
        _ => steps.saturating_add(CHECK_INTERVAL),
    };
    match bounds.steps {
        // Beyond the limit, as in a destructor, each step is checked.
        Some(most) => clock.min(most.saturating_add(1)),
        None => clock,
    }
}

/// Bytes that a loop reports at once.
const CHUNK: usize = 1 << 12;

/// Progress of a loop over bytes. It reports a step for each byte, some thousand
/// bytes at once and in advance, so that each iteration costs only a comparison.
#[derive(Debug)]
pub struct Progress {
    length: usize,
    /// Offset up to which steps are reported.
    reported: usize,
}

impl Progress {
    /// Progress of a loop over that many bytes.
    pub fn over(length: usize) -> Self {
        Self {
            length,
            reported: 0,
        }
    }

    /// Reports that the loop is about to process the byte at an offset.
    #[inline]
    pub fn at(&mut self, offset: usize) {
        if offset >= self.reported {
            self.report(offset);
        }
    }

    #[cold]
    fn report(&mut self, offset: usize) {
        let ahead = offset.saturating_add(CHUNK).min(self.length);
        spend(ahead.saturating_sub(self.reported));
        self.reported = ahead.max(offset.saturating_add(1));
    }
}

/// Names the current stage of the work, for [`Exhausted::stage`], until the guard is dropped.
#[must_use = "the stage ends when this is dropped"]
pub fn stage(name: &'static str) -> Stage {
    Stage {
        before: METER.with(|meter| meter.stage.replace(name)),
    }
}

/// Guard of a stage: see [`stage`].
#[derive(Debug)]
pub struct Stage {
    before: &'static str,
}

impl Drop for Stage {
    fn drop(&mut self) {
        METER.with(|meter| meter.stage.set(self.before));
    }
}

/// Does some work within limits.
///
/// State that the work has modified may be inconsistent when it is stopped: it
/// should take values and return values.
///
/// # Errors
///
/// If a limit is reached. A panic is propagated.
pub fn run<T>(bounds: &Bounds, work: impl FnOnce() -> T) -> Result<T, Exhausted> {
    let done = {
        let _scope = Scope::enter(bounds);
        // Work that is canceled or past its deadline does not begin.
        catch_unwind(AssertUnwindSafe(|| {
            METER.with(check);
            work()
        }))
    };
    done.or_else(|payload| match payload.downcast::<Exhausted>() {
        Ok(exhausted) => Err(*exhausted),
        Err(panic) => resume_unwind(panic),
    })
}

/// Does some work and counts its steps.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let _scope = Scope::enter(&Bounds::default());
    let done = work();
    (done, METER.with(|meter| meter.steps.get()))
}

/// The current limits; restores the previous ones when dropped.
struct Scope {
    steps: u64,
    bounds: Bounds,
}

impl Scope {
    fn enter(bounds: &Bounds) -> Self {
        METER.with(|meter| {
            let outer = meter.bounds.borrow().clone();
            let steps = meter.steps.replace(0);
            let bounds = within(&outer, steps, bounds);
            meter.check_at.set(next_check(&bounds, 0));
            meter.bounds.replace(bounds);
            Self {
                steps,
                bounds: outer,
            }
        })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        METER.with(|meter| {
            let steps = self.steps.saturating_add(meter.steps.get());
            meter.steps.set(steps);
            meter.check_at.set(next_check(&self.bounds, steps));
            meter.bounds.replace(std::mem::take(&mut self.bounds));
        });
    }
}

/// The inner limits, reduced to the rest of the outer ones.
fn within(outer: &Bounds, done: u64, inner: &Bounds) -> Bounds {
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    Bounds {
        steps: least(
            outer.steps.map(|most| most.saturating_sub(done)),
            inner.steps,
        ),
        deadline: outer.deadline.into_iter().chain(inner.deadline).min(),
        canceled: inner.canceled.clone().or_else(|| outer.canceled.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn steps(most: u64) -> Bounds {
        Bounds {
            steps: Some(most),
            ..Bounds::default()
        }
    }

    /// Spends one step at a time and returns their number.
    fn work(steps: usize) -> usize {
        (0..steps).map(|_| spend(1)).count()
    }

    #[test]
    fn work_within_its_limits_is_done_and_counted() {
        assert_eq!(run(&steps(1000), || work(1000)), Ok(1000));
        assert_eq!(count(|| work(70_000)), (70_000, 70_000));
    }

    #[test]
    fn work_that_reaches_its_limit_is_stopped() {
        let mut reached = 0;
        let stopped = run(&steps(1000), || {
            let _stage = stage("counting");
            for _ in 0..5000 {
                spend(1);
                reached += 1;
            }
        });
        let exhausted = stopped.expect_err("5000 are more than 1000");
        assert_eq!(
            (exhausted.cause, exhausted.stage),
            (Cause::Steps, "counting")
        );
        assert_eq!(reached, 1000);
        assert_eq!(count(|| work(5000)).1, 5000, "the limits end with it");
    }

    #[test]
    fn progress_reports_each_byte_once_and_stops_a_loop() {
        let walk = |length: usize, stride: usize| {
            let mut progress = Progress::over(length);
            (0..length).step_by(stride).for_each(|at| progress.at(at));
        };
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            assert_eq!(count(|| walk(length, 1)).1, length as u64);
        }
        assert_eq!(count(|| walk(10 * CHUNK, 3 * CHUNK)).1, 10 * CHUNK as u64);
        let mut reached = 0;
        let stopped = run(&steps(10 * CHUNK as u64), || {
            let mut progress = Progress::over(1_000_000);
            for at in 0..1_000_000 {
                progress.at(at);
                reached = at;
            }
        });
        assert!(stopped.is_err() && reached < 11 * CHUNK, "{reached}");
    }

    #[test]
    fn a_deadline_in_the_past_stops_work_before_it_begins() {
        let bounds = Bounds {
            deadline: Some(Instant::now()),
            ..Bounds::default()
        };
        let stopped = run(&bounds, || work(1)).expect_err("no time is left");
        assert_eq!((stopped.cause, stopped.steps), (Cause::Deadline, 0));
    }

    #[test]
    fn canceled_work_is_stopped_at_the_next_check() {
        let flag = Arc::new(AtomicBool::new(false));
        let bounds = Bounds {
            canceled: Some(Arc::clone(&flag)),
            ..Bounds::default()
        };
        let mut reached = 0;
        let stopped = run(&bounds, || {
            for _ in 0..10 * CHECK_INTERVAL {
                spend(1);
                reached += 1;
                flag.store(true, Ordering::Relaxed);
            }
        });
        assert_eq!(
            stopped.map_err(|stopped| stopped.cause),
            Err(Cause::Canceled)
        );
        assert!(reached < 2 * CHECK_INTERVAL, "{reached}");
    }

    #[test]
    fn nested_work_counts_for_the_outer_one_and_is_limited_by_it() {
        let inner = Bounds {
            deadline: Some(Instant::now() + Duration::from_secs(3600)),
            ..steps(1_000_000)
        };
        let outer = run(&steps(100), || {
            work(40);
            assert_eq!(run(&inner, || work(40)), Ok(40));
            let stopped = run(&inner, || work(40)).expect_err("20 are left");
            (stopped.cause, stopped.steps)
        });
        assert_eq!(outer, Ok((Cause::Steps, 21)));
    }

    #[test]
    #[should_panic(expected = "as it would be without a meter")]
    fn a_panic_is_propagated() {
        let _ = run(&steps(10), || panic!("as it would be without a meter"));
    }
}

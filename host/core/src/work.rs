//! Metered work: how much may be done with a message's bytes, and how much was.
//!
//! Code that runs over bytes from outside reports what it does by [`spend`], one
//! step for about one byte or one list element looked at. [`run`] bounds the
//! steps and the time of everything that is called inside it, on this thread.
//! Work that reaches a bound is stopped where it stands: [`spend`] unwinds its
//! stack, without a panic message, up to the `run` that set the bound, which
//! returns [`Exhausted`]. So a function that maps, edits or signs a message needs
//! no error of its own for it, and no loop can forget to hand one on.
//!
//! What holds:
//!
//! - Outside of [`run`] nothing is bounded, and [`spend`] costs an addition.
//! - Steps are the same for the same input, on every machine: tests measure
//!   growth by them ([`count`]).
//! - The clock is read once in [`CHECK_INTERVAL`] steps.
//! - A nested `run` is bounded by the outer ones as well; it is canceled by its
//!   own flag where it has one, and by theirs otherwise.
//!
//! In a program that is built with `panic = "abort"` work cannot be stopped:
//! there, steps are counted and bounds are not enforced.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use thiserror::Error;

/// Steps between two looks at the clock: some tens of microseconds.
pub const CHECK_INTERVAL: u64 = 1 << 16;

/// Bounds of some work. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Most steps.
    pub steps: Option<u64>,
    /// When it has to be done.
    pub deadline: Option<Instant>,
    /// Set by whoever no longer needs the result.
    pub canceled: Option<Arc<AtomicBool>>,
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// [`Bounds::steps`].
    Steps,
    /// [`Bounds::deadline`].
    Deadline,
    /// [`Bounds::canceled`].
    Canceled,
}

/// Work was stopped at one of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Exhausted {
    /// Which bound it was.
    pub cause: Cause,
    /// What was being done, as named by [`stage`]; empty where nothing was named.
    pub stage: &'static str,
    /// Steps done by then.
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
            Cause::Steps => write!(f, "{stage}: stopped at its limit of work, {steps} steps"),
            Cause::Deadline => write!(f, "{stage}: deadline exceeded after {steps} steps"),
            Cause::Canceled => write!(f, "{stage}: canceled after {steps} steps"),
        }
    }
}

/// What is known of the work on this thread.
struct Meter {
    /// Steps since the innermost [`run`] or [`count`] began.
    steps: Cell<u64>,
    /// Steps at which bounds are looked at; never where there are none.
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

/// Reports that some steps are done, or about to be. Does not return where that
/// reaches a bound of the [`run`] around it.
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
    // A destructor that works while the stack unwinds is let finish.
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
        // Past its limit, which a destructor may be: each step is looked at.
        Some(most) => clock.min(most.saturating_add(1)),
        None => clock,
    }
}

/// Bytes for which a loop reports its steps at one time.
const CHUNK: usize = 1 << 12;

/// Progress of a loop over bytes. It reports a step for each byte, some thousand
/// bytes at a time and ahead of the loop, so that a look at each byte costs no
/// more than a comparison.
#[derive(Debug)]
pub struct Progress {
    length: usize,
    /// Offset up to which steps are reported.
    reported: usize,
}

impl Progress {
    /// A loop over that many bytes.
    pub fn over(length: usize) -> Self {
        Self {
            length,
            reported: 0,
        }
    }

    /// The loop is about to look at the byte at an offset.
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

/// Names what is done until the guard is dropped, for [`Exhausted::stage`].
#[must_use = "the stage ends when this is dropped"]
pub fn stage(name: &'static str) -> Stage {
    Stage {
        before: METER.with(|meter| meter.stage.replace(name)),
    }
}

/// A stage that is under way: see [`stage`].
#[derive(Debug)]
pub struct Stage {
    before: &'static str,
}

impl Drop for Stage {
    fn drop(&mut self) {
        METER.with(|meter| meter.stage.set(self.before));
    }
}

/// Does some work within bounds.
///
/// What the work has changed when it is stopped is half changed: it should take
/// values and return values.
///
/// # Errors
///
/// When a bound was reached. A panic is handed on.
pub fn run<T>(bounds: &Bounds, work: impl FnOnce() -> T) -> Result<T, Exhausted> {
    let done = {
        let _scope = Scope::enter(bounds);
        // Whoever has been canceled, or is late, does not begin.
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

/// Bounds that are in force; dropping it puts those before in force again.
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

/// The inner bounds, and not more than is left of the outer ones.
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

    /// Spends one step at a time and gives what was spent.
    fn work(steps: usize) -> usize {
        (0..steps).map(|_| spend(1)).count()
    }

    #[test]
    fn work_within_its_bounds_is_done_and_counted() {
        assert_eq!(run(&steps(1000), || work(1000)), Ok(1000));
        assert_eq!(count(|| work(70_000)), (70_000, 70_000));
    }

    #[test]
    fn work_that_reaches_its_limit_is_stopped_where_it_stands() {
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
        assert_eq!(count(|| work(5000)).1, 5000, "bounds are gone with it");
    }

    #[test]
    fn progress_reports_each_byte_once_and_stops_a_loop_in_its_midst() {
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
    fn work_that_nobody_waits_for_is_stopped_at_the_next_check() {
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
    fn nested_work_counts_for_the_outer_one_and_is_bounded_by_it() {
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
    fn a_panic_is_handed_on() {
        let _ = run(&steps(10), || panic!("as it would be without a meter"));
    }
}

//! The job that the current task is a part of: its bounds, and work within them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::executor::{LowPriorityExecutor, joined, on_low_priority_thread};
use waxseal_core::work::{self, Bounds, Cause, Exhausted};

/// Steps that one piece of work may take on the quick threads: about two
/// milliseconds, which is the most that each hostile message ahead of an honest
/// one costs it. Few honest messages that begin there take more.
pub const QUICK_STEPS: u64 = 1 << 18;

/// The state of a job that the work in it uses.
pub(super) struct Job {
    slow: Arc<LowPriorityExecutor>,
    deadline: Instant,
    canceled: Arc<AtomicBool>,
    cancellation: CancellationToken,
    /// Whether some of its work was too long for the quick threads: the rest then runs
    /// on the slow ones.
    is_long: AtomicBool,
    step: Mutex<&'static str>,
}

tokio::task_local! {
    static JOB: Arc<Job>;
}

impl Job {
    pub(super) fn new(
        slow: Arc<LowPriorityExecutor>,
        deadline: Instant,
        step: &'static str,
    ) -> Arc<Self> {
        Arc::new(Self {
            slow,
            deadline,
            canceled: Arc::default(),
            cancellation: CancellationToken::new(),
            is_long: AtomicBool::new(false),
            step: Mutex::new(step),
        })
    }

    /// Whether the current task is a part of a job.
    pub(super) fn is_inside() -> bool {
        JOB.try_with(|_| ()).is_ok()
    }

    fn current() -> Option<Arc<Self>> {
        JOB.try_with(Arc::clone).ok()
    }

    /// Makes a future a part of this job.
    pub(super) fn scope<F: Future>(
        self: &Arc<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        JOB.scope(Arc::clone(self), work)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            steps: None,
            deadline: Some(self.deadline),
            canceled: Some(Arc::clone(&self.canceled)),
        }
    }

    pub(super) fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
        self.cancellation.cancel();
    }

    /// Whether it was canceled or its deadline has passed.
    pub(super) fn is_over(&self) -> bool {
        self.canceled.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    pub(super) fn enter(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    pub(super) fn step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped(cause: Cause, stage: &'static str) -> Exhausted {
    Exhausted {
        cause,
        stage,
        steps: 0,
    }
}

/// Deadline and cancellation of the current job; no bounds outside of a job.
pub fn bounds() -> Bounds {
    JOB.try_with(|job| job.bounds()).unwrap_or_default()
}

/// Waits for a future until the deadline of the current job.
///
/// # Errors
///
/// When the job exceeds its deadline or is canceled; the future is dropped then.
pub async fn in_time<T>(
    step: &'static str,
    awaited: impl Future<Output = T>,
) -> Result<T, Exhausted> {
    let Some(job) = Job::current() else {
        return Ok(awaited.await);
    };
    job.enter(step);
    let deadline = tokio::time::Instant::from_std(job.deadline);
    tokio::select! {
        biased;
        done = awaited => Ok(done),
        () = job.cancellation.cancelled() => Err(stopped(Cause::Canceled, step)),
        () = tokio::time::sleep_until(deadline) => Err(stopped(Cause::Deadline, step)),
    }
}

/// Runs pure work within the bounds of the current job: on this thread if it is a slow
/// one or the work is short, else again on a slow one. Returns the input with the
/// result.
pub async fn compute<S, T>(
    step: &'static str,
    input: S,
    work: impl Fn(&S) -> T + Send + 'static,
) -> (S, Result<T, Exhausted>)
where
    S: Send + 'static,
    T: Send + 'static,
{
    let staged = move |input: &S| {
        let _stage = work::stage(step);
        work(input)
    };
    let Some(job) = Job::current() else {
        let done = staged(&input);
        return (input, Ok(done));
    };
    job.enter(step);
    let bounds = job.bounds();
    let slow = match on_low_priority_thread() {
        true => None,
        false => job.slow.handle(),
    };
    let Some(slow) = slow else {
        let done = work::run(&bounds, || staged(&input));
        return (input, done);
    };
    if !job.is_long.load(Ordering::Relaxed) {
        let quick = Bounds {
            steps: Some(QUICK_STEPS),
            ..bounds.clone()
        };
        match work::run(&quick, || staged(&input)) {
            Err(stopped) if stopped.cause == Cause::Steps => {
                job.is_long.store(true, Ordering::Relaxed);
            }
            done => return (input, done),
        }
    }
    let span = tracing::Span::current();
    let again = async move {
        let done = work::run(&bounds, || staged(&input));
        (input, done)
    };
    joined(slow.spawn(again.instrument(span))).await
}

//! Worker threads for everything that is done with a message's content, beside
//! the threads that serve sockets.
//!
//! A message is processed as one job ([`Pool::run`]), on one of two groups of
//! threads:
//!
//! - **quick**: as many threads as processors. Work on the message is done there
//!   within [`QUICK_STEPS`]; what takes more is pure, so it is begun again on
//!   the slow threads ([`compute`]).
//! - **slow**: more threads, of low priority, for messages of more than
//!   [`LARGE`] bytes and for what took too long on the quick ones.
//!
//! A job has one deadline for everything from its order to its result, waiting
//! for a thread included. Metered work ([`work`]) stops at the
//! deadline by itself; so does what is awaited by [`in_time`]. What stops in
//! neither way is given up a moment later ([`DeadlineExceeded`]). A job whose result nobody
//! waits for any more is canceled: its work stops at the next check, and what it
//! charged is given back in order.
//!
//! Outside of a job, [`compute`] and [`in_time`] bound nothing.

mod low_priority;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::work::{self, Bounds, Cause, Exhausted};
use low_priority::joined;

pub(crate) use low_priority::{LowPriorityExecutor, on_low_priority_thread};

/// Messages of more bytes are processed on the slow threads from the beginning:
/// editing and signing them takes milliseconds, and what is begun twice is paid
/// for twice.
pub const LARGE: usize = 32 << 10;

/// Steps that one piece of work may take on the quick threads: about two
/// milliseconds, which is the most that each hostile message ahead of an honest
/// one costs it. Few honest messages that begin there take more.
pub const QUICK_STEPS: u64 = 1 << 18;

/// How long after its deadline a job that does not stop by itself is given up.
/// Its own account of where it stopped is more exact than ours.
const GRACE: Duration = Duration::from_millis(250);

/// Where a job stands that no thread has begun.
const WAITING: &str = "waiting for a place in the pool";

/// The threads. One pool serves a process.
#[derive(Default)]
pub struct Pool {
    quick: OnceLock<Option<Runtime>>,
    slow: LowPriorityExecutor,
}

/// What a job may take.
#[derive(Clone, Copy, Debug)]
pub struct JobLimits {
    /// Bytes of the message that is worked on.
    pub size: usize,
    /// When it has to be done.
    pub deadline: Instant,
}

/// A job was given up at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("deadline exceeded while {step}")]
pub struct DeadlineExceeded {
    /// What was being done, or waited for.
    pub step: &'static str,
}

/// One job, as the work in it sees it.
struct Job {
    pool: Arc<Pool>,
    deadline: Instant,
    canceled: Arc<AtomicBool>,
    cancellation: CancellationToken,
    /// Some of its work was too long for the quick threads: no more of it is
    /// begun there.
    is_long: AtomicBool,
    step: Mutex<&'static str>,
}

tokio::task_local! {
    static JOB: Arc<Job>;
}

impl Job {
    fn current() -> Option<Arc<Self>> {
        JOB.try_with(Arc::clone).ok()
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            steps: None,
            deadline: Some(self.deadline),
            canceled: Some(Arc::clone(&self.canceled)),
        }
    }

    fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
        self.cancellation.cancel();
    }

    fn enter(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(cause: Cause, stage: &'static str) -> Exhausted {
        Exhausted {
            cause,
            stage,
            steps: 0,
        }
    }
}

/// Cancels a job when nobody waits for it any more.
struct Waiting(Arc<Job>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Pool {
    /// A pool whose threads are started when they are first needed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Processes a message: runs `work` on the pool's threads. Within a job it
    /// is a part of that job, whatever its own order.
    ///
    /// When this future is dropped, the job is canceled; it still ends in order,
    /// by its deadline at the latest. Panics are handed on.
    ///
    /// # Errors
    ///
    /// When the job was not done at its deadline, and did not stop by itself.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        order: JobLimits,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, DeadlineExceeded> {
        if JOB.try_with(|_| ()).is_ok() {
            return Ok(work.await);
        }
        let job = Arc::new(Job {
            pool: Arc::clone(self),
            deadline: order.deadline,
            canceled: Arc::default(),
            cancellation: CancellationToken::new(),
            is_long: AtomicBool::new(false),
            step: Mutex::new(WAITING),
        });
        let _waiting = Waiting(Arc::clone(&job));
        let give_up = tokio::time::Instant::from_std(order.deadline + GRACE);
        let task = JOB.scope(Arc::clone(&job), bounded(Arc::clone(&job), give_up, work));
        let task = task.instrument(tracing::Span::current());
        let threads = if order.size > LARGE {
            self.slow.handle()
        } else {
            self.quick()
        };
        let Some(threads) = threads else {
            return task.await;
        };
        // Not aborted when this is dropped: a job undoes what it has begun.
        let mut task = threads.spawn(task);
        tokio::select! {
            biased;
            done = &mut task => match done {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(DeadlineExceeded { step: "stopping" }),
                },
            },
            () = tokio::time::sleep_until(give_up) => {
                task.abort();
                Err(DeadlineExceeded { step: job.step() })
            }
        }
    }

    fn quick(&self) -> Option<&Handle> {
        let runtime = self.quick.get_or_init(quick_threads);
        runtime.as_ref().map(Runtime::handle)
    }
}

/// The work of a job that may have been canceled before it began, and that ends
/// at its deadline whether anybody waits for it or not.
async fn bounded<T>(
    job: Arc<Job>,
    give_up: tokio::time::Instant,
    work: impl Future<Output = T>,
) -> Result<T, DeadlineExceeded> {
    if job.canceled.load(Ordering::Relaxed) || Instant::now() >= job.deadline {
        return Err(DeadlineExceeded { step: WAITING });
    }
    job.enter("processing");
    match tokio::time::timeout_at(give_up, work).await {
        Ok(done) => Ok(done),
        Err(_) => Err(DeadlineExceeded { step: job.step() }),
    }
}

fn quick_threads() -> Option<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("waxseal-work")
        // A message keeps its thread for up to some milliseconds: what was
        // ordered meanwhile must not wait for more than one of them.
        .event_interval(1)
        .global_queue_interval(1)
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            tracing::warn!("messages are processed by the threads that serve sockets: {error}");
            None
        }
    }
}

impl Drop for Pool {
    /// May happen on any thread, of the pool's as well.
    fn drop(&mut self) {
        if let Some(runtime) = self.quick.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// Bounds of the job that this is a part of: its deadline, and its cancellation.
pub fn bounds() -> Bounds {
    JOB.try_with(|job| job.bounds()).unwrap_or_default()
}

/// Waits for something on behalf of the job that this is a part of, no longer
/// than the job may take.
///
/// # Errors
///
/// When the job is past its deadline or canceled; what was waited for is
/// dropped then.
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
        () = job.cancellation.cancelled() => Err(Job::stopped(Cause::Canceled, step)),
        () = tokio::time::sleep_until(deadline) => Err(Job::stopped(Cause::Deadline, step)),
    }
}

/// Does some pure work for the job that this is a part of, within its bounds:
/// on this thread if it is one of the slow ones or the work is short, else
/// once more on a slow one. Gives the input back with the result.
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
        false => job.pool.slow.handle(),
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

#[cfg(test)]
mod tests;

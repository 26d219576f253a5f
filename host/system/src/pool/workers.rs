//! The pool: quick and slow threads, and the jobs that run on them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tracing::Instrument as _;

use super::executor::LowPriorityExecutor;
use super::job::Job;

/// Messages of more bytes are processed on the slow threads from the beginning:
/// editing and signing them takes milliseconds, and restarted work is paid for
/// twice.
pub const LARGE: usize = 32 << 10;

/// How long after its deadline a job that does not stop by itself is aborted. The job's
/// own error names the place where it stopped more exactly.
const GRACE: Duration = Duration::from_millis(250);

/// The step of a job that has not started.
pub(super) const WAITING: &str = "waiting for a place in the pool";

/// The threads. A process needs one pool.
#[derive(Default)]
pub struct Pool {
    quick: OnceLock<Option<Runtime>>,
    slow: Arc<LowPriorityExecutor>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Size and deadline of a job.
#[derive(Clone, Copy, Debug)]
pub struct JobLimits {
    /// Bytes of the message.
    pub size: usize,
    /// When the result is due.
    pub deadline: Instant,
}

/// A job was aborted at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("deadline exceeded while {step}")]
pub struct DeadlineExceeded {
    /// What the job was doing or waiting for.
    pub step: &'static str,
}

/// Cancels a job when its caller stops waiting.
struct CancelOnDrop(Arc<Job>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Pool {
    /// A pool that starts its threads when they are first needed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Processes a message: runs `work` on the pool's threads. Within a job, `work` is a
    /// part of that job and has its limits.
    ///
    /// When this future is dropped, the job is canceled; it still cleans up, until its
    /// deadline at the latest. Panics are propagated.
    ///
    /// # Errors
    ///
    /// When the job was not finished at its deadline and did not stop by itself.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        limits: JobLimits,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, DeadlineExceeded> {
        if Job::is_inside() {
            return Ok(work.await);
        }
        let job = Job::new(Arc::clone(&self.slow), limits.deadline, WAITING);
        let _cancel = CancelOnDrop(Arc::clone(&job));
        let abort_at = tokio::time::Instant::from_std(limits.deadline + GRACE);
        let task = job.scope(bounded(Arc::clone(&job), abort_at, work));
        let task = task.instrument(tracing::Span::current());
        let threads = if limits.size > LARGE {
            self.slow.handle()
        } else {
            self.quick()
        };
        let Some(threads) = threads else {
            return task.await;
        };
        // Not aborted when this future is dropped: a canceled job cleans up.
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
            () = tokio::time::sleep_until(abort_at) => {
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

/// The work of a job. It is not started if the job is over already, and ends at
/// `abort_at` even if its caller is gone.
async fn bounded<T>(
    job: Arc<Job>,
    abort_at: tokio::time::Instant,
    work: impl Future<Output = T>,
) -> Result<T, DeadlineExceeded> {
    if job.is_over() {
        return Err(DeadlineExceeded { step: WAITING });
    }
    job.enter("processing");
    match tokio::time::timeout_at(abort_at, work).await {
        Ok(done) => Ok(done),
        Err(_) => Err(DeadlineExceeded { step: job.step() }),
    }
}

fn quick_threads() -> Option<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("waxseal-work")
        // A message occupies its thread for up to some milliseconds: jobs that arrive
        // meanwhile must not wait for more than one message.
        .event_interval(1)
        .global_queue_interval(1)
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            tracing::warn!(
                "cannot start worker threads, processing messages on the threads that serve \
                 sockets: {error}"
            );
            None
        }
    }
}

impl Drop for Pool {
    /// Does not wait for the threads: it may run on one of them.
    fn drop(&mut self) {
        if let Some(runtime) = self.quick.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

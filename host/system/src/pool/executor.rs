//! An executor on low-priority threads, for long work that must not slow down mail.
//!
//! It has more threads than there are processors. The kernel divides the processor
//! time that mail leaves fairly among them, so that work of some milliseconds does
//! not wait for work of some seconds that began before it.

use std::cell::Cell;
use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// Their `nice` value: if mail uses all processors, they get a tenth of one.
const NICE: i32 = 10;

/// Threads for each processor. More long messages than that wait. Each thread costs
/// some megabytes: its allocations, and the instance of its last decision.
const THREADS: usize = 4;

/// Maximum number of threads.
const MAX_THREADS: usize = 64;

thread_local! {
    static LOW_PRIORITY: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread of a [`LowPriorityExecutor`].
pub fn on_low_priority_thread() -> bool {
    LOW_PRIORITY.get()
}

/// Work that can move to another thread.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The threads. They are started when the first long work needs them.
#[derive(Default)]
pub struct LowPriorityExecutor {
    runtime: OnceLock<Option<Runtime>>,
}

impl fmt::Debug for LowPriorityExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LowPriorityExecutor")
            .field("is_started", &self.runtime.get().is_some())
            .finish()
    }
}

impl LowPriorityExecutor {
    /// Runs work on this thread until it first yields, and then on the low-priority
    /// threads. Dropping this future drops the work.
    ///
    /// On a low-priority thread, and if no threads can be started, all of it runs on
    /// this thread.
    pub async fn run<T: Send + 'static>(&self, mut work: Work<T>) -> T {
        if on_low_priority_thread() {
            return yielding_to_others(work).await;
        }
        let begun = poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
        if let Poll::Ready(done) = begun.await {
            return done;
        }
        self.run_low_priority(work).await
    }

    /// Runs work on the low-priority threads from the beginning, for work that no
    /// client waits for.
    pub async fn run_low_priority<T: Send + 'static>(&self, work: Work<T>) -> T {
        match self.handle() {
            Some(threads) => joined(threads.spawn(yielding_to_others(work))).await,
            None => work.await,
        }
    }

    /// The threads, or `None` if they cannot be started.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        let runtime = self.runtime.get_or_init(threads);
        runtime.as_ref().map(Runtime::handle)
    }
}

/// Waits for a task and aborts it when this future is dropped. A panic is
/// propagated.
pub(super) async fn joined<T>(task: JoinHandle<T>) -> T {
    match AbortOnDropHandle::new(task).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The task is canceled only by dropping this future or the threads.
            Err(_) => pending().await,
        },
    }
}

/// Yields the processor to other threads at each yield of the work. Priority alone
/// does not suffice: a thread runs for milliseconds before the kernel preempts it.
async fn yielding_to_others<T>(mut work: Work<T>) -> T {
    poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            thread::yield_now();
        }
        polled
    })
    .await
}

impl Drop for LowPriorityExecutor {
    /// Does not wait for the threads: this may be a thread of a runtime, where blocking
    /// is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn threads() -> Option<Runtime> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads((THREADS * processors).min(MAX_THREADS))
        .thread_name("waxseal-slow")
        .on_thread_start(lower_priority)
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            tracing::warn!(
                "cannot start low-priority threads, long work has the priority of mail: {error}"
            );
            None
        }
    }
}

/// Lowers the priority of this thread, relative to the thread that started it: the
/// threads of a shadow candidate keep the lowest. On Linux each thread has a priority of
/// its own.
fn lower_priority() {
    LOW_PRIORITY.set(true);
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!("cannot lower the priority of a thread for long work: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rustix::process::getpriority_process;
    use tokio::task::yield_now;

    use super::*;

    /// Name and priority of the current thread.
    fn place() -> (Option<String>, i32) {
        let name = thread::current().name().map(str::to_owned);
        (name, getpriority_process(None).expect("a priority"))
    }

    #[tokio::test]
    async fn short_work_runs_on_the_calling_thread() {
        let executor = LowPriorityExecutor::default();
        let asked = thread::current().id();
        let done = executor
            .run(Box::pin(async { thread::current().id() }))
            .await;
        assert_eq!(done, asked);
        assert!(executor.runtime.get().is_none(), "no threads are started");
    }

    #[tokio::test]
    async fn r28_long_work_continues_at_low_priority() {
        let executor = LowPriorityExecutor::default();
        let (_, ours) = place();
        let work = Box::pin(async {
            yield_now().await;
            place()
        });
        let (name, priority) = executor.run(work).await;
        assert_eq!(name.as_deref(), Some("waxseal-slow"));
        assert_eq!(priority, (ours + NICE).min(19));
    }

    #[tokio::test]
    async fn work_is_dropped_with_its_future() {
        let executor = LowPriorityExecutor::default();
        let (held, dropped) = mpsc::channel::<()>();
        let mut run = Box::pin(executor.run(Box::pin(async move {
            let _held = held;
            pending::<()>().await;
        })));
        let begun = poll_fn(|context| Poll::Ready(run.as_mut().poll(context).is_ready()));
        assert!(!begun.await);
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(run);
        assert!(dropped.recv().is_err(), "the work was dropped");
    }

    #[tokio::test]
    #[should_panic(expected = "propagated")]
    async fn a_panic_is_propagated() {
        let work = Box::pin(async {
            yield_now().await;
            panic!("propagated");
        });
        LowPriorityExecutor::default().run::<()>(work).await;
    }
}

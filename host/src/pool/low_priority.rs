//! Low-priority threads: long work is finished there, behind everything else
//! that mail waits for.
//!
//! There are more of these threads than processors. The kernel shares what is
//! left of the processors fairly among them, so that work of some milliseconds
//! is not held up by work of some seconds that began before it.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// How far behind others these threads stand (`nice`): where mail takes all
/// processors, they get a tenth of one.
const NICE: i32 = 10;

/// Threads for each processor. Work beyond that many long messages at one time
/// waits; what a thread has allocated once, and the slot of its last decision, cost
/// some megabytes.
const THREADS: usize = 4;

/// Most threads.
const MOST_THREADS: usize = 64;

thread_local! {
    static LOW_PRIORITY: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is a low-priority one.
pub(crate) fn on_low_priority_thread() -> bool {
    LOW_PRIORITY.get()
}

/// Work that can go on on another thread.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Threads that are started with the first long work.
#[derive(Default)]
pub(crate) struct LowPriorityExecutor {
    runtime: OnceLock<Option<Runtime>>,
}

impl LowPriorityExecutor {
    /// Does some work: here, until it first gives its thread back, and then on
    /// the low-priority threads. Work whose future is dropped is dropped there,
    /// too.
    ///
    /// All of it is done here where here is a low-priority thread already, or
    /// where there are no threads to be had.
    pub(crate) async fn run<T: Send + 'static>(&self, mut work: Work<T>) -> T {
        if on_low_priority_thread() {
            return yielding_to_others(work).await;
        }
        let begun = poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
        if let Poll::Ready(done) = begun.await {
            return done;
        }
        self.run_low_priority(work).await
    }

    /// Does all of some work on the low-priority threads: that of nobody who
    /// waits.
    pub(crate) async fn run_low_priority<T: Send + 'static>(&self, work: Work<T>) -> T {
        match self.handle() {
            Some(threads) => joined(threads.spawn(yielding_to_others(work))).await,
            None => work.await,
        }
    }

    /// The threads; none where there are none to be had.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        let runtime = self.runtime.get_or_init(threads);
        runtime.as_ref().map(Runtime::handle)
    }
}

/// Waits for a task, and aborts it if nobody waits any more. A panic is handed
/// on.
pub(super) async fn joined<T>(task: JoinHandle<T>) -> T {
    match AbortOnDropHandle::new(task).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Only dropping this very future, or the threads, cancels it.
            Err(_) => pending().await,
        },
    }
}

/// Offers the processor to others after each slice: by its priority alone, a
/// thread that has just got one keeps it for milliseconds.
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
    /// May happen on any thread, of a runtime's as well, where waiting for the
    /// threads is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn threads() -> Option<Runtime> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads((THREADS * processors).min(MOST_THREADS))
        .thread_name("waxseal-slow")
        .on_thread_start(lower_priority)
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            tracing::warn!("long work has the priority of mail: no threads for it: {error}");
            None
        }
    }
}

/// A priority is a thread's on Linux. It is lowered from what the thread that
/// asked first has: a candidate's in shadow stays the lowest.
fn lower_priority() {
    LOW_PRIORITY.set(true);
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!("long work has the priority of mail: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rustix::process::getpriority_process;
    use tokio::task::yield_now;

    use super::*;

    /// Name and priority of this thread.
    fn place() -> (Option<String>, i32) {
        let name = thread::current().name().map(str::to_owned);
        (name, getpriority_process(None).expect("a priority"))
    }

    #[tokio::test]
    async fn short_work_is_done_by_the_thread_that_asks_for_it() {
        let executor = LowPriorityExecutor::default();
        let asked = thread::current().id();
        let done = executor
            .run(Box::pin(async { thread::current().id() }))
            .await;
        assert_eq!(done, asked);
        assert!(executor.runtime.get().is_none(), "no threads for nothing");
    }

    #[tokio::test]
    async fn r28_long_work_goes_on_behind_everything_else() {
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
    async fn work_that_nobody_waits_for_any_more_is_dropped() {
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
        assert!(dropped.recv().is_err(), "until its other end is gone");
    }

    #[tokio::test]
    #[should_panic(expected = "as it would be without other threads")]
    async fn a_panic_is_handed_on() {
        let work = Box::pin(async {
            yield_now().await;
            panic!("as it would be without other threads");
        });
        LowPriorityExecutor::default().run::<()>(work).await;
    }
}

//! The slow lane: decisions that turn out long are finished on threads of their
//! own, which stand behind everything else that mail waits for.
//!
//! A decision begins on the thread of whoever asks for it, where most end within
//! microseconds. One that gives its thread back before it ends (it has executed
//! [`limits::SLICE`], or waits for something) goes on here. A guest that loops
//! thus costs its neighbours a fraction of a millisecond, once, whatever its
//! limits are.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::limits;

/// Work that can go on on another thread.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Threads that are there from the first long decision on.
#[derive(Default)]
pub(super) struct SlowLane {
    runtime: OnceLock<Option<Runtime>>,
}

impl SlowLane {
    /// Does some work: here, until it first gives its thread back, and then in
    /// the slow lane. Work whose future is dropped is dropped there, too.
    ///
    /// Where there are no threads to be had, all of it is done here.
    pub(super) async fn run<T: Send + 'static>(&self, mut work: Work<T>) -> T {
        let begun = poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
        if let Poll::Ready(done) = begun.await {
            return done;
        }
        self.run_behind(work).await
    }

    /// Does all of some work in the slow lane: that of nobody who waits.
    pub(super) async fn run_behind<T: Send + 'static>(&self, work: Work<T>) -> T {
        let Some(runtime) = self.runtime.get_or_init(threads) else {
            return work.await;
        };
        match AbortOnDropHandle::new(runtime.spawn(giving_way(work))).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Only dropping this very future, or this lane, cancels it.
                Err(_) => pending().await,
            },
        }
    }
}

/// Offers the processor to others after each slice: by its priority alone, a
/// thread that has just got one keeps it for milliseconds.
async fn giving_way<T>(mut work: Work<T>) -> T {
    poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            thread::yield_now();
        }
        polled
    })
    .await
}

impl Drop for SlowLane {
    /// May happen on any thread, of a runtime's as well, where waiting for the
    /// threads is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// As many threads as processors: they take what is left of all of them.
fn threads() -> Option<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("waxseal-slow")
        .on_thread_start(step_back)
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            tracing::warn!(
                "long decisions have the priority of mail: no threads for them: {error}"
            );
            None
        }
    }
}

/// A priority is a thread's on Linux. It is lowered from what the thread that
/// asked first has: a candidate's in shadow stays the lowest.
fn step_back() {
    if let Err(error) = rustix::process::nice(limits::SLOW_LANE_NICE) {
        tracing::warn!("a long decision has the priority of mail: {error}");
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
        let lane = SlowLane::default();
        let asked = thread::current().id();
        let done = lane.run(Box::pin(async { thread::current().id() })).await;
        assert_eq!(done, asked);
        assert!(lane.runtime.get().is_none(), "no threads for nothing");
    }

    #[tokio::test]
    async fn r28_long_work_goes_on_behind_everything_else() {
        let lane = SlowLane::default();
        let (_, ours) = place();
        let work = Box::pin(async {
            yield_now().await;
            place()
        });
        let (name, priority) = lane.run(work).await;
        assert_eq!(name.as_deref(), Some("waxseal-slow"));
        assert_eq!(priority, (ours + limits::SLOW_LANE_NICE).min(19));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_dropped() {
        let lane = SlowLane::default();
        let (held, dropped) = mpsc::channel::<()>();
        let mut run = Box::pin(lane.run(Box::pin(async move {
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
    #[should_panic(expected = "as it would be without the lane")]
    async fn a_panic_is_handed_on() {
        let work = Box::pin(async {
            yield_now().await;
            panic!("as it would be without the lane");
        });
        SlowLane::default().run::<()>(work).await;
    }
}

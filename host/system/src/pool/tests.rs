use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::workers::WAITING;
use super::*;
use waxseal_core::work::{self, Cause, Exhausted};

const LONG: Duration = Duration::from_secs(3600);

fn limits(size: usize) -> JobLimits {
    JobLimits {
        size,
        deadline: Instant::now() + LONG,
    }
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// The thread that finishes work of that many steps for a message of that size, and
/// how often the work was started.
async fn finished_by(size: usize, steps: usize) -> (String, usize) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let job = async move {
        let work = move |steps: &usize| {
            counted.fetch_add(1, Ordering::Relaxed);
            (0..*steps / 1000).for_each(|_| work::spend(1000));
            thread_name()
        };
        let (given_back, done) = compute("counting", steps, work).await;
        assert_eq!(given_back, steps);
        done.expect("no bound is reached")
    };
    let name = Pool::new().run(limits(size), job).await.expect("in time");
    (name, begun.load(Ordering::Relaxed))
}

#[tokio::test]
async fn h1_work_on_messages_never_runs_on_the_calling_thread() {
    let short = QUICK_STEPS as usize / 2;
    let long = 2 * QUICK_STEPS as usize;
    assert_eq!(finished_by(1000, short).await, ("waxseal-work".into(), 1));
    assert_eq!(finished_by(1000, long).await, ("waxseal-slow".into(), 2));
    assert_eq!(
        finished_by(LARGE + 1, short).await,
        ("waxseal-slow".into(), 1)
    );
    assert_eq!(
        finished_by(LARGE + 1, long).await,
        ("waxseal-slow".into(), 1)
    );
}

#[tokio::test]
async fn h1_long_work_on_every_thread_does_not_block_other_messages() {
    let pool = Pool::new();
    let ended = Arc::new(AtomicBool::new(false));
    let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
    let hostile: Vec<_> = (0..threads)
        .map(|_| {
            let (pool, ended) = (Arc::clone(&pool), Arc::clone(&ended));
            let work = |ended: &Arc<AtomicBool>| {
                while !ended.load(Ordering::Relaxed) {
                    work::spend(1000);
                }
            };
            let job = async move { compute("looping", ended, work).await.1 };
            tokio::spawn(async move { pool.run(limits(1000), job).await })
        })
        .collect();
    for _ in 0..100 {
        let honest = async { compute("editing", 7, |number| *number).await.0 };
        assert_eq!(pool.run(limits(1000), honest).await, Ok(7));
    }
    assert!(hostile.iter().all(|hostile| !hostile.is_finished()));
    ended.store(true, Ordering::Relaxed);
    for hostile in hostile {
        assert_eq!(hostile.await.expect("no panic"), Ok(Ok(())));
    }
}

#[tokio::test]
async fn h1_work_past_its_deadline_stops_and_names_its_step() {
    let limits = JobLimits {
        size: 1000,
        deadline: Instant::now() + Duration::from_millis(20),
    };
    let work = |(): &()| {
        let _stage = work::stage("decoding");
        loop {
            work::spend(1000);
        }
    };
    let job = async move { compute("editing", (), work).await.1 };
    let stopped = Pool::new().run(limits, job).await.expect("it stops itself");
    let stopped: Exhausted = stopped.expect_err("it loops");
    assert_eq!(
        (stopped.cause, stopped.stage),
        (Cause::Deadline, "decoding")
    );
}

#[tokio::test]
async fn h1_waiting_past_the_deadline_stops_and_names_its_step() {
    let limits = JobLimits {
        size: 1000,
        deadline: Instant::now() + Duration::from_millis(20),
    };
    let job = in_time("charging", std::future::pending::<()>());
    let stopped = Pool::new().run(limits, job).await.expect("it stops itself");
    let stopped = stopped.expect_err("it waits forever");
    assert_eq!(
        (stopped.cause, stopped.stage),
        (Cause::Deadline, "charging")
    );
    let late = Pool::new().run(limits, std::future::pending::<()>()).await;
    assert_eq!(
        late,
        Err(DeadlineExceeded { step: WAITING }),
        "it never started"
    );
    let limits = JobLimits {
        deadline: Instant::now() + Duration::from_millis(20),
        ..limits
    };
    let late = Pool::new().run(limits, std::future::pending::<()>()).await;
    assert_eq!(late, Err(DeadlineExceeded { step: "processing" }));
}

#[tokio::test]
async fn h1_work_that_nobody_waits_for_is_canceled_and_ends_in_limits() {
    let pool = Pool::new();
    let (begun, has_begun) = mpsc::channel();
    let (causes, ended) = mpsc::channel();
    let work = move |(): &()| {
        let _ = begun.send(());
        loop {
            work::spend(1000);
        }
    };
    let job = async move {
        let (_, stopped) = compute("editing", (), work).await;
        let stopped: Exhausted = stopped.expect_err("it loops");
        // As a refund does.
        let _ = causes.send(stopped.cause);
    };
    let running = tokio::spawn(async move { pool.run(limits(LARGE + 1), job).await });
    let has_begun = tokio::task::spawn_blocking(move || has_begun.recv());
    has_begun.await.expect("no panic").expect("begun");
    running.abort();
    let ended = tokio::task::spawn_blocking(move || ended.recv());
    let cause = ended.await.expect("no panic");
    assert_eq!(cause, Ok(Cause::Canceled));
}

#[tokio::test]
async fn a_nested_job_is_a_part_of_the_outer_one() {
    let pool = Pool::new();
    let (inner, outer) = (Arc::clone(&pool), thread_name());
    let job = async move {
        let nested = async { thread_name() };
        inner.run(limits(LARGE + 1), nested).await
    };
    let done = pool.run(limits(1000), job).await.expect("in time");
    assert_eq!(done.as_deref(), Ok("waxseal-work"));
    assert_ne!(outer, "waxseal-work");
}

#[tokio::test]
#[should_panic(expected = "propagated")]
async fn a_panic_is_propagated() {
    let work = |(): &()| panic!("propagated");
    let job = async move { compute("editing", (), work).await.1 };
    let _ = Pool::new().run(limits(1), job).await;
}

#[tokio::test]
async fn outside_of_a_job_there_are_no_bounds() {
    let (_, done) = compute("editing", 3, |number| number + 1).await;
    assert_eq!(done, Ok(4));
    assert_eq!(in_time("deciding", async { 5 }).await, Ok(5));
    assert!(bounds().deadline.is_none());
}

//! Calling a guest under its limits, and telling what became of the call.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmtime::component::ResourceTableError;
use wasmtime::{Engine, Store, Trap};
use wasmtime_wasi::I32Exit;

use super::deterministic_env::DeterministicEnv;
use super::error::{Denied, OverBudget, Overtime, PolicyError};
use super::limits;
use super::log::one_line;
use super::state::{DecisionInput, State};

/// What a guest call gave: its result or an error of wasmtime's; none within
/// its time.
pub(super) type Outcome<T> = Option<wasmtime::Result<T>>;

/// Limits of one call, for telling which was reached.
pub(super) struct CallLimits {
    pub(super) time: Duration,
    pub(super) instructions: u64,
    pub(super) memory: usize,
}

impl CallLimits {
    pub(super) fn setup(memory: usize) -> Self {
        Self {
            time: limits::SETUP_TIME,
            instructions: limits::SETUP_INSTRUCTIONS,
            memory,
        }
    }
}

/// A store with its limits set.
pub(super) fn store(
    engine: &Engine,
    subject: Option<DecisionInput>,
    moment: DeterministicEnv,
    bounds: &CallLimits,
) -> Store<State> {
    let mut store = Store::new(engine, State::new(subject, bounds.memory, moment));
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits::BYTES_FROM_GUEST);
    // Both fail only where fuel is not configured, which `engine` does.
    let _ = store.set_fuel(bounds.instructions);
    let _ = store.fuel_async_yield_interval(Some(limits::SLICE));
    store.set_epoch_deadline(2);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// CallLimits a call by wall clock. A guest that computes yields after each slice,
/// and one that waits for something yields at once; when the future is dropped
/// the guest's stack is, too.
///
/// The clock is read at each yield: on a worker thread that never rests, a
/// timer alone would be noticed a third of a second late. Most calls end without
/// one, and without a timer.
pub(super) async fn within<T>(
    time: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Outcome<T> {
    let deadline = Instant::now() + time;
    let mut call = pin!(call);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(result) = call.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if Instant::now() >= deadline || timer.as_mut().poll(context).is_ready() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// The result of a call, or why there is none.
///
/// # Errors
///
/// The limit that was reached, or what trapped.
pub(super) fn classify<T>(
    outcome: Outcome<T>,
    store: &Store<State>,
    bounds: &CallLimits,
) -> Result<T, PolicyError> {
    let error = match outcome {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => error,
        None => return Err(PolicyError::TimedOut(bounds.time)),
    };
    if let Some(denied) = error.downcast_ref::<Denied>() {
        return Err(PolicyError::ImportDenied(denied.0.clone()));
    }
    if error.is::<Overtime>() {
        return Err(PolicyError::TimedOut(bounds.time));
    }
    if let Some(over) = over_budget(&error) {
        return Err(PolicyError::TooMuchData(over));
    }
    let trap = error.downcast_ref::<Trap>();
    if let Some(Trap::OutOfFuel) = trap {
        return Err(PolicyError::OutOfInstructions(bounds.instructions));
    }
    let state = store.data();
    // A guest that gives up by itself executes `unreachable`. Only then are the
    // last words of its log about that.
    let gave_up = matches!(trap, Some(Trap::UnreachableCodeReached));
    if let Some(panic) = state.log.last_words().filter(|_| gave_up) {
        return Err(PolicyError::Trapped(panic.to_owned()));
    }
    if state.memory.refused {
        return Err(PolicyError::OutOfMemory(bounds.memory));
    }
    let stderr = state.stderr();
    if gave_up && !stderr.is_empty() {
        return Err(PolicyError::Trapped(brief(&stderr)));
    }
    Err(PolicyError::Trapped(told(&error)))
}

/// What wasmtime says of an error, in words that help where its own do not.
fn told(error: &wasmtime::Error) -> String {
    if error.is::<I32Exit>() {
        return "it ended its own program (exit) in place of deciding".to_owned();
    }
    match error.downcast_ref::<Trap>() {
        // Rust, C and C++ keep most of their stack in memory, where it ends
        // at address 0.
        Some(trap @ Trap::MemoryOutOfBounds) => {
            format!("{trap} (a stack that is used up looks like this, too)")
        }
        _ => brief(&error.root_cause().to_string()),
    }
}

/// Which budget of data an error is about, if it is about one.
fn over_budget(error: &wasmtime::Error) -> Option<String> {
    if let Some(over) = error.downcast_ref::<OverBudget>() {
        return Some(over.0.clone());
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some(format!("more than {} handles at one time", limits::HANDLES));
    }
    // wasmtime keeps this type to itself: its words are all there is to know it
    // by (a test holds them).
    let copied = error
        .chain()
        .any(|cause| cause.to_string().contains("fuel allocated for hostcalls"));
    copied.then(|| {
        format!(
            "more than {} bytes given to the host in one call",
            limits::BYTES_FROM_GUEST
        )
    })
}

/// A guest's words, for a log: one line of them, and not more than fits there.
pub(super) fn brief(text: &str) -> String {
    let text = one_line(text);
    let mut brief = text[..text.floor_char_boundary(limits::ERROR_TEXT)].to_owned();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

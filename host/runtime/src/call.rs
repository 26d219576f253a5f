//! Calls of a guest under its limits, and classification of their outcome.

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

/// The outcome of a guest call: its result or an error of wasmtime; `None` if it exceeded its time.
pub(super) type Outcome<T> = Option<wasmtime::Result<T>>;

/// Limits of one call, for errors that name the exceeded one.
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
    // Both fail only if fuel is not configured, and `engine` configures it.
    let _ = store.set_fuel(bounds.instructions);
    let _ = store.fuel_async_yield_interval(Some(limits::SLICE));
    store.set_epoch_deadline(2);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// Limits a call by wall clock. A guest that computes yields after each slice,
/// and one that waits for something yields at once. When the future is dropped,
/// so is the guest's stack.
///
/// The clock is read at each yield: a busy worker thread would notice a timer
/// a third of a second late. Most calls end without a yield, and without a timer.
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

/// The result of a call, or the error.
///
/// # Errors
///
/// The exceeded limit, or the trap.
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
    // A guest that aborts executes `unreachable`. Only then is the last error of its log the reason.
    let aborted = matches!(trap, Some(Trap::UnreachableCodeReached));
    if let Some(panic) = state.log.final_error().filter(|_| aborted) {
        return Err(PolicyError::Trapped(panic.to_owned()));
    }
    if state.memory.rejected {
        return Err(PolicyError::OutOfMemory(bounds.memory));
    }
    let stderr = state.stderr();
    if aborted && !stderr.is_empty() {
        return Err(PolicyError::Trapped(brief(&stderr)));
    }
    Err(PolicyError::Trapped(describe_error(&error)))
}

/// The message of an error, replaced if wasmtime's own is misleading.
fn describe_error(error: &wasmtime::Error) -> String {
    if error.is::<I32Exit>() {
        return "it exited instead of deciding".to_owned();
    }
    match error.downcast_ref::<Trap>() {
        // Rust, C and C++ have most of their stack in linear memory, which ends at address 0.
        Some(trap @ Trap::MemoryOutOfBounds) => {
            format!("{trap} (possibly a stack overflow)")
        }
        _ => brief(&error.root_cause().to_string()),
    }
}

/// The exceeded budget of data, if that is the error.
fn over_budget(error: &wasmtime::Error) -> Option<String> {
    if let Some(over) = error.downcast_ref::<OverBudget>() {
        return Some(over.0.clone());
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some(format!("more than {} open handles", limits::HANDLES));
    }
    // wasmtime does not export this error type, so it is recognized by its message, which a test checks.
    let copied = error
        .chain()
        .any(|cause| cause.to_string().contains("fuel allocated for hostcalls"));
    copied.then(|| {
        format!(
            "more than {} bytes passed to the host in one call",
            limits::BYTES_FROM_GUEST
        )
    })
}

/// A guest's text, truncated to one line for a log.
pub(super) fn brief(text: &str) -> String {
    let text = one_line(text);
    let mut brief = text[..text.floor_char_boundary(limits::ERROR_TEXT)].to_owned();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

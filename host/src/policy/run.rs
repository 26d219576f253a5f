//! Calling a guest under its limits, and telling what became of the call.

use std::time::Duration;

use wasmtime::{Engine, Store, Trap};

use super::error::{Denied, OverBudget, PolicyError};
use super::limits;
use super::state::{Moment, State, Subject};

/// What a guest call gave: its result, an error of wasmtime's, or nothing
/// within its time.
pub(super) type Outcome<T> = Result<wasmtime::Result<T>, tokio::time::error::Elapsed>;

/// Limits of one call, for telling which was reached.
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) instructions: u64,
    pub(super) memory: usize,
}

impl Bounds {
    pub(super) fn setup(memory: usize) -> Self {
        Self {
            time: limits::SETUP_TIME,
            instructions: limits::SETUP_INSTRUCTIONS,
            memory,
        }
    }
}

/// What all calls of one loading share.
pub(super) struct Setup<'a> {
    pub(super) engine: &'a Engine,
    pub(super) moment: Moment,
    pub(super) memory: usize,
}

impl Setup<'_> {
    /// A store without a message.
    pub(super) fn store(&self) -> Store<State> {
        store(self.engine, None, self.moment, &Bounds::setup(self.memory))
    }
}

/// A store with its limits set.
pub(super) fn store(
    engine: &Engine,
    subject: Option<Subject>,
    moment: Moment,
    bounds: &Bounds,
) -> Store<State> {
    let mut store = Store::new(engine, State::new(subject, bounds.memory, moment));
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits::BYTES_FROM_GUEST);
    // Fails only where fuel is not configured, which `engine` does.
    let _ = store.set_fuel(bounds.instructions);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// Bounds a call by wall clock. The guest yields at each tick of the epoch, so
/// that the timeout is noticed while it computes; when the future is dropped
/// the guest's stack is, too.
pub(super) async fn within<T>(
    time: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Outcome<T> {
    tokio::time::timeout(time, call).await
}

/// The result of a call, or why there is none.
///
/// # Errors
///
/// The limit that was reached, or what trapped.
pub(super) fn classify<T>(
    outcome: Outcome<T>,
    store: &Store<State>,
    bounds: &Bounds,
) -> Result<T, PolicyError> {
    let error = match outcome {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(_) => return Err(PolicyError::TimedOut(bounds.time)),
    };
    let state = store.data();
    if let Some(denied) = error.downcast_ref::<Denied>() {
        return Err(PolicyError::ImportDenied(denied.0.clone()));
    }
    if let Some(over) = error.downcast_ref::<OverBudget>() {
        return Err(PolicyError::TooMuchData(over.0.clone()));
    }
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::OutOfFuel)) {
        return Err(PolicyError::OutOfInstructions(bounds.instructions));
    }
    if state.memory.refused {
        return Err(PolicyError::OutOfMemory(bounds.memory));
    }
    Err(PolicyError::Trapped(told(state, &error)))
}

/// The panic text where there is one, else what wasmtime says.
fn told(state: &State, error: &wasmtime::Error) -> String {
    if let Some(panic) = state.log.last_error() {
        return panic.to_owned();
    }
    let stderr = state.stderr();
    if stderr.is_empty() {
        error.root_cause().to_string()
    } else {
        let line = |c: char| if c.is_control() { ' ' } else { c };
        stderr.chars().take(500).map(line).collect()
    }
}

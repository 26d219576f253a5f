//! The future of one charge.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{ChargeError, Receipt};

type Pending = Pin<Box<dyn Future<Output = Result<Receipt, ChargeError>> + Send>>;

/// A charge that is complete, or that waits for the store. Await it for the
/// result. The ledger refunds a pending charge that is dropped.
#[must_use = "a charge may be pending until it is awaited"]
pub struct Charge(State);

enum State {
    /// `None` after it was returned.
    Ready(Option<Result<Receipt, ChargeError>>),
    Pending(Pending),
}

impl Charge {
    /// A charge that is complete.
    pub fn ready(result: Result<Receipt, ChargeError>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// A charge that waits for something.
    pub fn pending(
        result: impl Future<Output = Result<Receipt, ChargeError>> + Send + 'static,
    ) -> Self {
        Self(State::Pending(Box::pin(result)))
    }
}

impl Future for Charge {
    type Output = Result<Receipt, ChargeError>;

    /// # Panics
    ///
    /// When it is polled again after it returned its result.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => {
                Poll::Ready(result.take().expect("polled after it was complete"))
            }
            State::Pending(pending) => pending.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Ready(result) => f.debug_tuple("Ready").field(result).finish(),
            State::Pending(_) => f.write_str("Pending"),
        }
    }
}

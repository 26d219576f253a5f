//! Catching panics at the boundary of a message or a connection.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future; returns the text of a panic as an error.
///
/// The future's own data is dropped with it. Data that it shares with others must be
/// valid after a panic.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(text(&*panic))),
        },
    )
    .await
}

fn text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic payload".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_comes_out_as_its_text() {
        assert_eq!(catch_panic(async { 7 }).await, Ok(7));
        let panicking = async {
            if true {
                panic!("number {}", 3)
            }
        };
        assert_eq!(catch_panic(panicking).await, Err("number 3".to_owned()));
    }
}

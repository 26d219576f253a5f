//! Panics caught at the edge of one message or one connection.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future; a panic inside comes out as its text.
///
/// What the future worked on is dropped with it, so nothing half-changed is
/// seen afterwards; what it shares with others must be sound by itself.
pub(super) async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
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
        .unwrap_or_else(|| "a panic without a text".to_owned())
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

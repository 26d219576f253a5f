//! The place where messages are processed.

use std::future::Future;
use std::time::Instant;

use thiserror::Error;

/// Runs the processing of messages: the call of
/// [`Filter::filter`](super::Filter::filter) and the encoding of its response.
///
/// The server runs it on the connection's own task by default
/// ([`InlineExecutor`]). An implementation can move it to other threads, by size
/// and deadline.
pub trait Executor: Send + Sync + 'static {
    /// Runs `work` to its end or to the deadline.
    ///
    /// The returned future is dropped when the MTA aborts the message or the server
    /// stops: `work` should then be canceled. The memory that the message takes is
    /// released when `work` is dropped or done. A panic of `work` must be
    /// propagated by the returned future.
    fn run<T: Send + 'static>(
        &self,
        job: Job,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, NotProcessed>> + Send;
}

/// Size and deadline of the processing of one message.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Job {
    /// Bytes of the message.
    pub size: usize,
    /// End of the processing timeout.
    pub deadline: Instant,
}

impl Job {
    pub(super) fn new(size: usize, deadline: Instant) -> Self {
        Self { size, deadline }
    }
}

/// A message was not processed by its deadline; the text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotProcessed(String);

impl NotProcessed {
    /// The reason, as logged.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Processes each message on the task of its connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineExecutor;

impl Executor for InlineExecutor {
    async fn run<T: Send + 'static>(
        &self,
        job: Job,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotProcessed> {
        let deadline = tokio::time::Instant::from_std(job.deadline);
        tokio::time::timeout_at(deadline, work)
            .await
            .map_err(|_| NotProcessed::new("processing timeout exceeded"))
    }
}

//! Reports whether a reply reached the MTA.

use std::fmt;

/// Whether a reply was written to the MTA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyStatus {
    /// The complete response was written. The protocol has no acknowledgement:
    /// whether the MTA applied it is unknown.
    Written,
    /// It was not written: the MTA aborted the message, the connection broke, or
    /// the response could not be encoded for this MTA.
    NotWritten,
}

/// A callback that is called exactly once with the [`ReplyStatus`] of a response,
/// for example to undo a charge. Dropping it reports
/// [`ReplyStatus::NotWritten`].
#[derive(Default)]
pub struct Receipt(Option<Box<dyn FnOnce(ReplyStatus) + Send>>);

impl Receipt {
    /// A receipt that calls `report`.
    pub fn new(report: impl FnOnce(ReplyStatus) + Send + 'static) -> Self {
        Self(Some(Box::new(report)))
    }

    /// Reports the status.
    pub fn report(mut self, status: ReplyStatus) {
        self.call(status);
    }

    fn call(&mut self, status: ReplyStatus) {
        if let Some(report) = self.0.take() {
            report(status);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.call(ReplyStatus::NotWritten);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.0.is_some();
        f.debug_struct("Receipt")
            .field("pending", &pending)
            .finish()
    }
}

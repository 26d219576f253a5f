//! The trait that a delivery agent implements.

use std::future::Future;

use super::message::Delivery;
use super::receipt::Receipt;
use super::replies::Replies;

/// A delivery agent: takes messages and answers for each recipient.
///
/// Each message is a task of its own. A panic gives 451 to the recipients that have
/// no reply yet, and does not affect other messages.
pub trait Handler: Send + Sync + 'static {
    /// Delivers a message, and sets the reply for each recipient in `replies`.
    ///
    /// The returned [`Receipt`] reports later which replies reached the client.
    ///
    /// The future is *not* dropped when the client goes away, since it may be in the
    /// middle of delivering: it finishes, and the receipt reports
    /// [`NotWritten`](super::ReplyStatus::NotWritten). It is dropped when it takes
    /// longer than [`Limits::handler_timeout`](crate::Limits::handler_timeout) and
    /// [`Limits::handler_grace`](crate::Limits::handler_grace) together, or than
    /// [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout) after a stop.
    /// Then, and after a panic, there is no receipt.
    fn deliver(&self, delivery: Delivery, replies: Replies)
    -> impl Future<Output = Receipt> + Send;
}

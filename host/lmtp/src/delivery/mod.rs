//! A message to be delivered, and its replies.

mod board;
mod handler;
mod message;
mod receipt;
mod replies;

pub use handler::Handler;
pub use message::{Delivery, Recipient};
pub use receipt::{Acknowledgement, Answers, Receipt, ReplyStatus};
pub use replies::Replies;

pub(crate) use board::Board;

#[cfg(test)]
mod tests;

//! The handler's side of the replies to a message.

use std::sync::Arc;

use super::board::Board;
use crate::reply::Reply;

/// Takes the replies to one message, one for each recipient, in any order. They are
/// written in the order of the recipients, each as soon as those before it are
/// there; what is set in one call is written at once.
///
/// Recipients that have none when the handler returns, panics or runs over its
/// deadline get 451.
#[derive(Clone, Debug)]
pub struct Replies(Arc<Board>);

impl Replies {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self(board)
    }

    /// How many recipients there are.
    pub fn recipients(&self) -> usize {
        self.0.recipients()
    }

    /// Sets the reply for the recipient at that position. False if it has one
    /// already, there is no such recipient, or the replies are
    /// [closed](Self::is_closed).
    pub fn set(&self, position: usize, reply: Reply) -> bool {
        self.0.add([(position, reply)]) == 1
    }

    /// Sets replies by position; returns how many were new.
    pub fn set_many(&self, replies: impl IntoIterator<Item = (usize, Reply)>) -> usize {
        // Before the lock: the iterator is the caller's code.
        let replies: Vec<_> = replies.into_iter().collect();
        self.0.add(replies)
    }

    /// Sets the same reply for all recipients that have none; returns how many.
    pub fn set_rest(&self, reply: &Reply) -> usize {
        let all = 0..self.recipients();
        self.0.add(all.map(|position| (position, reply.clone())))
    }

    /// Nobody waits for replies any more: the client is gone, or the deadline has
    /// passed. A handler that has not begun what it cannot take back can stop here;
    /// it is not stopped from outside before
    /// [`Limits::handler_grace`](crate::Limits::handler_grace) has passed, too.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until nobody waits for replies any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

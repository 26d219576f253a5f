//! The replies to one message, between the handler and the connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::receipt::ReplyStatus;
use crate::reply::Reply;

/// The replies to one message. The handler adds them in any order; the connection
/// takes them in the order of the recipients.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    added: Notify,
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    replies: Vec<Option<Reply>>,
    /// How many the connection took.
    taken: usize,
    /// Which of them are the server's own; empty if none.
    replaced: Vec<bool>,
}

impl Board {
    pub(crate) fn new(recipients: usize) -> Self {
        let state = State {
            replies: vec![None; recipients],
            taken: 0,
            replaced: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            added: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Adds replies, unless the message is closed or they are there already; the
    /// result is how many were added.
    pub(super) fn add(&self, replies: impl IntoIterator<Item = (usize, Reply)>) -> usize {
        let mut state = self.state();
        let mut added = 0;
        if self.closed.is_cancelled() {
            return 0;
        }
        for (position, reply) in replies {
            if position < state.taken {
                continue;
            }
            if let Some(place @ None) = state.replies.get_mut(position) {
                *place = Some(reply);
                added += 1;
            }
        }
        drop(state);
        if added > 0 {
            self.added.notify_one();
        }
        added
    }

    pub(super) fn recipients(&self) -> usize {
        self.state().replies.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Waits until replies were added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Takes the replies whose turn it is, in order; each with its status once it is
    /// written.
    pub(crate) fn take(&self) -> Vec<(Reply, ReplyStatus)> {
        let mut state = self.state();
        let State {
            replies,
            taken,
            replaced,
        } = &mut *state;
        let mut ready = Vec::new();
        while let Some(reply) = replies.get_mut(*taken).and_then(Option::take) {
            let status = match replaced.get(*taken) {
                Some(true) => ReplyStatus::Replaced,
                _ => ReplyStatus::Written,
            };
            *taken += 1;
            ready.push((reply, status));
        }
        ready
    }

    /// Accepts no more replies of the handler: those that are missing become
    /// `reply`.
    pub(crate) fn close(&self, reply: &Reply) {
        let mut state = self.state();
        if self.closed.is_cancelled() {
            return;
        }
        self.closed.cancel();
        let taken = state.taken;
        let mut replaced = vec![false; state.replies.len()];
        for (place, replaced) in state.replies.iter_mut().zip(&mut replaced).skip(taken) {
            if place.is_none() {
                *place = Some(reply.clone());
                *replaced = true;
            }
        }
        state.replaced = replaced;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

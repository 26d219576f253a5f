//! Observers of decisions: recordings and shadow runs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use super::version::ActiveVersion;
use crate::comparison::OwnedDecisionEvent;
use crate::pipeline::Outcome;
use waxseal_core::message::Message;
use waxseal_runtime::FactTrace;

/// Observes each processed message before its reply is written.
///
/// It is called on the task of the message, which waits for it: long work must be queued for
/// another task or thread, within limits.
pub trait Observer: Send + Sync {
    /// Called when a message has been processed.
    fn decided(&self, event: &DecisionEvent<'_>);
}

/// The observers of a service.
#[derive(Default)]
pub(super) struct Observers {
    list: ArcSwap<Vec<(u64, Arc<dyn Observer>)>>,
    next: AtomicU64,
}

impl Observers {
    pub(super) fn add(self: &Arc<Self>, observer: Arc<dyn Observer>) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.list.rcu(|list| {
            let mut list = Vec::clone(list);
            list.push((id, Arc::clone(&observer)));
            list
        });
        Subscription {
            observers: Arc::downgrade(self),
            id,
        }
    }

    /// The observers of now.
    pub(super) fn now(&self) -> Vec<Arc<dyn Observer>> {
        let list = self.list.load();
        list.iter()
            .map(|(_, observer)| Arc::clone(observer))
            .collect()
    }
}

/// The subscription of an observer, which ends when it is dropped.
///
/// Messages that are being processed at that moment can still reach the observer.
#[must_use = "the observer is removed when the subscription is dropped"]
pub struct Subscription {
    observers: Weak<Observers>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(observers) = self.observers.upgrade() {
            observers.list.rcu(|list| {
                let others = list.iter().filter(|(id, _)| *id != self.id);
                others.cloned().collect::<Vec<_>>()
            });
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A message, and everything that its decision depends on. With the same facts, another version
/// can [`decide`](crate::pipeline::decide) it.
#[derive(Clone, Copy)]
pub struct DecisionEvent<'a> {
    /// The version that decided.
    pub version: &'a Arc<ActiveVersion>,
    /// The message as received.
    pub message: &'a Arc<Message>,
    /// Queries to the host and their results.
    pub facts: &'a FactTrace,
    /// The outcome; its `result` is what the policy returned.
    pub outcome: &'a Outcome,
}

impl DecisionEvent<'_> {
    /// An owned copy; `None` for a message without a decision of a policy.
    pub fn capture(&self) -> Option<OwnedDecisionEvent> {
        let snapshot = self.version.snapshot();
        Some(OwnedDecisionEvent {
            message: Arc::clone(self.message),
            facts: self.facts.clone(),
            policy: snapshot.policy_id(),
            inputs: snapshot.inputs().clone(),
            result: self.outcome.result.clone()?,
        })
    }
}

impl fmt::Debug for DecisionEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionEvent")
            .field("version", &self.version)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

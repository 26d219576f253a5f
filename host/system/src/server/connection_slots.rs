//! Slots for connections: limits of all listeners together, and of each.
//!
//! A connection that has not sent its first command is *silent*. If a new one finds
//! no slot, the one that has been silent longest is closed, so that idle clients do
//! not block others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The connection slots of a server.
#[derive(Debug)]
pub struct ConnectionSlots {
    taken: Mutex<Taken>,
    /// A slot was released, or its connection is not silent any more.
    changed: Notify,
}

#[derive(Debug)]
struct Taken {
    all: usize,
    most: usize,
    listeners: Vec<OfListener>,
    next: u64,
}

#[derive(Debug)]
struct OfListener {
    taken: usize,
    most: usize,
    /// In order of age, the oldest first.
    silent: BTreeMap<u64, CancellationToken>,
}

/// The slot of one connection; released when dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    listener: usize,
    number: u64,
    closed: CancellationToken,
}

impl ConnectionSlots {
    /// Slots in all, and for each listener.
    pub fn new(most: usize, listeners: impl IntoIterator<Item = usize>) -> Arc<Self> {
        let of_listener = |most| OfListener {
            taken: 0,
            most,
            silent: BTreeMap::new(),
        };
        Arc::new(Self {
            taken: Mutex::new(Taken {
                all: 0,
                most,
                listeners: listeners.into_iter().map(of_listener).collect(),
                next: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// Takes a slot, if one is free.
    pub fn take(self: &Arc<Self>, listener: usize) -> Option<ConnectionSlot> {
        let closed = CancellationToken::new();
        let mut taken = self.taken();
        if taken.all >= taken.most {
            return None;
        }
        let number = taken.next;
        let of_listener = taken.listeners.get_mut(listener)?;
        if of_listener.taken >= of_listener.most {
            return None;
        }
        of_listener.taken += 1;
        of_listener.silent.insert(number, closed.clone());
        taken.all += 1;
        taken.next += 1;
        drop(taken);
        Some(ConnectionSlot {
            slots: Arc::clone(self),
            listener,
            number,
            closed,
        })
    }

    /// Waits for a slot. Closes silent connections for it; `full` is called once if
    /// there are none, so that one of the others must end.
    pub async fn wait(self: &Arc<Self>, listener: usize, full: impl FnOnce()) -> ConnectionSlot {
        let mut full = Some(full);
        loop {
            let changed = self.changed.notified();
            if let Some(slot) = self.take(listener) {
                return slot;
            }
            if !self.close_silent(listener)
                && let Some(full) = full.take()
            {
                full();
            }
            changed.await;
        }
    }

    /// Closes the connection that has been silent longest: of this listener if it is
    /// full, else of all.
    fn close_silent(&self, listener: usize) -> bool {
        let mut taken = self.taken();
        let full = |of: &OfListener| of.taken >= of.most;
        let listener_full = taken.listeners.get(listener).is_some_and(full);
        let oldest = taken
            .listeners
            .iter()
            .enumerate()
            .filter(|(at, _)| !listener_full || *at == listener)
            .filter_map(|(at, of)| Some((*of.silent.first_key_value()?.0, at)))
            .min();
        let Some((number, at)) = oldest else {
            return false;
        };
        if let Some(closed) = taken.listeners[at].silent.remove(&number) {
            closed.cancel();
        }
        true
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlot {
    /// Marks the connection as not silent: it is not closed for others any more.
    pub fn set_active(&self) {
        let mut taken = self.slots.taken();
        taken.listeners[self.listener].silent.remove(&self.number);
        drop(taken);
        // A waiting listener that closed it must find another one.
        self.slots.changed.notify_waiters();
    }

    /// Canceled when its slot is needed.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.all -= 1;
        let of_listener = &mut taken.listeners[self.listener];
        of_listener.taken -= 1;
        of_listener.silent.remove(&self.number);
        drop(taken);
        self.slots.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Waits for a slot. Closes silent connections for it; `full` is called once if
    /// there are none, so that one of the others must end.
    async fn wait(
        slots: &Arc<ConnectionSlots>,
        listener: usize,
        others: &mut Vec<ConnectionSlot>,
    ) -> ConnectionSlot {
        let waiting = slots.wait(listener, || ());
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                slot = &mut waiting => return slot,
                () = tokio::task::yield_now() => {
                    others.retain(|other| !other.closed().is_cancelled());
                }
            }
        }
    }

    #[tokio::test]
    async fn m2_the_longest_silent_connection_is_closed_for_a_new_one() {
        let slots = ConnectionSlots::new(10, [3, 3]);
        let mut others: Vec<ConnectionSlot> = (0..3).filter_map(|_| slots.take(0)).collect();
        assert!(slots.take(0).is_none());
        others[0].set_active();
        let slot = wait(&slots, 0, &mut others).await;
        let left: Vec<u64> = others.iter().map(|other| other.number).collect();
        assert_eq!((left, slot.number), (vec![0, 2], 3));
    }

    #[tokio::test]
    async fn m2_a_full_listener_does_not_take_slots_of_others() {
        let slots = ConnectionSlots::new(4, [2, 2]);
        let full: Vec<ConnectionSlot> = (0..2).filter_map(|_| slots.take(0)).collect();
        full.iter().for_each(ConnectionSlot::set_active);
        assert!(slots.take(0).is_none());
        assert!(slots.take(1).is_some());
    }

    #[tokio::test]
    async fn m2_a_silent_connection_of_another_listener_is_closed_if_all_slots_are_taken() {
        let slots = ConnectionSlots::new(2, [2, 2]);
        let mut others: Vec<ConnectionSlot> = (0..2).filter_map(|_| slots.take(0)).collect();
        let _slot = wait(&slots, 1, &mut others).await;
        assert_eq!(others.len(), 1);
    }

    #[tokio::test]
    async fn without_silent_connections_a_new_one_waits_and_that_is_reported_once() {
        let slots = ConnectionSlots::new(1, [1]);
        let first = slots.take(0).expect("a slot");
        first.set_active();
        let reported = Cell::new(0);
        let waiting = slots.wait(0, || reported.set(reported.get() + 1));
        tokio::pin!(waiting);
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("there is one slot"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(reported.get(), 1);
        drop(first);
        waiting.await;
    }
}

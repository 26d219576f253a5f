//! How many connections there may be, in all and on each listener.
//!
//! A connection that has not sent its first commands is *silent*. When a new one
//! finds no place, the one that has been silent longest is closed for it, so that
//! whoever connects and says nothing holds off nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The places of one server.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    taken: Mutex<Taken>,
    /// A place was given up, or is not silent any more.
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
    /// By age, the oldest first.
    silent: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection; given up when dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    places: Arc<ConnectionSlots>,
    listener: usize,
    number: u64,
    closed: CancellationToken,
}

impl ConnectionSlots {
    /// So many in all, and on each listener.
    pub(super) fn new(most: usize, listeners: impl IntoIterator<Item = usize>) -> Arc<Self> {
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

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>, listener: usize) -> Option<ConnectionSlot> {
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
            places: Arc::clone(self),
            listener,
            number,
            closed,
        })
    }

    /// Waits for a place. Closes silent connections for it; `full` is called once
    /// where there are none and so one of the others has to end.
    pub(super) async fn wait(
        self: &Arc<Self>,
        listener: usize,
        full: impl FnOnce(),
    ) -> ConnectionSlot {
        let mut full = Some(full);
        loop {
            let changed = self.changed.notified();
            if let Some(place) = self.take(listener) {
                return place;
            }
            if !self.close_silent(listener)
                && let Some(full) = full.take()
            {
                full();
            }
            changed.await;
        }
    }

    /// Closes the connection that has been silent longest: of this listener if it
    /// is full, else of all.
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
    /// Its connection has sent its first commands: it is not closed for others
    /// any more.
    pub(super) fn set_active(&self) {
        let mut taken = self.places.taken();
        taken.listeners[self.listener].silent.remove(&self.number);
        drop(taken);
        // Who had it closed has to find another one.
        self.places.changed.notify_waiters();
    }

    /// Canceled when somebody else needs the place.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let of_listener = &mut taken.listeners[self.listener];
        of_listener.taken -= 1;
        of_listener.silent.remove(&self.number);
        drop(taken);
        self.places.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Waits for a place while the connections of `others` are served: one that is
    /// closed gives its place up.
    async fn wait(
        places: &Arc<ConnectionSlots>,
        listener: usize,
        others: &mut Vec<ConnectionSlot>,
    ) -> ConnectionSlot {
        let waiting = places.wait(listener, || ());
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                place = &mut waiting => return place,
                () = tokio::task::yield_now() => {
                    others.retain(|other| !other.closed().is_cancelled());
                }
            }
        }
    }

    #[tokio::test]
    async fn m2_the_longest_silent_connection_makes_room() {
        let places = ConnectionSlots::new(10, [3, 3]);
        let mut others: Vec<ConnectionSlot> = (0..3).filter_map(|_| places.take(0)).collect();
        assert!(places.take(0).is_none());
        others[0].set_active();
        let place = wait(&places, 0, &mut others).await;
        let left: Vec<u64> = others.iter().map(|other| other.number).collect();
        assert_eq!((left, place.number), (vec![0, 2], 3));
    }

    #[tokio::test]
    async fn m2_a_full_listener_leaves_the_others_their_places() {
        let places = ConnectionSlots::new(4, [2, 2]);
        let full: Vec<ConnectionSlot> = (0..2).filter_map(|_| places.take(0)).collect();
        full.iter().for_each(ConnectionSlot::set_active);
        assert!(places.take(0).is_none());
        assert!(places.take(1).is_some());
    }

    #[tokio::test]
    async fn m2_silent_connections_of_another_listener_make_room_where_all_are_taken() {
        let places = ConnectionSlots::new(2, [2, 2]);
        let mut others: Vec<ConnectionSlot> = (0..2).filter_map(|_| places.take(0)).collect();
        let _place = wait(&places, 1, &mut others).await;
        assert_eq!(others.len(), 1);
    }

    #[tokio::test]
    async fn where_nobody_is_silent_a_new_connection_waits_and_that_is_reported_once() {
        let places = ConnectionSlots::new(1, [1]);
        let first = places.take(0).expect("a place");
        first.set_active();
        let reported = Cell::new(0);
        let waiting = places.wait(0, || reported.set(reported.get() + 1));
        tokio::pin!(waiting);
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("there is one place"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(reported.get(), 1);
        drop(first);
        waiting.await;
    }
}

//! Deliveries of this process, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::taken::Taken;
use crate::state::DeliveryKey;

/// Deliveries that were taken and are kept in memory because the store cannot be
/// written. More than these are forgotten, oldest first: some 20 MB.
const KEPT: usize = 100_000;

/// Deliveries of this process: those in flight, and those that were taken and are
/// not in the store.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Map>);

#[derive(Debug, Default)]
struct Map {
    deliveries: HashMap<DeliveryKey, Delivery>,
    /// Number of those that were taken.
    taken: usize,
}

#[derive(Debug)]
enum Delivery {
    InFlight(Option<Sending>),
    Taken(Taken),
}

/// A relay is getting the message.
#[derive(Clone, Debug)]
struct Sending {
    relay: String,
    at: Timestamp,
    since: Instant,
    /// Whether the store has it.
    written: bool,
}

/// What is known of a delivery.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing. It is claimed now.
    Nothing,
    /// It is claimed.
    Busy,
    /// It was taken.
    Taken(Taken),
}

impl Claims {
    /// Claims a delivery of which nothing is known.
    pub(super) fn claim(&self, key: DeliveryKey) -> Known {
        let mut map = self.lock();
        match map.deliveries.get(&key) {
            None => {
                map.deliveries.insert(key, Delivery::InFlight(None));
                Known::Nothing
            }
            Some(Delivery::InFlight(_)) => Known::Busy,
            Some(Delivery::Taken(taken)) => Known::Taken(taken.clone()),
        }
    }

    /// Notes that a relay gets the message.
    pub(super) fn sending(&self, key: &DeliveryKey, relay: &str, at: Timestamp) {
        if let Some(Delivery::InFlight(sending)) = self.lock().deliveries.get_mut(key) {
            let written = sending.as_ref().is_some_and(|sending| sending.written);
            *sending = Some(Sending {
                relay: relay.to_owned(),
                at,
                since: Instant::now(),
                written,
            });
        }
    }

    /// Ends a claim without a result. Returns whether the store has it.
    pub(super) fn abandon(&self, key: &DeliveryKey) -> bool {
        let mut map = self.lock();
        if let Some(Delivery::InFlight(sending)) = map.deliveries.get(key) {
            let written = sending.as_ref().is_some_and(|sending| sending.written);
            map.deliveries.remove(key);
            return written;
        }
        false
    }

    /// Notes that a relay took the message.
    pub(super) fn taken(&self, key: DeliveryKey, taken: Taken) {
        let mut map = self.lock();
        let before = map.deliveries.insert(key, Delivery::Taken(taken));
        if !matches!(before, Some(Delivery::Taken(_))) {
            map.taken += 1;
        }
        if map.taken > KEPT {
            map.forget_oldest();
        }
    }

    /// Forgets what was taken: the store has it, or the MTA does not ask again.
    pub(super) fn forget_taken(&self, keys: impl IntoIterator<Item = DeliveryKey>) {
        let mut map = self.lock();
        for key in keys {
            if let Some(Delivery::Taken(_)) = map.deliveries.get(&key) {
                map.deliveries.remove(&key);
                map.taken -= 1;
            }
        }
    }

    /// Deliveries in flight for longer than this that the store does not have, with
    /// relay and time. They count as written from now on.
    pub(super) fn take_unwritten(
        &self,
        longer_than: Duration,
    ) -> Vec<(DeliveryKey, String, Timestamp)> {
        let mut map = self.lock();
        let mut unwritten = Vec::new();
        for (key, delivery) in &mut map.deliveries {
            if let Delivery::InFlight(Some(sending)) = delivery
                && !sending.written
                && sending.since.elapsed() >= longer_than
            {
                sending.written = true;
                unwritten.push((*key, sending.relay.clone(), sending.at));
            }
        }
        unwritten
    }

    /// The number of deliveries in memory.
    pub(super) fn count(&self) -> usize {
        self.lock().deliveries.len()
    }

    #[cfg(test)]
    pub(super) fn count_taken(&self) -> usize {
        self.lock().taken
    }

    /// No code that holds the lock panics in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    /// Forgets the older half of what was taken, so that this happens rarely.
    fn forget_oldest(&mut self) {
        let time = |delivery: &Delivery| match delivery {
            Delivery::Taken(taken) => Some(taken.at),
            Delivery::InFlight(_) => None,
        };
        let mut times: Vec<Timestamp> = self.deliveries.values().filter_map(time).collect();
        let middle = times.len() / 2;
        let (_, &mut limit, _) = times.select_nth_unstable(middle);
        self.deliveries
            .retain(|_, delivery| time(delivery).is_none_or(|at| at > limit));
        let left = self.deliveries.values();
        self.taken = left.filter(|delivery| time(delivery).is_some()).count();
    }
}

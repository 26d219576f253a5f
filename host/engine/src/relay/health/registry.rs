//! The health of all configured relays, shared by all deliveries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Event, HealthRules, HealthStatus, Permit, RelayHealth, Report, Unavailable};

/// The health of all configured relays. A clone is another handle to it.
#[derive(Clone, Debug)]
pub struct HealthRegistry(Arc<Mutex<Relays>>);

#[derive(Debug)]
struct Relays {
    zone: TimeZone,
    by_name: BTreeMap<String, Entry>,
    /// Relays that were removed since the last call of `take_changes`.
    removed: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry {
    health: RelayHealth,
    rules: HealthRules,
}

impl HealthRegistry {
    /// The relays of a configuration, and what is known of them from an earlier run:
    /// texts by name, as [`take_changes`](Self::take_changes) returned them. Days are
    /// those of `zone`.
    ///
    /// The second value names the relays whose text cannot be read, and why. They
    /// start as if they had never failed; a relay that was switched off is used again.
    pub fn new(
        zone: TimeZone,
        relays: impl IntoIterator<Item = (String, HealthRules)>,
        saved: &BTreeMap<String, String>,
    ) -> (Self, Vec<(String, serde_json::Error)>) {
        let mut unreadable = Vec::new();
        let mut by_name = BTreeMap::new();
        for (name, rules) in relays {
            let health = match saved.get(&name).map(|text| RelayHealth::from_json(text)) {
                None => RelayHealth::default(),
                Some(Ok(health)) => health,
                Some(Err(error)) => {
                    unreadable.push((name.clone(), error));
                    RelayHealth::default()
                }
            };
            by_name.insert(name, Entry { health, rules });
        }
        let is_removed = |name: &&String| !by_name.contains_key(*name);
        let removed = saved.keys().filter(is_removed).cloned().collect();
        let relays = Relays {
            zone,
            by_name,
            removed,
        };
        (Self(Arc::new(Mutex::new(relays))), unreadable)
    }

    /// Applies another configuration. Relays that stay keep their health.
    pub fn reconfigure(
        &self,
        zone: TimeZone,
        relays: impl IntoIterator<Item = (String, HealthRules)>,
    ) {
        let mut all = self.lock();
        let mut before = std::mem::take(&mut all.by_name);
        for (name, rules) in relays {
            let health = before.remove(&name).map(|entry| entry.health);
            let health = health.unwrap_or_default();
            all.removed.remove(&name);
            all.by_name.insert(name, Entry { health, rules });
        }
        all.removed.extend(before.into_keys());
        all.zone = zone;
    }

    /// Asks to use a relay for one message.
    ///
    /// # Errors
    ///
    /// When it is not to be used for this message.
    pub fn admit(&self, relay: &str, now: Timestamp) -> Result<AttemptToken, Unavailable> {
        let mut all = self.lock();
        let entry = all.by_name.get_mut(relay).ok_or(Unavailable::Unknown)?;
        let permit = entry.health.admit(now)?;
        Ok(AttemptToken {
            registry: self.clone(),
            relay: relay.to_owned(),
            permit: Some(permit),
        })
    }

    /// Switches a relay off, until a time or for good. Returns whether it is
    /// configured.
    pub fn switch_off(&self, relay: &str, now: Timestamp, until: Option<Timestamp>) -> bool {
        self.change(relay, |health| health.switch_off(now, until))
    }

    /// Switches a relay on. Returns whether it is configured.
    pub fn switch_on(&self, relay: &str) -> bool {
        self.change(relay, RelayHealth::switch_on)
    }

    /// The health of all relays by name.
    pub fn status(&self, now: Timestamp) -> BTreeMap<String, HealthStatus> {
        let all = self.lock();
        all.by_name
            .iter()
            .map(|(name, entry)| (name.clone(), entry.health.status(now)))
            .collect()
    }

    /// What has to be saved since the last call: the text of a relay, or `None` for one
    /// that was removed. A relay that works causes no changes.
    pub fn take_changes(&self) -> Vec<(String, Option<String>)> {
        let mut all = self.lock();
        let mut changes: Vec<(String, Option<String>)> = std::mem::take(&mut all.removed)
            .into_iter()
            .map(|name| (name, None))
            .collect();
        for (name, entry) in &mut all.by_name {
            if entry.health.take_changed() {
                changes.push((name.clone(), Some(entry.health.to_json())));
            }
        }
        changes
    }

    fn change(&self, relay: &str, change: impl FnOnce(&mut RelayHealth)) -> bool {
        let mut all = self.lock();
        let entry = all.by_name.get_mut(relay);
        entry.map(|entry| change(&mut entry.health)).is_some()
    }

    fn report(&self, relay: &str, permit: Permit, report: Report, now: Timestamp) -> Option<Event> {
        let mut all = self.lock();
        let Relays { zone, by_name, .. } = &mut *all;
        let Entry { health, rules } = by_name.get_mut(relay)?;
        health.report(permit, report, now, rules, zone)
    }

    /// No code that holds the lock panics in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, Relays> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to give one message to a relay. Dropping it ends the attempt without a
/// result: a task that is cancelled leaves no relay on probation for ever.
#[must_use = "the result of an attempt has to be reported"]
#[derive(Debug)]
pub struct AttemptToken {
    registry: HealthRegistry,
    relay: String,
    permit: Option<Permit>,
}

impl AttemptToken {
    /// The name of the relay.
    pub fn relay(&self) -> &str {
        &self.relay
    }

    /// Whether the message tests a relay that rested.
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_probe)
    }

    /// Reports the result. The event, if there is one, is for the log and for the
    /// administrator; [`HealthRegistry::take_changes`] has what is to be saved.
    pub fn report(mut self, report: Report, now: Timestamp) -> Option<Event> {
        let permit = self.permit.take()?;
        self.registry.report(&self.relay, permit, report, now)
    }
}

impl Drop for AttemptToken {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.registry
                .change(&self.relay, |health| health.abandon(permit));
        }
    }
}

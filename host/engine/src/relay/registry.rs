//! The registry of configured relays.

use std::sync::Arc;

use super::destination;
use crate::config::{Config, Relay};

/// The relays of one configuration, in its order. Whether a relay is configured
/// and whether it can be used is answered here and nowhere else.
#[derive(Clone, Debug, Default)]
pub struct RelayRegistry {
    relays: Vec<Arc<Relay>>,
}

impl RelayRegistry {
    /// The relays of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            relays: config.relays.iter().cloned().map(Arc::new).collect(),
        }
    }

    /// The relay of this name, if it is configured.
    pub fn get(&self, name: &str) -> Option<&Relay> {
        self.iter().find(|relay| relay.name.as_str() == name)
    }

    /// Whether a relay of this name is configured.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether mail can be routed by the relay of this name: it is configured.
    /// Its daily limit is not taken into account.
    pub fn is_usable(&self, name: &str) -> bool {
        self.contains(name)
    }

    /// All relays.
    pub fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().map(Arc::as_ref)
    }

    /// The names of all relays.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|relay| relay.name.as_str())
    }

    /// The destinations of all relays, as Postfix takes them.
    pub fn destinations(&self) -> impl Iterator<Item = String> {
        self.iter().map(destination)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::read_text;

    #[test]
    fn a_configured_relay_is_usable_and_has_a_destination() {
        let text = "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n\
                    [relay.north]\nhost = \"north.test\"\nport = 25\n\
                    [relay.south]\nhost = \"192.0.2.1\"\nport = 465\n";
        let config = read_text(Path::new("w.toml"), text).expect("a configuration");
        let relays = RelayRegistry::new(&config);
        assert_eq!(relays.names().collect::<Vec<_>>(), ["north", "south"]);
        assert!(relays.is_usable("north") && relays.contains("south"));
        assert!(!relays.is_usable("east") && relays.get("east").is_none());
        assert_eq!(
            relays.destinations().collect::<Vec<_>>(),
            [
                "waxseal-north:[north.test]:25",
                "waxseal-south:[192.0.2.1]:465"
            ]
        );
    }
}

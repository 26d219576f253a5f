//! The trait that provides facts.

use jiff::Zoned;

/// Facts for one decision. In production they come from tables and counters, in tests
/// and replays from static or recorded values. All are in memory: a decision never waits
/// for I/O.
pub trait Facts: Send + Sync {
    /// The message's arrival in the organization's time zone.
    fn now(&self) -> Zoned;
    /// The value of a key in a lookup table; `None` if the table or the key does not exist.
    fn lookup(&self, table: &str, key: &str) -> Option<String>;
    /// Whether a relay exists, is on and healthy, regardless of its daily limit.
    fn relay_usable(&self, name: &str) -> bool;
    /// Messages charged to a relay today.
    fn relay_sent(&self, name: &str) -> u64;
    /// Whether a domain is registered and its DNS records are valid.
    fn domain_authenticated(&self, name: &str) -> bool;
}

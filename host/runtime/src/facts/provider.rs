//! The trait behind which the host's facts are.

use jiff::Zoned;

/// Facts for one decision. The live form looks into tables and counters; a
/// recorded or a given one stands in for it in tests and replays. All answers
/// come from memory: a decision never waits for I/O.
pub trait Facts: Send + Sync {
    /// The message's arrival in the organisation's time zone.
    fn now(&self) -> Zoned;
    /// The value of a key in a lookup table; none where either is missing.
    fn lookup(&self, table: &str, key: &str) -> Option<String>;
    /// Whether a relay exists, is on and healthy. Room in its daily maximum is
    /// not looked at.
    fn relay_usable(&self, name: &str) -> bool;
    /// Messages charged to a relay today.
    fn relay_sent(&self, name: &str) -> u64;
    /// Whether a domain is registered and its DNS records were found good.
    fn domain_authenticated(&self, name: &str) -> bool;
}

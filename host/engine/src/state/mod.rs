//! State that outlives the process, behind interfaces that any backend can
//! implement: counters, what is known of relays, the journal of deliveries.
//!
//! `open.rs` is the one place that knows which backends there are. Each backend
//! has a folder and a feature of its own (`sqlite`) and passes the conformance
//! suites (`conformance.rs`, `conformance/`). To add one: a folder, a value of
//! `StateOptions`, an arm in each function of `open.rs`, a test that runs the
//! suites. A program can also implement [`CounterStore`] itself ([`State::new`]).

#[cfg(test)]
pub(crate) mod conformance;
mod counters;
mod error;
mod handle;
mod journal;
mod lease;
#[cfg(feature = "sqlite")]
mod open;
mod relays;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use counters::{CounterDelta, CounterStore, Usage};
pub use error::{StateError, StateErrorKind};
pub use handle::State;
pub use journal::{DeliveryKey, Epoch, JournalChange, JournalEntry, JournalStore};
pub use lease::LeaseRequest;
#[cfg(feature = "sqlite")]
pub use open::{StateOptions, open, open_journal, open_read_only, open_relays};
pub use relays::RelayStore;

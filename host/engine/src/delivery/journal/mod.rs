//! The journal: protection against sending a message twice.
//!
//! The MTA asks again for a recipient if it did not get our answer, or while an
//! attempt still runs. A [`Journal`] knows what is being delivered by this process
//! and what was taken, also before a restart.
//!
//! - [`Journal::claim`] asks for each recipient: deliver it, wait, or answer what the
//!   relay answered.
//! - [`Claim::sending`] is called before a relay gets the message. If the process is
//!   killed then, the next one learns that the relay may have it.
//! - [`Journal::record`] is called before the MTA gets its answer, and returns when it
//!   is on the disk. One flush of the disk serves all that wait for it.
//! - [`Journal::release`] is called when the MTA has read the answer: it does not ask
//!   again.
//!
//! No error of the store stops mail. It is logged, and the journal goes on in memory,
//! which protects until the process ends.

mod claim;
mod claims;
mod handle;
mod keys;
mod taken;
#[cfg(all(test, feature = "sqlite"))]
mod tests;
mod writer;

pub use claim::{Claim, Claimed};
pub use handle::{Journal, JournalSettings};
pub use keys::delivery_keys;
pub use taken::{Interrupted, Taken};

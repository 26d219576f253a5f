//! The policy manager: decides which version is active.
//!
//! The one rule from which the others follow: **the configured files are tried
//! when their content differs from what was last seen**, by digest. Files that
//! were rejected, replaced by command or rolled back from are not tried again
//! until they change. A restart is no change: the version that was active
//! instead of them is pinned in the state folder, activated again at the start,
//! and this is logged.
//!
//! A candidate passes these steps before it is activated; if one fails, nothing
//! changes: its files are readable; the component imports and exports what a
//! policy may, and compiles; it accepts its settings; what they refer to
//! exists, keys included; it passes the [checks](super::Check), such as its
//! policy tests. One candidate is validated at a time. A rollback waits for
//! none of that.
//!
//! `waxseal.toml` and keys are read at the start and at a reload only: changed
//! files, commands and rollbacks replace nothing but the policy.
//!
//! The manager is one task (`task`) that owns all of its state and is controlled
//! by messages from its handle ([`PolicyManager`]). What it does in which
//! situation is a pure state machine (`state`).

mod files;
mod handle;
mod log;
mod messages;
mod persist;
mod state;
mod task;
mod watcher;

pub use handle::PolicyManager;

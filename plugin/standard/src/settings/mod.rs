//! The settings, parsed and checked but not yet combined.
//!
//! [`Choices`] occur in four places: at the top of the file, in a mail type, in a
//! domain, and in a mail type of a domain. [`plan`](crate::plan) combines them.
//!
//! All problems are reported at once. Invalid values are left out and reading
//! continues, so the result is usable only if there are no problems.

mod choices;
mod disclaimers;
mod domains;
mod limits;
mod notes;
mod read;
mod senders;
mod types;

pub(crate) use choices::{Choices, RelayEntry, ReturnPathWord, Sign};
pub(crate) use disclaimers::LocalizedDisclaimer;
pub(crate) use domains::DomainEntry;
pub(crate) use limits::{Limit, UserLimits};
pub(crate) use notes::Notes;
pub(crate) use read::{Settings, read};
pub(crate) use senders::{Senders, Unauthorized};
pub(crate) use types::{Condition, HeaderTest, MailType, Rule};

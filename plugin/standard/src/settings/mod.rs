//! The settings as they are written, read and checked but not yet worked out.
//!
//! One shape, [`Choices`], stands in four places: at the top of the file, for a
//! mail type, for a domain, and for a mail type of a domain. What a message gets
//! is worked out from these in [`plan`](crate::plan), the nearest place first.
//!
//! All problems are reported at once. What cannot be read is left out and
//! reading goes on, so what is built is fit for use only without problems.

mod choices;
mod disclaimers;
mod domains;
mod maxima;
mod notes;
mod read;
mod senders;
mod types;

pub(crate) use choices::{Choices, RelayEntry, ReturnPathWord, Sign};
pub(crate) use disclaimers::LocalizedDisclaimer;
pub(crate) use domains::DomainEntry;
pub(crate) use maxima::{Maximum, UserMaxima};
pub(crate) use notes::Notes;
pub(crate) use read::{Settings, read};
pub(crate) use senders::{Senders, Unauthorized};
pub(crate) use types::{Condition, HeaderTest, MailType, Rule};

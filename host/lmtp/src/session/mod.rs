//! A session: bytes of the client in, complete messages and replies out. No I/O and
//! no clock.

mod commands;
mod content;
mod machine;
mod settings;
mod state;
mod transaction;

pub use content::BareNewlines;
pub use machine::{Event, LONGEST_LINE, Session};
pub use settings::SessionSettings;

#[cfg(test)]
mod tests;

//! Commands of the client, without I/O.
//!
//! The parser is our own. `smtp-proto` (0.2), which the workspace has, changes what
//! an agent must pass on unchanged: it takes the quotes off a local part
//! (`"a@b"@c` becomes `a@b@c`), drops CR wherever it stands, decodes ORCPT and drops
//! invalid `+XX`, takes `RCPT TO:<>` for an address, and has no XFORWARD. Its
//! receiver of DATA also ends at CRLF `.` CR CRLF, and does not end an empty message
//! at `.` CRLF.

mod error;
mod parse;

pub(crate) use error::CommandError;
pub(crate) use parse::{Command, parse};

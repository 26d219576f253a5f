//! `waxseal compile`: what the daemon runs to compile a policy. Nobody else has
//! a use for it.

use std::io::{self, IsTerminal as _};

use super::Status;
use crate::runtime::{OrderError, compile_order};

pub(super) fn run() -> anyhow::Result<Status> {
    if io::stdin().is_terminal() {
        return Err(OrderError::NoOrder.into());
    }
    compile_order(io::stdin().lock(), io::stdout().lock())?;
    Ok(Status::Done)
}

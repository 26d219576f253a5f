//! `waxseal compile`: what the daemon runs to compile a policy. Nobody else has
//! a use for it.

use std::io::{self, IsTerminal as _};

use super::support::Status;
use crate::runtime::{WorkerError, run_compile_worker};

pub(super) fn run() -> anyhow::Result<Status> {
    if io::stdin().is_terminal() {
        return Err(WorkerError::InvalidRequest.into());
    }
    run_compile_worker(io::stdin().lock(), io::stdout().lock())?;
    Ok(Status::Done)
}

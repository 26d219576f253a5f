//! `waxseal compile`: the compiler process that the daemon starts. Not for
//! interactive use.

use std::io::{self, IsTerminal as _};

use super::support::Status;
use waxseal_runtime::{WorkerError, run_compile_worker};

pub(super) fn run() -> anyhow::Result<Status> {
    if io::stdin().is_terminal() {
        return Err(WorkerError::InvalidRequest.into());
    }
    run_compile_worker(io::stdin().lock(), io::stdout().lock())?;
    Ok(Status::Done)
}

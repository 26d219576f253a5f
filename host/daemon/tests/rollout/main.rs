//! Versions of a policy in service, with the real host and real components
//! (R26, R28). `make policies` builds the components.

mod given;
mod intake;
mod manager;
mod on_error;
mod replay;
mod rollback;
mod shadow;
mod versions;

//! Processing of one outgoing message: call the policy, resolve its decision,
//! apply it.
//!
//! Calling the policy and editing do no I/O; resolving charges the ledger, which
//! may wait for its store. Within a job of a [`Pool`](waxseal_system::pool::Pool) each
//! step has the job's deadline.
//!
//! A message is processed with one [`PolicySnapshot`] from beginning to end,
//! whatever is activated meanwhile.
//!
//! Fronts do not call this module: they go through
//! [`intake`](crate::intake), which processes outgoing mail only.

mod access;
mod apply;
mod assemble;
mod build_error;
mod call;
mod charge_guard;
mod checks;
mod context;
mod facts;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod input_digests;
mod outcome;
mod policy_id;
mod policy_result;
mod process;
mod resolve;
mod route;
mod snapshot;
mod source;
mod split;
mod tables;
mod unaligned;

pub use access::{Reinjection, reinjected};
pub use apply::ApplyError;
pub(crate) use assemble::{late, resumed};
pub use build_error::BuildError;
pub use call::{decide, repeat};
pub use charge_guard::ChargeGuard;
pub(crate) use context::MessageContext;
pub use failure::Failure;
pub use host::{DerivedKeys, HostSettings};
pub use input_digests::{InputDigests, digest_hex};
pub use outcome::{Delivery, Disposition, Outcome};
pub use policy_id::PolicyId;
pub use policy_result::{Cost, PolicyResult};
pub(crate) use process::Pipeline;
pub use resolve::{ResolveError, return_path_by};
pub use snapshot::{BuildReport, PolicyBundle, PolicySnapshot};
pub use source::PolicySource;
pub use split::Unroutable;

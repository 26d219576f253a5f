//! Checks that a candidate must pass in addition to building.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::Problem;
use crate::pipeline::PolicySnapshot;

/// The future of [`Check::check`].
pub type CheckFuture<'a> = Pin<Box<dyn Future<Output = Vec<Problem>> + Send + 'a>>;

/// A check that a candidate must pass before it is activated, such as the
/// policy tests that the configuration names.
pub trait Check: fmt::Debug + Send + Sync {
    /// Returns the problems of the candidate; none if it passes.
    fn check<'a>(&'a self, candidate: &'a Arc<PolicySnapshot>) -> CheckFuture<'a>;
}

//! What a policy is.

use crate::{Configured, Decision, Description, Facts, Message, Problem};

/// A mail policy with its settings read.
///
/// A policy that takes no settings need not implement this:
/// [`export!(fn decide)`](crate::export!) takes its one function as it is.
///
/// ```
/// use waxseal_policy::{Configured, Decision, Facts, Message, Policy, Problem};
///
/// /// Sends everything through the relay that the settings name.
/// struct OneRelay(String);
///
/// impl Policy for OneRelay {
///     fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>> {
///         match settings.trim() {
///             "" => Err(vec![Problem::at(0..0, "no relay is named").expected("a name")]),
///             name => Ok((Self(name.to_owned()), Configured::default())),
///         }
///     }
///
///     fn decide(&self, _: &Message, _: &Facts) -> Result<Decision, String> {
///         Ok(Decision::accept().relay(&self.0))
///     }
/// }
///
/// waxseal_policy::export!(OneRelay);
/// ```
pub trait Policy: Sized + Send + Sync + 'static {
    /// What the policy is. Fields left empty are filled in by
    /// [`export!`](crate::export!) with the crate's name and version.
    fn describe() -> Description {
        Description::default()
    }

    /// Reads the settings: once, before any message. What it makes is what
    /// [`decide`](Policy::decide) finds, for every message anew. The names that
    /// `waxseal check` should look up go into [`Configured::references`], what
    /// is allowed but likely not meant into [`Configured::warnings`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the settings, all at once, each with the
    /// bytes it stands at. The policy is then not put in service.
    fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>>;

    /// Decides on one message.
    ///
    /// # Errors
    ///
    /// The policy's own failure, on one line: it is told to the administrator,
    /// and the message gets what the host is set to do when a policy fails.
    fn decide(&self, message: &Message, facts: &Facts) -> Result<Decision, String>;
}

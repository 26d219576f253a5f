//! The trait that a policy implements.

use crate::{Configured, Decision, Description, Facts, Message, Problem};

/// A configured mail policy.
///
/// A policy without settings need not implement this: [`export!(fn decide)`](crate::export!) exports a function.
///
/// ```
/// use waxseal_policy::{Configured, Decision, Facts, Message, Policy, Problem};
///
/// /// Routes all mail by the relay that the settings name.
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
    /// The policy's description. Empty fields default to the crate's name and version, see [`export!`](crate::export!).
    fn describe() -> Description {
        Description::default()
    }

    /// Reads the settings: once, before any message. Each [`decide`](Policy::decide) gets the result in its original state. The
    /// names that `waxseal check` should verify go into [`Configured::references`], settings that are valid but probably not
    /// intended into [`Configured::warnings`].
    ///
    /// # Errors
    ///
    /// All problems of the settings, each with its byte range. The policy is then rejected.
    fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>>;

    /// Decides on one message.
    ///
    /// # Errors
    ///
    /// The policy's failure, in one line: it is logged, and the host's `on-error` setting applies to the message.
    fn decide(&self, message: &Message, facts: &Facts) -> Result<Decision, String>;
}

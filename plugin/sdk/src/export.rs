//! Implementation of a component's exports by a [`Policy`].
//!
//! The policy is stored in a [`Slot`], a static that `configure` fills once. The host then snapshots the memory, so the
//! slot is full when `decide` is called in a fresh instance.

use std::panic;
use std::sync::OnceLock;

use crate::log::{self, Level};
use crate::{Configured, Decision, Description, Facts, Message, Policy, Problem};

/// Exports a policy from its crate, once in a `cdylib`.
///
/// - `export!(Acme)` exports a type that implements [`Policy`].
/// - `export!(fn decide)` exports a function
///   `fn(&Message, &Facts) -> Result<Decision, String>` as a policy that takes no
///   settings.
///
/// Name and version in its description default to those of the crate if [`Policy::describe`] leaves them empty. A panic
/// is written to the host's log with its text and location.
///
/// Only wasm targets export anything; on others the macro checks the types, so that the crate builds, tests and lints like
/// any other.
#[macro_export]
macro_rules! export {
    (fn $decide:path) => {
        const _: () = {
            struct FromFunction;

            impl $crate::Policy for FromFunction {
                fn configure(
                    settings: &str,
                ) -> ::std::result::Result<
                    (Self, $crate::Configured),
                    ::std::vec::Vec<$crate::Problem>,
                > {
                    Ok((Self, $crate::__private::configure_nothing(settings)))
                }

                fn decide(
                    &self,
                    message: &$crate::Message,
                    facts: &$crate::Facts,
                ) -> ::std::result::Result<$crate::Decision, ::std::string::String> {
                    $decide(message, facts)
                }
            }

            $crate::export!(FromFunction);
        };
    };
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::exports::waxseal::policy::{handler, setup};

            static POLICY: $crate::__private::Slot<$policy> = $crate::__private::Slot::new();

            struct Component;

            impl setup::Guest for Component {
                fn describe() -> $crate::Description {
                    $crate::__private::describe::<$policy>(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                    )
                }

                fn configure(
                    settings: ::std::string::String,
                ) -> ::std::result::Result<$crate::Configured, ::std::vec::Vec<$crate::Problem>>
                {
                    $crate::__private::configure(&POLICY, &settings)
                }
            }

            impl handler::Guest for Component {
                fn decide(
                    message: &$crate::Message,
                    facts: &$crate::Facts,
                ) -> ::std::result::Result<$crate::Decision, ::std::string::String> {
                    $crate::__private::decide(&POLICY, message, facts)
                }
            }

    $crate::bindings::__export_component!(Component with_types_in $crate::bindings);
        };

        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            const fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
    };
}

/// The configured policy.
pub type Slot<P> = OnceLock<P>;

/// The policy's description, with defaults for empty fields.
pub fn describe<P: Policy>(crate_name: &str, crate_version: &str) -> Description {
    report_panics();
    let mut description = P::describe();
    if description.name.is_empty() {
        crate_name.clone_into(&mut description.name);
    }
    if description.version.is_empty() {
        crate_version.clone_into(&mut description.version);
    }
    flush();
    description
}

/// Configures the policy and stores it.
///
/// # Errors
///
/// The problems of the settings, or that the policy is already configured.
pub fn configure<P: Policy>(slot: &Slot<P>, settings: &str) -> Result<Configured, Vec<Problem>> {
    report_panics();
    let read = P::configure(settings);
    flush();
    let (policy, configured) = read?;
    match slot.set(policy) {
        Ok(()) => Ok(configured),
        Err(_) => Err(vec![Problem::at(
            0..0,
            "this instance of the policy is already configured",
        )]),
    }
}

/// Checks the settings of a policy without settings.
pub fn configure_nothing(settings: &str) -> Configured {
    let mut configured = Configured::default();
    if !settings.trim().is_empty() {
        let warning = Problem::at(0..settings.len(), "this policy has no settings")
            .expected("no settings file");
        configured.warnings.push(warning);
    }
    configured
}

/// Decides with the configured policy. `configure` has set the panic hook: it is part of the memory that the host snapshots.
///
/// # Errors
///
/// The policy's error, or that it was never configured.
pub fn decide<P: Policy>(
    slot: &Slot<P>,
    message: &Message,
    facts: &Facts,
) -> Result<Decision, String> {
    let decision = match slot.get() {
        Some(policy) => policy.decide(message, facts),
        None => Err("`decide` was called before `configure`".to_owned()),
    };
    flush();
    decision
}

/// Writes the text of a panic to the host's log. The standard hook writes to stderr, whose handle cannot be part of a snapshot.
fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no text");
        let line = match panic.location() {
            Some(place) => format!("the policy panicked at {place}: {text}"),
            None => format!("the policy panicked: {text}"),
        };
        flush();
        log::write(Level::Error, &line);
    }));
}

/// Logs a line that `print!` or `eprint!` did not end.
#[cfg(all(target_family = "wasm", feature = "quiet-wasi"))]
fn flush() {
    crate::quiet_wasi::flush();
}

/// Does nothing: the standard library writes the output itself.
#[cfg(not(all(target_family = "wasm", feature = "quiet-wasi")))]
fn flush() {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo(String);

    impl Policy for Echo {
        fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>> {
            Ok((Self(settings.to_owned()), Configured::default()))
        }

        fn decide(&self, _: &Message, _: &Facts) -> Result<Decision, String> {
            Ok(Decision::accept().reason(&self.0))
        }
    }

    #[test]
    fn a_policy_decides_with_the_settings_it_was_configured_with() {
        let slot = Slot::new();
        let (message, facts) = (Message::default(), Facts::default());
        assert!(decide::<Echo>(&slot, &message, &facts).is_err());
        configure::<Echo>(&slot, "hello").expect("configured");
        let decision = decide::<Echo>(&slot, &message, &facts).expect("decided");
        assert_eq!(decision.reasons, ["hello"]);
        assert!(configure::<Echo>(&slot, "again").is_err());
    }

    #[test]
    fn an_empty_description_is_filled_in_from_the_crate() {
        let description = describe::<Echo>("echo", "1.2.3");
        assert_eq!(description.name, "echo");
        assert_eq!(description.version, "1.2.3");
        assert_eq!(description.settings_schema, None);
    }

    #[test]
    fn settings_for_a_policy_without_any_are_warned_about() {
        assert!(configure_nothing(" \n").warnings.is_empty());
        assert_eq!(configure_nothing("a = 1").warnings.len(), 1);
    }
}

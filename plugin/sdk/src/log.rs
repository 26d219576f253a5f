//! Lines for the host's log, beside the message's queue id.
//!
//! They go through the contract's own `log` interface and hold no handle, so
//! that they may be written in `configure` as well as in `decide`. Natively they
//! go to stderr, where a test's output is caught.

pub use crate::bindings::waxseal::policy::log::Level;

/// Writes one line. The macros [`debug!`](crate::debug!), [`info!`](crate::info!),
/// [`warn!`](crate::warn!) and [`error!`](crate::error!) format it first.
#[cfg(target_family = "wasm")]
pub fn write(level: Level, message: &str) {
    crate::bindings::waxseal::policy::log::write(level, message);
}

/// Writes one line to stderr: there is no host.
#[cfg(not(target_family = "wasm"))]
pub fn write(level: Level, message: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    eprintln!("{level}: {message}");
}

/// Logs a line for the policy's author: `debug!("{} recipients", count)`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)*))
    };
}

/// Logs a line worth keeping.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Info, &::std::format!($($text)*))
    };
}

/// Logs that something is not as it should be; mail goes on.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)*))
    };
}

/// Logs that the policy failed.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Error, &::std::format!($($text)*))
    };
}

//! Lines for the host's log, which adds the message's queue id.
//!
//! They use the contract's own `log` interface and hold no handle, so that they can be written in `configure` as well as in
//! `decide`. On other targets they are written to stderr, which tests capture.

pub use crate::bindings::waxseal::policy::log::Level;

/// Writes one line. The macros [`debug!`](crate::debug!), [`info!`](crate::info!),
/// [`warn!`](crate::warn!) and [`error!`](crate::error!) format it first.
#[cfg(target_family = "wasm")]
pub fn write(level: Level, message: &str) {
    crate::bindings::waxseal::policy::log::write(level, message);
}

/// Writes one line to stderr.
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

/// Logs information.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Info, &::std::format!($($text)*))
    };
}

/// Logs a possible problem; mail continues.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)*))
    };
}

/// Logs a failure of the policy.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => {
        $crate::log::write($crate::log::Level::Error, &::std::format!($($text)*))
    };
}

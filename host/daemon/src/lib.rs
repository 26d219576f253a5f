//! The `waxseal` command and daemon.
//!
//! Everything an administrator uses, on top of the crate [`waxseal`].
//!
//! | module | contents |
//! | --- | --- |
//! | [`log`] | format and destination of log lines |
//! | [`testing`] | policy test files and their runner |
//! | [`problems`] | output format of problems |
//! | [`postfix`] | the configuration generated for Postfix |
//! | [`admin`] | the control socket of the daemon |
//! | [`daemon`] | the running daemon: listeners, reloads, signals |
//! | [`cli`] | the subcommands of `waxseal` |

pub mod admin;
pub mod cli;
pub mod daemon;
pub mod format;
pub mod log;
pub mod postfix;
pub mod problems;
pub mod testing;

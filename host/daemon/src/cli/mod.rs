//! The `waxseal` command: one file for each subcommand.

mod check;
mod command;
mod comparison;
mod compile;
mod dkim;
mod inspect;
mod new;
mod policy;
mod postfix;
mod replay;
mod report;
mod run;
mod support;
mod terminal;
mod test;
mod trial;
mod versions;

pub use command::main;
pub use support::Status;

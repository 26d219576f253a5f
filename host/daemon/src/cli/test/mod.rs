//! `waxseal test`: policy tests.

mod arguments;
mod command;
mod junit;
mod session;
mod watch;

pub(super) use arguments::Arguments;
pub(super) use command::run;

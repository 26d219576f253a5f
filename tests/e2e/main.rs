//! What Waxseal promises, seen from outside: mail goes in at a real Postfix, and
//! what far ends get is looked at. One module a topic, one binary for all, since
//! linking takes longer than any of them.

#![allow(missing_docs)]

mod content;
mod crash;
mod direction;
mod embed;
mod harness;
mod hostile;
mod limits;
mod local;
mod mail;
mod policies;
mod postfix_files;
mod recording;
mod return_path;
mod rollback;
mod routing;
mod security;
mod senders;
mod signing;
mod split;
mod swap;

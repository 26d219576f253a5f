//! The sandbox with the real host and real components: what a policy may see,
//! what stops it, and that its failure is its own message's alone (R25, R28,
//! R29). `make policies` builds the components.

mod beside;
mod code;
mod given;
mod inspect;
mod languages;
mod limits;
mod load;
mod settings;
mod versions;
mod world;

//! E-mail messages, decisions about them, and edits that change nothing else.
//!
//! The pure core of Waxseal: no files, no sockets, no threads, no WebAssembly.
//!
//! | module | contents |
//! | --- | --- |
//! | [`work`] | metered work: bounds on steps and time |
//! | [`message`] | a message as bytes plus a map of them (RFC 5322, RFC 2045) |
//! | [`decision`] | what a policy can decide, and its validation |
//! | [`edit`] | message and decision to edits, edits to bytes |
//! | [`printable`] | sanitizing of text for logs and terminals |
//!
//! Each module imports only from those above it; `printable` imports nothing.

pub mod decision;
pub mod edit;
pub mod message;
pub mod printable;
pub mod work;

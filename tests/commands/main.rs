//! What the commands do that need no mail server and no rights: policies are
//! made, built, tested and looked at, as an ordinary user.

#![allow(missing_docs)]

mod examples;
mod hostile;
mod kit;
mod policy_tests;

//! A small SMTP server that runs mail policies.
fn main() {}

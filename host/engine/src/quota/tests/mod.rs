//! Tests of the ledgers with SQLite.

mod limits;
mod shared;
mod store;
mod support;

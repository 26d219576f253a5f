//! The control channel: how commands reach a running daemon.
//!
//! HTTP on a Unix socket that only its owner and root may connect to
//! (`admin.socket`); who may connect may do everything. Requests and answers are
//! types of [`wire`], shared by the [`Server`] and the [`Client`], as JSON.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /policy` | [`Standing`](wire::Standing) |
//! | `POST /policy/swap` with [`wire::Swap`] | [`wire::InService`] |
//! | `POST /policy/rollback` with [`wire::Rollback`] | [`wire::InService`] |
//! | `POST /policy/shadow` with [`wire::Shadow`] | [`Comparison`](crate::rollout::Comparison) |
//! | `POST /policy/shadow/stop` | [`Comparison`](crate::rollout::Comparison) |
//! | `GET /policy/diff` | [`Comparison`](crate::rollout::Comparison) |
//! | `POST /policy/promote` with [`wire::Promote`] | [`wire::InService`] |
//!
//! What is refused is answered with status 409 and [`wire::No`]. A request that
//! is none, or one that fails, costs the daemon nothing else.

mod client;
mod server;
mod shadow;
pub mod wire;

pub use client::{Answer, Client, ClientError};
pub use server::{Control, Server};

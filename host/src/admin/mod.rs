//! The control channel: how commands reach a running daemon.
//!
//! HTTP on a Unix socket that only its owner and root may connect to
//! (`admin.socket`); who may connect may do everything. Requests and answers are
//! types of [`api`], shared by the [`Server`] and the [`Client`], as JSON.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /policy` | [`StatusResponse`](api::StatusResponse) |
//! | `POST /policy/swap` with [`api::Swap`] | [`api::ActivationResponse`] |
//! | `POST /policy/rollback` with [`api::Rollback`] | [`api::ActivationResponse`] |
//! | `POST /policy/shadow` with [`api::StartShadowRequest`] | [`Comparison`](crate::rollout::Comparison) |
//! | `POST /policy/shadow/stop` | [`Comparison`](crate::rollout::Comparison) |
//! | `GET /policy/diff` | [`Comparison`](crate::rollout::Comparison) |
//! | `POST /policy/promote` with [`api::Promote`] | [`api::ActivationResponse`] |
//!
//! What is refused is answered with status 409 and [`api::ErrorBody`]. A request that
//! is none, or one that fails, costs the daemon nothing else.

pub mod api;
mod client;
mod server;
mod shadow;

pub use client::{Answer, Client, ClientError};
pub use server::{Control, Server};

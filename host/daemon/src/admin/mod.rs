//! The control channel: HTTP between commands and a running daemon.
//!
//! The server listens on a Unix socket (`admin.socket`) that only the daemon's
//! user and root may connect to; every client has full control. Requests and
//! responses are the types of [`api`], encoded as JSON and shared by [`Server`]
//! and [`Client`].
//!
//! | request | response |
//! | --- | --- |
//! | `GET /policy` | [`StatusResponse`](api::StatusResponse) |
//! | `POST /policy/swap` with [`api::Swap`] | [`api::ActivationResponse`] |
//! | `POST /policy/rollback` with [`api::Rollback`] | [`api::ActivationResponse`] |
//! | `POST /policy/shadow` with [`api::StartShadowRequest`] | [`Comparison`](waxseal::rollout::Comparison) |
//! | `POST /policy/shadow/stop` | [`Comparison`](waxseal::rollout::Comparison) |
//! | `GET /policy/diff` | [`Comparison`](waxseal::rollout::Comparison) |
//! | `POST /policy/promote` with [`api::Promote`] | [`api::ActivationResponse`] |
//!
//! A request that cannot be fulfilled gets status 409 and an
//! [`api::ErrorBody`]. Invalid requests and requests that fail have no effect
//! on the daemon.

pub mod api;
mod client;
mod policy;
mod reply;
mod server;
mod shadow;
mod state;

pub use client::{Answer, Client, ClientError};
pub use server::Server;
pub use state::Control;

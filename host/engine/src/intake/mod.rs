//! The entry point of every front: the milter server, `waxseal try`, policy
//! tests, embedding programs.
//!
//! A front opens a [`Transaction`] when a message begins and classifies it once.
//! The result is a token:
//!
//! | token | mail | what a front can do with it |
//! | --- | --- | --- |
//! | [`Outgoing`] | of logged-in users and listed networks | [`Intake::process`] |
//! | [`Returning`] | a copy that returns through the split listener | [`Intake::resume`] |
//! | [`Passing`] | of strangers | nothing: the message passes unchanged |
//!
//! Only [`Transaction::classify`] makes tokens, and processing a message takes
//! one, so that a front that forgets to classify does not compile:
//!
//! ```compile_fail,E0061
//! # use std::sync::Arc;
//! # async fn front(intake: waxseal::intake::Intake, message: Arc<waxseal::message::Message>) {
//! intake.process(message).await;
//! # }
//! ```
//!
//! ```compile_fail,E0451
//! # use waxseal::intake::Outgoing;
//! # fn front() -> Outgoing {
//! Outgoing { begun: unreachable!() }
//! # }
//! ```
//!
//! ```compile_fail,E0624
//! # use std::sync::Arc;
//! # use waxseal::rollout::{ActiveVersion, PolicyService};
//! # async fn front(service: PolicyService, version: Arc<ActiveVersion>, message: Arc<waxseal::message::Message>) {
//! service.process(&version, message).await;
//! # }
//! ```
//!
//! A token holds the policy version that was active when the message began: a
//! message is processed with one version, whatever is activated meanwhile.
//!
//! The [`Outcome`](crate::pipeline::Outcome) says what is to be done. If the
//! message is to be delivered, its [`Delivery`](crate::pipeline::Delivery)
//! contains a charge that is refunded when it is dropped: the front confirms it
//! once the message was accepted.
//!
//! Each message is logged in one line, here.
//!
//! [`DryRun`] processes messages that no MTA submitted. It charges nothing, and
//! has tokens of its own, which an [`Intake`] does not accept.

mod begun;
mod dry_run;
mod engine;
mod live;
mod log;
mod received;
mod token;
mod transaction;
mod way;

pub use dry_run::{DryRun, DryRunMessage};
pub use engine::{Engine, EngineBuilder, EngineError};
pub use live::Intake;
pub use received::Received;
pub use token::{Direction, Outgoing, Passing, Returning};
pub use transaction::Transaction;
pub use way::PassReason;

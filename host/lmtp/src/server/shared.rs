//! State shared by all connections of a server.

use std::sync::Arc;

use waxseal_system::server::{ByteBudget, ConnectionSlots};

use super::limits::Limits;
use crate::session::SessionSettings;

/// State shared by all connections of a server.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) session: Arc<SessionSettings>,
    pub(super) budget: ByteBudget,
    pub(super) slots: Arc<ConnectionSlots>,
}

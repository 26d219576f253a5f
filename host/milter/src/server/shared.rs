//! State shared by all connections of a server.

use std::sync::Arc;

use waxseal_system::server::{ByteBudget, ConnectionSlots};

use super::limits::Limits;

/// State shared by all connections of a server.
pub(super) struct Shared<F, E> {
    pub(super) filter: Arc<F>,
    pub(super) executor: E,
    pub(super) limits: Limits,
    pub(super) budget: ByteBudget,
    pub(super) slots: Arc<ConnectionSlots>,
}

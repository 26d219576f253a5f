//! Parts of a server that reads from untrusted clients.
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Endpoint`], [`UnixSocket`], [`Open`] | listening sockets with permissions; stale socket files are replaced, others left alone |
//! | [`ConnectionSlots`] | limits of connections; new ones wait, and silent ones are closed for them |
//! | [`ByteBudget`] | memory of all messages together |
//! | [`catch_panic`] | the boundary that contains the panic of one message or connection |

mod byte_budget;
mod catch_panic;
mod connection_slots;
mod socket;

pub use byte_budget::{BudgetTimeout, ByteBudget, BytePermit};
pub use catch_panic::catch_panic;
pub use connection_slots::{ConnectionSlot, ConnectionSlots};
pub use socket::{
    Accepted, BindError, Endpoint, InvalidEndpoint, Open, SocketFile, Transport, UnixSocket,
};

//! Access to the operating system that several Waxseal crates share.
//!
//! | module | contents |
//! | --- | --- |
//! | [`secure_fs`] | files and directories with checked owners and permissions |
//! | [`input_file`] | bounded reading of files that an administrator names |
//! | [`server`] | listening sockets, limits of connections and memory, containment of panics |
//! | [`pool`] | worker threads for the work of messages, with deadlines and priorities (feature `pool`) |

pub mod input_file;
#[cfg(feature = "pool")]
pub mod pool;
pub mod secure_fs;
pub mod server;

//! Access to the operating system that several Waxseal crates share.
//!
//! | module | contents |
//! | --- | --- |
//! | [`secure_fs`] | files and directories with checked owners and permissions |
//! | [`file_watch`] | detection of changed files (feature `file-watch`) |
//! | [`input_file`] | bounded reading of files that an administrator names |
//! | [`server`] | listening sockets, limits of connections and memory, containment of panics |
//! | [`pool`] | worker threads for the work of messages, with deadlines and priorities (feature `pool`) |

#[cfg(feature = "file-watch")]
pub mod file_watch;
pub mod input_file;
#[cfg(feature = "pool")]
pub mod pool;
pub mod secure_fs;
pub mod server;

//! Access to the operating system that several Waxseal crates share.
//!
//! | module | contents |
//! | --- | --- |
//! | [`secure_fs`] | files and directories with checked owners and permissions |
//! | [`input_file`] | bounded reading of files that an administrator names |
//! | [`pool`] | worker threads for the work of messages, with deadlines and priorities |

pub mod input_file;
pub mod pool;
pub mod secure_fs;

//! Detection of changed files.
//!
//! - [`FileStamp`] and [`stamps`] are the metadata that is compared. All parts of
//!   Waxseal that ask whether a file has changed compare these.
//! - [`FileWatch`] waits until files may have changed.
//!
//! The watcher watches the folders of the files by inotify, not the files: editors
//! and installers replace a file by a new one, and a symbolic link on the path may
//! get another target, as in Kubernetes volumes. At each event in one of these
//! folders, the metadata of the files is compared. Because some file systems report
//! no events, it is also compared every few seconds.
//!
//! # Libraries
//!
//! Events come from the `inotify` crate (0.11). `notify` is not used: its license,
//! CC0-1.0, is not permitted here, and it reports paths, which symbolic links
//! make useless. `tokio::io::unix::AsyncFd` on a descriptor of `rustix` would save two
//! packages, but since tokio 1.54 all of its constructors are unsafe or deprecated.

mod folders;
mod stamp;
mod watch;

pub use stamp::{FileStamp, Stamps, stamps};
pub use watch::FileWatch;

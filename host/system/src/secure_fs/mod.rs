//! Files and folders that are protected from other users of the machine.
//!
//! - **Private files** ([`read`], [`read_password`], [`folder`], [`create`],
//!   [`replace`]) hold keys, passwords and the secret: no permission for group and
//!   others, owned by root or by the user of this process.
//! - **Own files** ([`open_own`], [`check_own_folder`]) hold data whose content is
//!   trusted, such as compiled code: only the user of this process can have
//!   written them. A file of root is not accepted from another user's process, and
//!   a file of another user is not accepted by root.
//! - **Exposure** ([`ExposureCheck`]): files of the configuration that other users
//!   can change, directly or by a folder or symbolic link on the path.
//!
//! # Why not a library
//!
//! Commands are run with `sudo` in folders of the daemon's user, who can rename and
//! replace everything in them between two system calls. [`Directory`] therefore
//! works on open descriptors only: the file that gets its final name and its owner
//! is the file that was written. `tempfile` and `atomic-write-file` create, rename
//! and `chown` by path or by name, which such a user can redirect to a file of root
//! (the tests of `directory` do so), and neither gives a new file to the owner of
//! its folder. `fs-mistrust` returns whether one path is trusted by one user; needed
//! are all exposed paths of a configuration at once, each with its purpose and the
//! command to fix it, with the daemon's user as a second trusted user, and group
//! write permission tolerated exactly if the group has no other member.

mod accounts;
mod directory;
mod error;
mod exposure;
mod private;
#[cfg(test)]
mod root;

pub use directory::{Directory, FileMode};
pub use error::PrivateFileError;
pub use exposure::{Exposure, ExposureCheck};
pub use private::{
    check_own_folder, create, folder, make_folder, open_own, read, read_password, replace,
};

//! A started process that ends with the test that started it.

use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};

/// A process that is killed and waited for when this is dropped, also if an assertion
/// has failed. It would otherwise continue, and hold the descriptors it inherited.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Does nothing if it was waited for: its id may name another process by now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use super::*;

    #[test]
    fn a_process_ends_with_a_test_that_fails() {
        let process = Process::start(Command::new("sleep").arg("600")).expect("sleep");
        let folder = format!("/proc/{}", process.id());
        assert!(Path::new(&folder).exists());
        let failed = catch_unwind(AssertUnwindSafe(move || {
            let _process = process;
            panic!("a failed assertion");
        }));
        assert!(failed.is_err());
        assert!(!Path::new(&folder).exists());
    }

    #[test]
    fn a_process_that_has_ended_can_be_dropped() {
        let mut process = Process::start(&mut Command::new("true")).expect("true");
        assert!(process.wait().expect("its end").success());
    }
}

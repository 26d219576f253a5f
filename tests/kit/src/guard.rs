//! Cleaning up after a test that can no longer do so itself.
//!
//! A test that is killed, or a demo that is interrupted, runs no destructor.
//! So each rig has a small shell of its own, in a process group of its own,
//! that waits for its standard input to end, as it does when the process that
//! holds the other end is gone for whatever reason, and then stops what the
//! rig's folder says is running.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Stops Postfix and Waxseal by the process ids in their folder alone.
const SCRIPT: &str = r#"
read -r nothing
if [ -d "$1" ]; then
    [ -s "$1/waxseal.pid" ] && kill -9 "$(cat "$1/waxseal.pid")" 2>/dev/null
    [ -d "$1/etc" ] && postfix -c "$1/etc" stop >/dev/null 2>&1
    rm -rf "$1"
fi
exit 0
"#;

/// Stands by for as long as the process that made it lives.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Begins to stand by for a rig's folder.
    ///
    /// # Panics
    ///
    /// When no shell can be started.
    pub fn of(folder: &Path) -> Self {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the keyboard goes to a whole process group.
            .process_group(0)
            .spawn()
            .expect("sh");
        Self(child)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

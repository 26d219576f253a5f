//! Cleanup after a test that was killed.
//!
//! A test that is killed, or a demo that is interrupted, runs no destructor. Therefore each rig has a shell in a process group of
//! its own. It waits for the end of its standard input, which occurs when the process with the other end ends, and then stops the
//! processes that the rig's folder lists.

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

/// Waits until the process that created it ends.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Starts the guard of a rig's folder.
    ///
    /// # Panics
    ///
    /// If the shell cannot be started.
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

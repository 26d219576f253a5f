//! Files of policy tests.

use std::fs;

use waxseal_daemon::testing::Suite;

use crate::config::are_shown;
use crate::cost::Cost;
use crate::input::Input;

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.document();
    // Files that a test names would be read: paths of this machine are excluded.
    if text.contains("/dev")
        || text.contains("/proc")
        || text.contains("/sys")
        || text.contains("..")
    {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.toml");
    fs::write(&path, &*text).expect("a file");
    fs::write(
        folder.path().join("a.eml"),
        "From: ann@acme.test\r\n\r\nHi\r\n",
    )
    .expect("a file");
    let paths = [path];
    let read = || Suite::read(&paths).map(|suite| suite.len());
    match Cost::DOCUMENT.hold("reading tests", text.len(), read) {
        Ok(cases) => assert!(cases > 0, "a file without a case was accepted"),
        Err(problems) => {
            assert!(!problems.is_empty(), "rejected without a problem");
            are_shown(&problems, &text);
        }
    }
}

//! `waxseal.toml`.

use std::path::Path;

use waxseal::config::{ConfigError, Problem, read_text};
use waxseal_daemon::problems::render;

use crate::cost::Cost;
use crate::input::Input;

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.document();
    let read = || read_text(Path::new("/etc/waxseal/waxseal.toml"), &text);
    if let Err(ConfigError::Problems(problems)) =
        Cost::DOCUMENT.hold("reading the configuration", text.len(), read)
    {
        assert!(!problems.is_empty(), "rejected without a problem");
        are_shown(&problems, &text);
    }
}

/// Each problem has a position in the text, and is displayed such that it cannot be mistaken for several.
pub(crate) fn are_shown(problems: &[Problem], text: &str) {
    let lines = 1 + text.bytes().filter(|&byte| byte == b'\n').count();
    for problem in problems {
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "{problem}"
        );
    }
    // At most a few of them are displayed.
    let few = &problems[..problems.len().min(5)];
    let shown = render(few, false);
    assert!(few.is_empty() || !shown.is_empty());
}

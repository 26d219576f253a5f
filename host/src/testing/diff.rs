//! Unified diffs of texts.

use std::time::Duration;

use similar::TextDiff;

/// What has to be changed in one text to make it the other.
pub(super) fn unified(expected: &str, actual: &str, name: &str) -> String {
    TextDiff::configure()
        .timeout(DIFF_TIME)
        .diff_lines(expected, actual)
        .unified_diff()
        .context_radius(2)
        .header(name, "actual")
        .to_string()
}

/// How long the smallest difference is looked for; a larger one is shown then.
const DIFF_TIME: Duration = Duration::from_secs(1);

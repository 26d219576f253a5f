//! Unified diffs of texts.

use std::time::Duration;

use similar::TextDiff;

/// The unified diff from `expected` to `actual`.
pub(super) fn unified(expected: &str, actual: &str, name: &str) -> String {
    TextDiff::configure()
        .timeout(DIFF_TIME)
        .diff_lines(expected, actual)
        .unified_diff()
        .context_radius(2)
        .header(name, "actual")
        .to_string()
}

/// Time limit for finding a minimal diff; after that, the diff can be larger.
const DIFF_TIME: Duration = Duration::from_secs(1);

//! `[policy]`.

use std::path::PathBuf;

use waxseal_settings::Table as Toml;

use super::Reader;
use crate::config::defaults::{ROLL_BACK_AFTER, ROLL_BACK_SHARE};
use crate::config::{OnError, Policy, ShareOrNone};

impl Reader {
    pub(super) fn policy(&self, table: &Toml<'_>) -> Option<Policy> {
        table.require("file", "the policy's component, a .wasm file");
        let file = self.path(table, "file");
        let settings = self.path(table, "settings");
        let on_error = table.choice(
            "on-error",
            &[
                ("defer", OnError::Defer),
                ("reject", OnError::Reject),
                ("accept", OnError::Accept),
            ],
        );
        let roll_back_after = table.integer("roll-back-after", 0..=10_000);
        let expected = "a percentage of the messages, like \"50%\", or \"0%\" for never";
        let roll_back_share = table.parsed::<ShareOrNone>("roll-back-share", expected);
        let watch = table.boolean("watch");
        let tests = table.parsed_list::<PathBuf>("tests", "test files, or folders of them");
        let tests = tests.unwrap_or_default().into_iter();
        let tests = tests.map(|path| self.folder.join(path.value)).collect();
        Some(Policy {
            file: file?,
            file_span: table.span_of("file").unwrap_or_default(),
            settings,
            settings_span: table.span_of("settings").unwrap_or_default(),
            on_error: on_error.unwrap_or_default(),
            roll_back_after: roll_back_after.map_or(ROLL_BACK_AFTER, |number| number.value),
            roll_back_share: roll_back_share.map_or(ROLL_BACK_SHARE, |share| share.value.0),
            watch: watch.unwrap_or(true),
            tests,
        })
    }

    /// `policy = "FILE"` and `settings = "FILE"`, without a table. Settings of
    /// several lines are the settings themselves and not a file of them.
    pub(super) fn bare_policy(&self, top: &Toml<'_>) -> Option<Policy> {
        let file = self.path(top, "policy");
        let settings = top
            .string("settings")
            .filter(|settings| !settings.value.contains('\n'))
            .and_then(|_| self.path(top, "settings"));
        Some(Policy {
            file_span: top.span_of("policy").unwrap_or_default(),
            settings,
            settings_span: top.span_of("settings").unwrap_or_default(),
            ..Policy::new(file?)
        })
    }
}

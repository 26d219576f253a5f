//! `[dkim]`.

use waxseal_settings::Table as Toml;

use super::{Reader, sections};
use crate::config::{Dkim, Domain, KeyFile};

impl Reader {
    pub(super) fn dkim(&self, table: Option<&Toml<'_>>) -> Dkim {
        let keys = table.and_then(|table| self.path(table, "keys"));
        let files = table.map_or_else(Vec::new, |table| {
            let keys = table.tables("key");
            keys.iter().filter_map(|key| self.key_file(key)).collect()
        });
        let (expire, allow_unaligned) = sections::signing(table);
        Dkim {
            keys: keys.unwrap_or_else(|| self.folder.join("keys")),
            generate: table
                .and_then(|table| table.boolean("generate"))
                .unwrap_or(false),
            expire,
            allow_unaligned,
            files,
        }
    }

    fn key_file(&self, table: &Toml<'_>) -> Option<KeyFile> {
        for key in ["domain", "selector", "file"] {
            table.require(key, "a text in quotes");
        }
        let domain = table.parsed::<Domain>("domain", "a domain name");
        let selector = table.parsed::<Domain>("selector", "a selector, like \"mail2026\"");
        let file = self.path(table, "file");
        Some(KeyFile {
            domain: domain?.value,
            selector: selector?.value.as_str().to_owned(),
            file: file?,
            span: table.span(),
        })
    }
}

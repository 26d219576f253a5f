//! Lookup tables, held in memory.

use std::collections::{BTreeMap, HashMap};

use super::input_digests::digest_hex;
use crate::config::{self, Problem, Severity, Source};
use waxseal_system::input_file;

/// All lookup tables of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Tables {
    entries: HashMap<String, HashMap<String, String>>,
    /// Digests of the files, by the tables' names.
    digests: BTreeMap<String, String>,
}

impl Tables {
    /// Reads the tables of the configuration: lines of a key and a value separated by white space; `#` begins a comment line.
    pub(super) fn read(
        tables: &[config::Table],
        source: &Source,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut loaded = Self::default();
        for table in tables {
            let text = match input_file::read_text(&table.file, input_file::TABLE) {
                Ok(text) => text,
                Err(error) => {
                    let message = format!(
                        "table \"{}\": {}: {error}",
                        table.name,
                        table.file.display()
                    );
                    problems.push(source.problem(
                        Severity::Error,
                        table.span.clone(),
                        message,
                        None,
                    ));
                    continue;
                }
            };
            let file = Source {
                path: table.file.clone(),
                text: text.into(),
            };
            loaded.add(&table.name, &file, problems);
        }
        loaded
    }

    /// Adds the table of a file.
    pub(super) fn add(&mut self, name: &str, file: &Source, problems: &mut Vec<Problem>) {
        let digest = digest_hex(file.text.as_bytes());
        self.digests.insert(name.to_owned(), digest);
        self.entries.insert(name.to_owned(), read(file, problems));
    }

    /// The value of a key; keys are compared exactly.
    pub(super) fn lookup(&self, table: &str, key: &str) -> Option<&str> {
        self.entries.get(table)?.get(key).map(String::as_str)
    }

    /// Digests of the files, by the tables' names.
    pub(super) fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    pub(super) fn contains(&self, table: &str) -> bool {
        self.entries.contains_key(table)
    }
}

pub(super) fn read(file: &Source, problems: &mut Vec<Problem>) -> HashMap<String, String> {
    let mut entries = HashMap::new();
    let mut repeated = 0;
    let mut offset = 0;
    for line in file.text.split_inclusive('\n') {
        let span = offset..offset + line.trim_end().len();
        offset += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if entries
            .insert(key.to_owned(), value.trim().to_owned())
            .is_some()
        {
            repeated += 1;
            if repeated <= config::MAX_PROBLEMS {
                let message = format!("duplicate key \"{key}\"");
                problems.push(file.problem(Severity::Error, span, message, None));
            }
        }
    }
    if let Some(more) = repeated.checked_sub(config::MAX_PROBLEMS + 1) {
        let message = format!("{} more duplicate keys", more + 1);
        problems.push(Problem::of_file(&file.path, message, None));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_a_table_of_one_key_has_a_bounded_number_of_problems() {
        let file = Source {
            path: "vips".into(),
            text: "a b\n".repeat(1001).into(),
        };
        let mut problems = Vec::new();
        read(&file, &mut problems);
        assert_eq!(problems.len(), config::MAX_PROBLEMS + 1);
        let last = problems.last().map(|problem| problem.message.as_str());
        assert_eq!(last, Some("900 more duplicate keys"));
    }

    #[test]
    fn tables_are_lines_of_key_and_value() {
        let text = "# who\nann@acme.test  gold  customer\n\nbob@acme.test\nann@acme.test x\n";
        let file = Source {
            path: "vips".into(),
            text: text.into(),
        };
        let mut problems = Vec::new();
        let entries = read(&file, &mut problems);
        assert_eq!(entries.get("bob@acme.test").map(String::as_str), Some(""));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, Some(5));
    }
}

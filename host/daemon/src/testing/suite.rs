//! Parsing of test files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal_settings::{Spanned, Table};

use super::environment::{Settings, Setup};
use super::expected::{Expected, Golden};
use super::input::CaseInput;
use waxseal::config::{self, Domain, Problem, Severity, Source};
use waxseal_system::input_file;

/// The cases of one or more test files.
pub struct Suite {
    pub(super) cases: Vec<Arc<Case>>,
    pub(super) setups: Vec<Setup>,
    files: BTreeSet<PathBuf>,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("files", &self.files)
            .field("cases", &self.cases.len())
            .finish_non_exhaustive()
    }
}

/// A message, its facts, and the expectations.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) span: Range<usize>,
    /// Index of its setup in the suite.
    pub(super) setup: usize,
    pub(super) input: CaseInput,
    pub(super) expected: Expected,
    /// Content of the message file.
    pub(super) message: Arc<[u8]>,
    /// Path of the golden file.
    pub(super) golden: Option<PathBuf>,
}

impl Case {
    /// Line of a span in the test file.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let text = self.source.text.as_bytes();
        let before = &text[..span.start.min(text.len())];
        1 + memchr::memchr_iter(b'\n', before).count()
    }
}

impl Suite {
    /// Reads test files. In a folder, all `.toml` files that have a case are read,
    /// recursively.
    ///
    /// # Errors
    ///
    /// All problems of all files, each with its position.
    pub fn read(paths: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::default();
        for path in paths {
            reader.path(path);
        }
        if reader.problems.is_empty() && reader.cases.is_empty() {
            let expected = "a file with [[case]] entries, or a folder of such files";
            for path in paths {
                let message = "no tests found";
                let problem = Problem::of_file(path, message, Some(expected.to_owned()));
                reader.problems.push(problem);
            }
        }
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        Ok(Self {
            cases: reader.cases.into_iter().map(Arc::new).collect(),
            setups: reader.setups,
            files: reader.files,
        })
    }

    /// The cases whose name or file path contains the text, ignoring case.
    #[must_use]
    pub fn filter(mut self, text: &str) -> Self {
        let text = text.to_lowercase();
        self.cases.retain(|case| {
            let path = case.source.path.to_string_lossy().to_lowercase();
            case.name.to_lowercase().contains(&text) || path.contains(&text)
        });
        self
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The files that the cases were read from, messages included.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }
}

#[derive(Default)]
struct Reader {
    cases: Vec<Case>,
    setups: Vec<Setup>,
    files: BTreeSet<PathBuf>,
    messages: BTreeMap<PathBuf, Arc<[u8]>>,
    problems: Vec<Problem>,
}

/// Settings that all cases of a file share.
struct Common<'a> {
    source: &'a Source,
    setup: usize,
    input: CaseInput,
    expected: Expected,
}

impl Reader {
    fn path(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.file(path, false);
        }
        match below(path) {
            Ok(files) => files.iter().for_each(|file| self.file(file, true)),
            Err(error) => self.problems.push(Problem::of_file(
                path,
                format!("cannot read the file: {error}"),
                None,
            )),
        }
    }

    fn file(&mut self, path: &Path, found: bool) {
        let text = match input_file::read_text(path, input_file::TEST_FILE) {
            Ok(text) => text,
            // A folder can contain other files, binary ones too.
            Err(error) if found && error.kind() == io::ErrorKind::InvalidData => return,
            Err(error) => {
                let message = format!("cannot read the file: {error}");
                return self.problems.push(Problem::of_file(path, message, None));
            }
        };
        if found && !has_case(&text) || !self.files.insert(path.to_owned()) {
            return;
        }
        let source = Source {
            path: path.to_owned(),
            text: text.into(),
        };
        let text = Arc::clone(&source.text);
        let ((), problems) = waxseal_settings::read(&text, |top| self.tests(&source, top));
        self.problems.extend(problems.into_iter().map(|problem| {
            source.problem(
                Severity::Error,
                problem.span,
                problem.message,
                problem.expected,
            )
        }));
    }

    fn tests(&mut self, source: &Source, top: &Table<'_>) {
        let setup = self.setup(source, top);
        let shared = CaseInput::read_shared(top);
        let defaults = top.table("defaults");
        let (input, expected) = match &defaults {
            None => (shared, Expected::default()),
            Some(table) => {
                let expected = table.table("expect");
                let expected = expected.map(|table| Expected::read(&table));
                let input = CaseInput::read(table).over(&shared);
                (input, expected.unwrap_or_default())
            }
        };
        let common = Common {
            source,
            setup,
            input,
            expected,
        };
        top.require(
            "case",
            "[[case]] entries, each with `name`, `message` and `expect`",
        );
        let from = self.cases.len();
        for table in top.tables("case") {
            self.case(&common, &table);
        }
        self.names_differ(from, top);
    }

    /// The setup of a file.
    fn setup(&mut self, source: &Source, top: &Table<'_>) -> usize {
        let folder = source.path.parent().unwrap_or(Path::new(""));
        let path = |text: Option<Spanned<String>>| text.map(|text| folder.join(text.value));
        let config = path(top.string("config"));
        let span = top.span_of("config").unwrap_or_default();
        let settings = top.string("settings").map(|settings| {
            if settings.value.contains('\n') {
                Settings::Text(settings.value)
            } else {
                Settings::File(folder.join(settings.value))
            }
        });
        let domains = top.parsed_list::<Domain>("keys", "domain names");
        let domains = domains.unwrap_or_default();
        let within = match (&config, top.span_of("policy")) {
            (None, Some(_)) => config::read_within(source, top).map(Box::new),
            _ => None,
        };
        let policy = match &within {
            None if config.is_some() => path(top.string("policy")),
            _ => None,
        };
        let setup = Setup {
            source: source.clone(),
            span,
            config,
            within,
            policy,
            settings,
            domains: domains.into_iter().map(|domain| domain.value).collect(),
        };
        if let Some(same) = self.setups.iter().position(|other| other.is_like(&setup)) {
            return same;
        }
        self.setups.push(setup);
        self.setups.len() - 1
    }

    fn case(&mut self, common: &Common<'_>, table: &Table<'_>) {
        table.require("name", "a name that describes the case");
        let name = table.string("name");
        let input = CaseInput::read(table).over(&common.input);
        let expected = table.table("expect");
        let expected = expected.map(|table| Expected::read(&table));
        let expected = expected.unwrap_or_default().over(&common.expected);
        let rows = table.tables("row");
        // A missing name has been reported.
        let name = name.map(|name| name.value).unwrap_or_default();
        if rows.is_empty() {
            return self.add(common, table, name, input, expected);
        }
        for (at, row) in rows.iter().enumerate() {
            let number = (at + 1).to_string();
            let own = row.string("name").map_or(number, |name| name.value);
            let input = CaseInput::read(row).over(&input);
            let of_row = row.table("expect").map(|table| Expected::read(&table));
            let expected = of_row.unwrap_or_default().over(&expected);
            self.add(common, row, format!("{name}: {own}"), input, expected);
        }
    }

    fn add(
        &mut self,
        common: &Common<'_>,
        table: &Table<'_>,
        name: String,
        input: CaseInput,
        expected: Expected,
    ) {
        if expected.is_empty() {
            let message = format!("the case \"{name}\" has no expectation");
            let wanted = "`expect`, a table with a verdict, a relay, …";
            table.problem(table.span(), message, Some(wanted.to_owned()));
        }
        let golden = expected.golden.as_ref();
        let golden = golden.map(|golden| golden_path(&common.source.path, &name, &golden.value));
        self.files.extend(golden.clone());
        let Some(message) = self.message(common, table, input.message.as_ref()) else {
            return;
        };
        self.cases.push(Case {
            name,
            source: common.source.clone(),
            span: table.span(),
            setup: common.setup,
            input,
            expected,
            message,
            golden,
        });
    }

    /// The message of a case: inline, or from a file.
    fn message(
        &mut self,
        common: &Common<'_>,
        table: &Table<'_>,
        input: Option<&Spanned<String>>,
    ) -> Option<Arc<[u8]>> {
        let Some(input) = input else {
            let message = "missing message".to_owned();
            let expected = "`message`, a path relative to this file, or a whole message";
            table.problem(table.span(), message, Some(expected.to_owned()));
            return None;
        };
        if input.value.contains('\n') {
            return Some(input.value.as_bytes().into());
        }
        let folder = common.source.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(&input.value);
        if let Some(message) = self.messages.get(&path) {
            return Some(Arc::clone(message));
        }
        self.files.insert(path.clone());
        match input_file::read(&path, input_file::MESSAGE) {
            Ok(bytes) => {
                let message: Arc<[u8]> = bytes.into();
                self.messages.insert(path, Arc::clone(&message));
                Some(message)
            }
            Err(error) => {
                let message = format!("cannot read the message {}: {error}", path.display());
                let expected = "a path relative to this file, or a whole message";
                table.problem(input.span.clone(), message, Some(expected.to_owned()));
                None
            }
        }
    }

    /// Reports duplicate names.
    fn names_differ(&self, from: usize, top: &Table<'_>) {
        let mut seen = BTreeSet::new();
        for case in &self.cases[from..] {
            if !seen.insert(&case.name) {
                let message = format!("duplicate case name \"{}\"", case.name);
                let expected = "a unique name".to_owned();
                top.problem(case.span.clone(), message, Some(expected));
            }
        }
    }
}

fn golden_path(file: &Path, case: &str, golden: &Golden) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    match golden {
        Golden::File(path) => folder.join(path),
        Golden::ByName => {
            let stem = file.file_stem().unwrap_or_default();
            let name = format!("{}.eml", file_name(case));
            folder.join("golden").join(stem).join(name)
        }
    }
}

/// File name for a case: letters and digits, everything else replaced by hyphens.
fn file_name(case: &str) -> String {
    let mut name = String::new();
    for character in case.chars() {
        if character.is_alphanumeric() {
            name.extend(character.to_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name.trim_end_matches('-').to_owned()
}

/// Maximum length of a file name made from a case name; file systems allow 255 bytes.
const LONGEST_NAME: usize = 120;

/// Whether a text has cases; configurations and settings are in the same folders.
fn has_case(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with("[[case]]"))
}

/// Possible test files: the named files, and the `.toml` files below the named
/// folders. Unreadable folders are skipped.
pub fn test_files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let of = |path: &PathBuf| match path.is_dir() {
        true => below(path).unwrap_or_default(),
        false => vec![path.clone()],
    };
    paths.iter().flat_map(of).collect()
}

/// The `.toml` files below a folder, sorted by name. Hidden folders and links to
/// folders are skipped.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !hidden {
                files.extend(below(&path)?);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    Ok(files)
}

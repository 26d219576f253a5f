//! The rules of structure that a listing of folders relies on: no two files
//! import each other, not even by a detour; a `mod.rs` or `lib.rs`
//! holds documentation, declarations and re-exports; no file but one of tests is
//! longer than 600 lines. The library for embedding depends on no command line
//! and no server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose files are looked at.
const CRATES: &[&str] = &[
    "host/core",
    "host/system",
    "host/milter",
    "host/lmtp",
    "host/runtime",
    "host/engine",
    "host/oauth",
    "host/daemon",
    "plugin/sdk",
    "plugin/settings",
    "plugin/standard",
    "tests/kit",
];

/// Lines that a file of sources may have.
const LINES: usize = 600;

/// A module's path within its crate; the root is empty.
type Module = Vec<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// One source file.
struct File {
    path: PathBuf,
    module: Module,
    /// Without comments, strings and unit tests.
    code: String,
    lines: usize,
}

impl File {
    fn read(path: PathBuf, source: &Path) -> Self {
        let relative = path.strip_prefix(source).expect("below the source folder");
        let mut module: Module = relative
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if matches!(
            module.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            module.pop();
        }
        let text = fs::read_to_string(&path).expect("source");
        let lines = text.lines().count();
        Self {
            path,
            module,
            code: code(&text),
            lines,
        }
    }

    fn is_facade(&self) -> bool {
        self.path.ends_with("mod.rs") || self.path.ends_with("lib.rs")
    }

    fn is_test(&self) -> bool {
        let last = self.module.last().map_or("", String::as_str);
        self.module.iter().any(|part| part == "tests") || last.ends_with("_tests")
    }

    /// Every `use` as `(is a re-export, path)`, and every path from the crate's
    /// root or the parent in the code.
    fn imports(&self) -> Vec<(bool, Vec<String>)> {
        let mut found = Vec::new();
        let mut rest = self.code.as_str();
        let mut uses = String::new();
        while let Some(at) = find_use(rest) {
            let before = rest[..at].trim_end();
            let exported =
                before.ends_with("pub") || before.ends_with(')') && before.contains("pub(");
            let exported = exported && before.len() - before.rfind("pub").unwrap_or(0) < 20;
            let tree = &rest[at + 4..];
            let end = tree.find(';').unwrap_or(tree.len());
            uses.push_str(&rest[..at]);
            for path in expand(&tree[..end]) {
                found.push((exported, path));
            }
            rest = &tree[end..];
        }
        uses.push_str(rest);
        for start in ["crate::", "super::"] {
            let mut rest = uses.as_str();
            while let Some(at) = rest.find(start) {
                let preceded = rest[..at]
                    .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
                let path = &rest[at..];
                let end = path
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .unwrap_or(path.len());
                if !preceded {
                    let parts = path[..end].split("::").filter(|part| !part.is_empty());
                    found.push((false, parts.map(str::to_owned).collect()));
                }
                rest = &path[start.len()..];
            }
        }
        found
    }
}

fn find_use(code: &str) -> Option<usize> {
    code.match_indices("use ")
        .map(|(at, _)| at)
        .find(|&at| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// `a::{b, c::{d, e as f}}` as paths.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let tree = tree.split(" as ").next().unwrap_or(tree).trim();
        let parts = tree
            .split("::")
            .map(str::trim)
            .filter(|part| !part.is_empty());
        return vec![parts.map(str::to_owned).collect()];
    };
    let prefix = tree[..open]
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let prefix: Vec<String> = prefix.map(str::to_owned).collect();
    // Without its end it is a word in a text.
    let Some(close) = tree.rfind('}').filter(|&close| close > open) else {
        return Vec::new();
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    let inner = &tree[open + 1..close];
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..at].trim().is_empty() {
                    paths.extend(expand(&inner[start..at]));
                }
                start = (at + 1).min(inner.len());
            }
            _ => {}
        }
    }
    let joined = paths
        .into_iter()
        .map(|path| [prefix.clone(), path].concat());
    joined.collect()
}

/// A text without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &text[..at],
        None => text,
    };
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |mut code, line| {
        let _ = writeln!(code, "{line}");
        code
    })
}

/// The files of one crate, and which imports which.
struct Graph {
    files: Vec<File>,
    by_module: BTreeMap<Module, usize>,
}

impl Graph {
    fn of(krate: &str) -> Self {
        let source = root().join(krate).join("src");
        let mut paths = Vec::new();
        files(&source, &mut paths);
        paths.sort();
        let mains = paths.iter().any(|path| path.ends_with("lib.rs"));
        let files: Vec<File> = paths
            .into_iter()
            .filter(|path| !(mains && path.ends_with("main.rs")))
            .map(|path| File::read(path, &source))
            .collect();
        let by_module = files.iter().enumerate();
        let by_module = by_module
            .map(|(n, file)| (file.module.clone(), n))
            .collect();
        Self { files, by_module }
    }

    /// The file that a path leads to, through re-exports.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<usize> {
        let mut parts = path.iter().peekable();
        let mut module = from.clone();
        match parts.peek().map(|part| part.as_str()) {
            Some("crate") => {
                module.clear();
                parts.next();
            }
            Some("self") => {
                parts.next();
            }
            Some("super") => {}
            Some(first) => {
                let child = [from.as_slice(), &[first.to_owned()]].concat();
                if !self.by_module.contains_key(&child) {
                    return None;
                }
            }
            None => return None,
        }
        while parts.peek().is_some_and(|part| *part == "super") {
            module.pop();
            parts.next();
        }
        while let Some(part) = parts.peek() {
            let child = [module.as_slice(), &[(*part).clone()]].concat();
            if !self.by_module.contains_key(&child) {
                break;
            }
            module = child;
            parts.next();
        }
        let file = *self.by_module.get(&module)?;
        let Some(item) = parts.next() else {
            return Some(file);
        };
        if depth < 8 && self.files[file].is_facade() {
            for (exported, path) in self.files[file].imports() {
                let globbed = path.last().is_some_and(|last| last == "*");
                if exported && (path.last() == Some(item) || globbed) {
                    let target = self.resolve(&module, &path, depth + 1);
                    if target.is_some_and(|target| target != file) {
                        return target;
                    }
                }
            }
        }
        Some(file)
    }

    fn edges(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut edges: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (from, file) in self
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| !file.is_test())
        {
            for (exported, path) in file.imports() {
                if exported && file.is_facade() {
                    continue;
                }
                let to = self.resolve(&file.module, &path, 0);
                if let Some(to) = to.filter(|&to| to != from && !self.files[to].is_test()) {
                    edges.entry(from).or_default().insert(to);
                }
            }
        }
        edges
    }

    /// Groups of files that reach each other.
    fn circles(&self) -> Vec<BTreeSet<usize>> {
        let edges = self.edges();
        let reach = |start: usize| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
            while let Some(at) = next.pop() {
                for &to in edges.get(&at).into_iter().flatten() {
                    if seen.insert(to) {
                        next.push(to);
                    }
                }
            }
            seen
        };
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(reach).collect();
        let mut circles: Vec<BTreeSet<usize>> = Vec::new();
        for (n, seen) in reached
            .iter()
            .enumerate()
            .filter(|(n, seen)| seen.contains(n))
        {
            if circles.iter().all(|circle| !circle.contains(&n)) {
                let circle = seen.iter().filter(|other| reached[**other].contains(&n));
                circles.push(circle.copied().collect());
            }
        }
        circles
    }
}

#[test]
fn no_two_files_import_each_other() {
    let mut found = BTreeSet::new();
    for krate in CRATES {
        let graph = Graph::of(krate);
        for circle in graph.circles() {
            let names: Vec<String> = circle
                .iter()
                .map(|&n| graph.files[n].module.join("::"))
                .map(|name| {
                    if name.is_empty() {
                        "(root)".to_owned()
                    } else {
                        name
                    }
                })
                .collect();
            found.insert(format!("{krate}: {}", names.join(", ")));
        }
    }
    assert!(found.is_empty(), "files that import each other: {found:#?}");
}

#[test]
fn a_module_root_holds_declarations_and_re_exports_only() {
    let mut found = String::new();
    for krate in CRATES {
        for file in Graph::of(krate)
            .files
            .iter()
            .filter(|file| file.is_facade())
        {
            let item = file.code.lines().find(|line| {
                let line = line
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub ");
                [
                    "fn ",
                    "struct ",
                    "enum ",
                    "impl ",
                    "impl<",
                    "trait ",
                    "async fn ",
                    "const ",
                    "static ",
                    "type ",
                    "macro_rules!",
                ]
                .iter()
                .any(|start| line.starts_with(start))
            });
            if let Some(item) = item {
                let _ = writeln!(found, "{}: {item}", file.path.display());
            }
        }
    }
    assert!(found.is_empty(), "items in module roots:\n{found}");
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut found = String::new();
    for krate in CRATES {
        let graph = Graph::of(krate);
        for file in graph
            .files
            .iter()
            .filter(|file| file.lines > LINES && !file.is_test())
        {
            let _ = writeln!(found, "{}: {} lines", file.path.display(), file.lines);
        }
    }
    assert!(found.is_empty(), "split these:\n{found}");
}

/// Packages that the library for embedding must not depend on.
const NOT_IN_THE_LIBRARY: &[&str] = &[
    "annotate-snippets",
    "axum",
    "clap",
    "hyper",
    "indicatif",
    "tracing-subscriber",
    "waxseal-milter",
];

/// The names of all packages that one package depends on, by Cargo.lock: those
/// of all features, and of its tests. Versions of one package count as one.
fn dependencies(of: &str) -> BTreeSet<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let mut lines = package.lines();
        let name = lines.find_map(|line| line.strip_prefix("name = "));
        let name = name.expect("a name").trim_matches('"');
        let listed = lines.filter_map(|line| line.strip_prefix(" \""));
        let listed = listed.filter_map(|line| line.split([' ', '"']).next());
        graph.entry(name).or_default().extend(listed);
    }
    let (mut found, mut next) = (BTreeSet::new(), vec![of]);
    while let Some(name) = next.pop() {
        for &dependency in graph.get(name).into_iter().flatten() {
            if found.insert(dependency.to_owned()) {
                next.push(dependency);
            }
        }
    }
    found
}

#[test]
fn the_library_depends_on_no_command_line_and_no_server() {
    let library = dependencies("waxseal");
    assert!(library.contains("wasmtime"), "{library:?}");
    let daemon = dependencies("waxseal-daemon");
    for name in NOT_IN_THE_LIBRARY {
        assert!(!library.contains(*name), "waxseal depends on {name}");
        assert!(daemon.contains(*name), "nothing depends on {name}");
    }
}

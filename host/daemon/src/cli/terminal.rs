//! Terminal output of commands.
//!
//! Only a [`Text`], whose lines are sanitized, is printed. A test checks that nothing else in this crate
//! writes to standard output or standard error.

use std::io::{self, IsTerminal as _, Write};

use waxseal_core::printable::Text;

/// A text for standard output, with colors if it is a terminal.
pub(super) fn text() -> Text {
    Text::with_colors(has_colors(&io::stdout()))
}

/// Prints results on standard output. A closed pipe (`| head`) is not an error.
///
/// # Errors
///
/// When they cannot be written.
pub(super) fn print(text: &Text) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out
        .write_all(text.as_str().as_bytes())
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Whether standard error shows colors.
pub(super) fn errors_have_colors() -> bool {
    has_colors(&io::stderr())
}

/// Prints errors or progress on standard error. A write error is ignored: it cannot be reported.
pub(super) fn print_errors(text: &Text) {
    let _ = io::stderr().write_all(text.as_str().as_bytes());
}

/// Prints a line on standard error: [`print_errors`] with the arguments of `format!`.
macro_rules! error_line {
    ($($line:tt)*) => {{
        let mut text = waxseal_core::printable::Text::new();
        let _ = writeln!(text, $($line)*);
        $crate::cli::terminal::print_errors(&text);
    }};
}
pub(super) use error_line;

/// Target of progress bars: standard error if it is a terminal.
pub(super) fn progress(wanted: bool) -> indicatif::ProgressDrawTarget {
    match wanted && io::stderr().is_terminal() {
        true => indicatif::ProgressDrawTarget::stderr(),
        false => indicatif::ProgressDrawTarget::hidden(),
    }
}

fn has_colors(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Files that write to the standard streams, and why they may.
    const WRITERS: [(&str, &str); 5] = [
        ("daemon/src/cli/terminal.rs", "everything goes through it"),
        (
            "daemon/src/cli/compile.rs",
            "its output is read by the daemon",
        ),
        (
            "daemon/src/cli/support.rs",
            "passes standard error to the log",
        ),
        ("daemon/src/cli/run.rs", "passes standard error to the log"),
        (
            "system/src/secure_fs/root.rs",
            "reports which tests did not run",
        ),
    ];

    /// What writes to a standard stream.
    const WAYS: [&str; 5] = ["println!", "print!", "dbg!(", "io::stdout", "io::stderr"];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn l1_nothing_writes_to_the_terminal_but_the_module_for_it() {
        let root = &Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for entry in fs::read_dir(root).expect("the crates") {
            let folder = entry.expect("an entry").path().join("src");
            if folder.is_dir() {
                sources(&folder, &mut files);
            }
        }
        assert!(files.len() > 100, "the sources were found");
        for file in files
            .iter()
            .filter(|file| file.extension().is_some_and(|it| it == "rs"))
        {
            let name = file.strip_prefix(root).expect("below the root");
            let allowed = WRITERS.iter().any(|(writer, _)| Path::new(writer) == name);
            let text = fs::read_to_string(file).expect("read");
            for (at, line) in text.lines().enumerate().filter(|_| !allowed) {
                let code = line.trim_start();
                let way = WAYS.iter().find(|way| code.contains(**way));
                let comment = code.starts_with("//");
                assert!(
                    comment || way.is_none(),
                    "{}:{}: {line}: print a `Text` with `cli::terminal`",
                    name.display(),
                    at + 1
                );
            }
        }
        for (file, why) in WRITERS.iter().take(3) {
            let text = fs::read_to_string(root.join(file)).expect(why);
            assert!(
                WAYS.iter().any(|way| text.contains(way)),
                "{file} needs no exception"
            );
        }
    }
}

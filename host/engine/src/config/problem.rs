//! Problems of files that administrators write, and how they are shown.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use waxseal_core::printable::{folded, one_line};

/// A file and its text, kept to show where a problem stands.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path, as it was given.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

impl Source {
    /// A problem at some bytes of this file.
    pub fn problem(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: impl Into<String>,
        expected: Option<String>,
    ) -> Problem {
        let end = self.text.len();
        let span = span.start.min(end)..span.end.clamp(span.start.min(end), end);
        let (line, column) = waxseal_settings::line_and_column(&self.text, span.start);
        Problem {
            severity,
            file: self.path.clone(),
            line: Some(line),
            column: Some(column),
            message: message.into(),
            expected,
            code: ProblemCode::InvalidSetting,
            place: Some((self.text.clone(), span)),
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It works as meant, and there is a safer way.
    Advice,
    /// It works, but perhaps not as meant.
    Warning,
    /// It does not work.
    Error,
}

/// Kind of a problem: a stable identifier, also in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// A setting is invalid, at a place in the file.
    InvalidSetting,
    /// A file or folder cannot be used as a whole.
    InvalidFile,
    /// The policy signs for a domain that has no DKIM key. `dkim.generate`
    /// creates it.
    MissingDkimKey,
}

/// Something that an administrator has to mend: what, where, and what was
/// expected.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; none where the problem is about the file as a whole.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What was expected.
    pub expected: Option<String>,
    /// What kind of problem it is, for code that reacts to it.
    pub code: ProblemCode,
    #[serde(skip)]
    place: Option<(Arc<str>, Range<usize>)>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub fn of_file(
        file: impl Into<PathBuf>,
        message: impl Into<String>,
        expected: Option<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            column: None,
            message: message.into(),
            expected,
            code: ProblemCode::InvalidFile,
            place: None,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.expected {
            Some(expected) => write!(f, "; expected: {expected}"),
            None => Ok(()),
        }
    }
}

/// Problems for people: each with the line it stands on.
pub fn render(problems: &[Problem], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| show(&renderer, problem))
        .collect();
    shown.join("\n\n")
}

fn show(renderer: &Renderer, problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Advice => Level::NOTE,
    };
    // Words of a policy, or of a library that lays its own out over lines, may be in any of these.
    let path = one_line(&problem.file.display().to_string()).into_owned();
    let message = folded(&problem.message);
    let expected = problem.expected.as_deref().map(folded);
    let Some((text, span)) = &problem.place else {
        let title = format!("{path}: {message}");
        let mut group = level
            .primary_title(title.as_str())
            .elements(std::iter::empty::<annotate_snippets::Element<'_>>());
        if let Some(expected) = &expected {
            group = group.element(Level::HELP.message(expected.as_str()));
        }
        return renderer.render(&[group]);
    };
    let label = expected.map(|expected| format!("expected: {expected}"));
    let mut annotation = AnnotationKind::Primary.span(first_line(text, span));
    if let Some(label) = &label {
        annotation = annotation.label(label.as_str());
    }
    let snippet = Snippet::source(&**text)
        .path(path.as_str())
        .annotation(annotation);
    renderer.render(&[level.primary_title(message.as_str()).element(snippet)])
}

/// A span of many lines (a whole table) is shown by its first.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let slice = text.get(span.clone()).unwrap_or("");
    let length = slice.find('\n').unwrap_or(slice.len());
    span.start..span.start + length
}

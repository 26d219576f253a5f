//! Output format of problems: message, file, and the line with a mark below it.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use waxseal::config::{Problem, Severity};
use waxseal_core::printable::{folded, one_line};

/// Formats problems, each with its line.
pub fn render(problems: &[Problem], colors: bool) -> String {
    let renderer = if colors {
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
    let Some((text, span)) = problem.place() else {
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
    let mut annotation = AnnotationKind::Primary.span(first_line(text, &span));
    if let Some(label) = &label {
        annotation = annotation.label(label.as_str());
    }
    let snippet = Snippet::source(text)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use waxseal::config::{ConfigError, read_text};

    #[test]
    fn problems_are_shown_with_their_line() {
        let Err(ConfigError::Problems(problems)) = read_text(Path::new("w.toml"), "hostname = 3\n")
        else {
            panic!("read");
        };
        let shown = render(&problems, false);
        assert!(shown.contains("w.toml:1:12"), "{shown}");
        assert!(shown.contains("hostname = 3"), "{shown}");
        assert!(shown.contains("a text in quotes"), "{shown}");
    }
}

//! Positions for disclaimers in HTML.
//!
//! A tokenizer reads the document, so that a `</body>` in a comment, a conditional comment, a script or a style
//! sheet is not mistaken for the real one.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Emitter, ForwardingEmitter, Span, Tokenizer};

use crate::decision::Placement;
use crate::work::Progress;

/// Elements whose content is not displayed as text and contains no elements.
const HIDDEN: [&[u8]; 6] = [
    b"script",
    b"style",
    b"textarea",
    b"title",
    b"xmp",
    b"iframe",
];

/// Class names and ids with which mail programs mark quoted text.
const QUOTE_MARKS: [&[u8]; 8] = [
    b"gmail_quote",
    b"moz-cite-prefix",
    b"yahoo_quoted",
    b"protonmail_quote",
    b"appendonsend",
    b"divRplyFwdMsg",
    b"mail-editor-reference-message-container",
    b"OLK_SRC_BODY_SECTION",
];

/// Positions that the tokenizer found in a document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Positions {
    /// After the first `<body …>`.
    body_open: Option<usize>,
    /// Before the last `</body>`.
    body_close: Option<usize>,
    /// Before the last `</html>`.
    html_close: Option<usize>,
    /// Before the first element that quotes a message.
    quote: Option<usize>,
    /// The open element whose content is not displayed.
    hidden: Option<Vec<u8>>,
    /// After the last complete token.
    end: usize,
    /// The last comment.
    comment: std::ops::Range<usize>,
    tag: usize,
    in_body_tag: bool,
    in_quoting_tag: bool,
    attribute: Vec<u8>,
}

/// A tokenized document, with the positions for all placements.
pub(super) struct Document<'a> {
    html: &'a [u8],
    positions: Positions,
}

impl<'a> Document<'a> {
    /// Reads a document. `html` is a [`View`](crate::message::View), in which ASCII bytes are ASCII characters.
    pub(super) fn read(html: &'a [u8]) -> Self {
        Self {
            html,
            positions: read(html),
        }
    }

    /// Offset for a disclaimer; `None` if it would not be displayed.
    pub(super) fn place(&self, placement: Placement) -> Option<usize> {
        let Self { html, positions } = self;
        let bottom = || {
            let close = positions.body_close.or(positions.html_close);
            let seen = positions.hidden.is_none() && positions.end == html.len();
            close.or_else(|| seen.then_some(html.len()))
        };
        match placement {
            Placement::Top => positions
                .body_open
                .or_else(|| fragment(html).then_some(0))
                .or_else(bottom),
            Placement::AboveQuote => positions.quote.or_else(bottom),
            Placement::Bottom => bottom(),
        }
    }
}

/// Whether a document without `<body>` also lacks the elements that precede one.
fn fragment(html: &[u8]) -> bool {
    let begin = &html[..html.len().min(1024)];
    let begin = begin.to_ascii_lowercase();
    let parts: [&[u8]; 3] = [b"<!doctype", b"<html", b"<head"];
    !parts
        .iter()
        .any(|part| memchr::memmem::find(&begin, part).is_some())
}

fn read(html: &[u8]) -> Positions {
    let mut positions = Positions::default();
    let mut progress = Progress::over(html.len());
    let callback = |event: CallbackEvent<'_>, span: Span<usize>| -> Option<Infallible> {
        progress.at(span.start);
        positions.on_event(&event, span);
        None
    };
    let mut emitter: CallbackEmitter<_, Infallible, usize> = CallbackEmitter::new(callback);
    emitter.naively_switch_states(true);
    // Reading a byte slice cannot fail.
    let Ok(()) = Tokenizer::new_with_emitter(html, WithoutErrors(emitter)).finish();
    positions.check(html);
    positions
}

/// An emitter that does not report parse errors: reporting them makes inserting a disclaimer take half as long
/// again.
struct WithoutErrors<E>(E);

impl<E: Emitter> ForwardingEmitter for WithoutErrors<E> {
    type Token = E::Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = E::Token> {
        &mut self.0
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }
}

impl Positions {
    fn on_event(&mut self, event: &CallbackEvent<'_>, span: Span<usize>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = span.start;
                self.in_body_tag = *name == b"body";
                self.in_quoting_tag = false;
                self.hidden = HIDDEN.contains(name).then(|| name.to_vec());
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute.clear();
                self.attribute.extend_from_slice(name);
            }
            CallbackEvent::AttributeValue { value } => {
                self.in_quoting_tag |= quotes(&self.attribute, value)
            }
            CallbackEvent::CloseStartTag { .. } => {
                if self.in_body_tag && self.body_open.is_none() {
                    self.body_open = Some(span.end);
                }
                if self.in_quoting_tag && self.quote.is_none() {
                    self.quote = Some(self.tag);
                }
                self.end = span.end;
            }
            CallbackEvent::EndTag { name } => {
                self.hidden = None;
                match *name {
                    b"body" => self.body_close = Some(span.start),
                    b"html" => self.html_close = Some(span.start),
                    _ => {}
                }
                self.end = span.end;
            }
            CallbackEvent::String { .. } => self.end = span.end,
            CallbackEvent::Comment { .. } => {
                self.comment = span.start..span.end;
                self.end = span.end;
            }
            CallbackEvent::Doctype { .. } => self.end = span.end,
            CallbackEvent::Error(_) => {}
        }
    }

    /// Drops positions that are not where the tokenizer reported them.
    fn check(&mut self, html: &[u8]) {
        let comment = html.get(self.comment.clone()).unwrap_or_default();
        if self.comment.end == html.len() && !comment.is_empty() && !is_closed(comment) {
            self.hidden = Some(b"!--".to_vec());
        }
        let begins = |at: &usize, tag: &[u8]| {
            html.get(*at..*at + tag.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(tag))
        };
        self.body_close = self.body_close.filter(|at| begins(at, b"</body"));
        self.html_close = self.html_close.filter(|at| begins(at, b"</html"));
        self.quote = self.quote.filter(|at| begins(at, b"<"));
        self.body_open = self
            .body_open
            .filter(|&at| at > 0 && html.get(at - 1) == Some(&b'>'));
    }
}

/// Whether a comment is terminated, rather than extending to the end of the document. Bogus comments (`<!x`,
/// `<?x`) end at the first `>`.
fn is_closed(comment: &[u8]) -> bool {
    match comment.strip_prefix(b"<!--") {
        Some(inner) => comment.ends_with(b"-->") || inner.ends_with(b"--!>"),
        None => comment.ends_with(b">"),
    }
}

fn quotes(attribute: &[u8], value: &[u8]) -> bool {
    let marks = |part: &[u8]| QUOTE_MARKS.contains(&part);
    match attribute {
        b"class" | b"id" => value.split(u8::is_ascii_whitespace).any(marks),
        b"type" => value.eq_ignore_ascii_case(b"cite"),
        _ => false,
    }
}

/// The disclaimer as an HTML fragment with its own block: the given HTML, or the plain text with its line
/// breaks.
pub(super) fn fragment_of(html: Option<&str>, text: &str, marker: &str) -> String {
    let content = match html {
        Some(html) => html.replace("\r\n", "\n").replace('\n', "\r\n"),
        None => {
            let lines: Vec<String> = text.trim_end().lines().map(escape).collect();
            lines.join("<br>\r\n")
        }
    };
    format!("\r\n<div class=\"{marker}\" style=\"clear:both\">{content}</div>\r\n")
}

fn escape(line: &str) -> String {
    line.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(html: &str, placement: Placement) -> Option<String> {
        let mut made = html.to_owned();
        made.insert(Document::read(html.as_bytes()).place(placement)?, '*');
        Some(made)
    }

    #[test]
    fn the_position_is_the_last_real_body_end() {
        for (html, expected) in [
            ("<p>a</p>", "<p>a</p>*"),
            ("a", "a*"),
            ("", "*"),
            (
                "<html><body>a</body></html>\r\n",
                "<html><body>a*</body></html>\r\n",
            ),
            ("<BODY>\r\né</BODY >\r\n", "<BODY>\r\né*</BODY >\r\n"),
            ("<html>a</html>", "<html>a*</html>"),
            (
                "<body>a<!-- </body> --></body>",
                "<body>a<!-- </body> -->*</body>",
            ),
            (
                "<body>a</body><!-- </body> -->",
                "<body>a*</body><!-- </body> -->",
            ),
            (
                "<body>a<!--[if mso]></body><![endif]-->b",
                "<body>a<!--[if mso]></body><![endif]-->b*",
            ),
            (
                "<body><script>'</body>'</script>a</body>",
                "<body><script>'</body>'</script>a*</body>",
            ),
            (
                "<style>/* </body> */</style>a",
                "<style>/* </body> */</style>a*",
            ),
            (
                "<textarea></body></textarea>",
                "<textarea></body></textarea>*",
            ),
            (
                "<body>a</body><body>b</body>",
                "<body>a</body><body>b*</body>",
            ),
            ("a<!---->", "a<!---->*"),
            ("a<!-->", "a<!-->*"),
            ("a<!--x--!>", "a<!--x--!>*"),
            ("a<!x>", "a<!x>*"),
            ("<a title='</body>'>x</a>", "<a title='</body>'>x</a>*"),
            ("a &amp; b &unknown &#1234", "a &amp; b &unknown &#1234*"),
        ] {
            assert_eq!(with(html, Placement::Bottom).as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_end_that_is_not_displayed_has_no_position() {
        for html in [
            "a<!-- open",
            "a<!-- open >",
            "a<!--",
            "a<!--!>",
            "a<!x",
            "a<?x",
            "a<style>x",
            "<script>",
            "<title>x",
            "a<b",
            "a<b x='",
        ] {
            assert_eq!(with(html, Placement::Bottom), None, "{html}");
        }
    }

    #[test]
    fn top_is_after_the_body_tag_and_a_quote_is_found_by_its_mark() {
        assert_eq!(
            with("<html><body class=\"x\">a", Placement::Top).as_deref(),
            Some("<html><body class=\"x\">*a")
        );
        assert_eq!(with("<p>a", Placement::Top).as_deref(), Some("*<p>a"));
        for quote in [
            "<div class=\"x gmail_quote\">",
            "<blockquote type=\"cite\">",
            "<div id=\"divRplyFwdMsg\">",
            "<DIV CLASS=moz-cite-prefix>",
        ] {
            let html = format!("<body>\r\nyes\r\n{quote}\r\nold</div></body>");
            let expected = format!("<body>\r\nyes\r\n*{quote}\r\nold</div></body>");
            assert_eq!(with(&html, Placement::AboveQuote), Some(expected));
        }
        assert_eq!(
            with("<body>a</body>", Placement::AboveQuote).as_deref(),
            Some("<body>a*</body>")
        );
    }
}

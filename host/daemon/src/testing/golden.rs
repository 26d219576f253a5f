//! Golden files: complete expected messages.
//!
//! Messages are compared and stored in a normalized form: line feeds, and our own
//! signatures reduced to their domain, because keys differ between machines.

use std::io;
use std::path::{Path, PathBuf};

use super::diff::unified;
use super::failure::Failure;
use super::observed::Observed;
use super::suite::Case;
use waxseal::pipeline::Outcome;
use waxseal_core::message::Content;
use waxseal_system::input_file;

/// Comparison of the message of a case with its golden file.
#[derive(Clone, Debug)]
pub(super) struct Golden {
    pub(super) path: PathBuf,
    pub(super) actual: Vec<u8>,
    pub(super) state: State,
    pub(super) line: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Same,
    Missing,
    Unreadable(String),
    Differs { diff: String },
}

/// Compares the message of a case with its golden file, if it has one.
pub(super) fn compare(case: &Case, observed: &Observed) -> Option<Golden> {
    let path = case.golden.clone()?;
    let ours = observed
        .outcome
        .as_ref()
        .and_then(Outcome::delivery)
        .map_or(0, |delivery| delivery.signatures.len());
    let actual = kept_form(&observed.content, ours);
    let state = match input_file::read(&path, input_file::MESSAGE) {
        Ok(expected) if without_cr(&expected) == actual => State::Same,
        Ok(expected) => State::Differs {
            diff: diff(&path, &without_cr(&expected), &actual),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::Missing,
        Err(error) => State::Unreadable(error.to_string()),
    };
    let golden = case.expected.golden.as_ref();
    Some(Golden {
        path,
        actual,
        state,
        line: golden.map(|golden| case.line(&golden.span)),
    })
}

impl Golden {
    /// The failure, if the message differs.
    pub(super) fn failure(&self) -> Option<Failure> {
        let path = self.path.display();
        let failure = |actual: String| {
            Failure::new("message", &format!("the message in {path}"), actual)
                .at(self.line)
                .golden()
        };
        match &self.state {
            State::Same => None,
            State::Missing => Some(
                failure("file not found".to_owned())
                    .note("create it with `waxseal test --bless`".to_owned()),
            ),
            State::Unreadable(error) => Some(failure(format!("cannot read the file: {error}"))),
            State::Differs { diff } => {
                Some(failure("different message".to_owned()).diff(diff.clone()))
            }
        }
    }
}

fn without_cr(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            kept.push(byte);
        }
    }
    kept
}

/// The normalized message: line feeds, and the first `ours` signatures reduced to
/// one line per domain.
pub(super) fn kept_form(content: &Content, ours: usize) -> Vec<u8> {
    let mut left = ours;
    let mut domains: Vec<String> = Vec::new();
    let mut bytes = Vec::with_capacity(content.bytes().len());
    for field in content.fields() {
        let signature = content
            .name_of(field)
            .eq_ignore_ascii_case(b"DKIM-Signature");
        if !signature || left == 0 {
            bytes.extend_from_slice(&content.bytes()[field.whole()]);
            continue;
        }
        left -= 1;
        let domain = domain(content.value_of(field));
        if !domains.contains(&domain) {
            bytes.extend_from_slice(format!("DKIM-Signature: d={domain}; (ours)\r\n").as_bytes());
            domains.push(domain);
        }
    }
    let header_end = content.fields().last().map_or(0, |field| field.whole().end);
    bytes.extend_from_slice(&content.bytes()[header_end..]);
    without_cr(&bytes)
}

/// The `d=` of a signature.
fn domain(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let tags = value
        .split(';')
        .filter_map(|tag| tag.trim().split_once('='));
    tags.filter(|(name, _)| name.trim() == "d")
        .map(|(_, domain)| domain.trim().to_owned())
        .next()
        .unwrap_or_default()
}

fn diff(path: &Path, expected: &[u8], actual: &[u8]) -> String {
    let (expected, actual) = (
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(actual),
    );
    unified(&expected, &actual, &path.display().to_string())
}

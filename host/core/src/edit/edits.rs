//! Edits of a message as data, and their application to its bytes.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::message::{Address, Content, FieldName, ReversePath};
use crate::work;

/// One change of the header. Changes are applied in order, each to the result of those before it.
///
/// A `value` is everything after the colon: with its leading space, with folds as CRLF and white space, and
/// without the final line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Insert above all fields.
    Prepend {
        /// Field name.
        name: String,
        /// Raw value.
        value: Vec<u8>,
    },
    /// Append below all fields.
    Append {
        /// Field name.
        name: String,
        /// Raw value.
        value: Vec<u8>,
    },
    /// Replace the value of the `nth` field of that name, counted from 1.
    Replace {
        /// Field name, in any case.
        name: String,
        /// Which of the fields of that name, from 1.
        nth: usize,
        /// Raw value.
        value: Vec<u8>,
    },
    /// Remove the `nth` field of that name, counted from 1.
    Remove {
        /// Field name, in any case.
        name: String,
        /// Which of the fields of that name, from 1.
        nth: usize,
    },
}

/// A header field that is added and removed in one reply: Postfix evaluates it (`milter_header_checks`), and
/// it is never delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransientHeader {
    /// Field name.
    pub name: String,
    /// Value, as in [`HeaderEdit`], with its leading space.
    pub value: Vec<u8>,
}

/// All edits of a message, in the form that the milter protocol can express.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The new envelope sender.
    pub sender: Option<ReversePath>,
    /// Recipients that get a blind copy.
    pub add_recipients: Vec<Address>,
    /// Changes of the header, in order.
    pub headers: Vec<HeaderEdit>,
    /// The whole new body.
    pub body: Option<Vec<u8>>,
}

impl Edits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.sender.is_none()
            && self.add_recipients.is_empty()
            && self.headers.is_empty()
            && self.body.is_none()
    }

    /// The edited message as bytes; those of `content` itself if neither header nor body changes.
    pub fn applied<'a>(&self, content: &'a Content) -> Cow<'a, [u8]> {
        let header_end = content.fields().last().map_or(0, |field| field.whole().end);
        let whole = header_end < content.body_offset();
        if whole && self.headers.is_empty() && self.body.is_none() {
            return Cow::Borrowed(content.bytes());
        }
        Cow::Owned(self.apply(content))
    }

    /// The edited message as bytes. Fields that no edit names, and an unedited body, are copied unchanged.
    pub fn apply(&self, content: &Content) -> Vec<u8> {
        let _stage = work::stage("applying edits");
        let fields = Fields::edited(content, &self.headers);
        let header_end = content.fields().last().map_or(0, |field| field.whole().end);
        let body = self.body.as_deref().unwrap_or(content.body());
        let mut bytes = Vec::with_capacity(content.bytes().len() + body.len() / 8 + 1024);
        work::spend(body.len());
        for field in fields.output() {
            field.write(&mut bytes);
        }
        match &content.bytes()[header_end..content.body_offset()] {
            // A header without its empty line gets one; otherwise appended fields would become part of the body.
            [] => bytes.extend_from_slice(b"\r\n"),
            separator => bytes.extend_from_slice(separator),
        }
        bytes.extend_from_slice(body);
        bytes
    }
}

enum OutputField<'a> {
    Original(&'a [u8]),
    New { name: &'a str, value: &'a [u8] },
}

impl OutputField<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Original(field) => {
                work::spend(field.len());
                bytes.extend_from_slice(field);
                if !field.ends_with(b"\n") {
                    bytes.extend_from_slice(b"\r\n");
                }
            }
            Self::New { name, value } => {
                work::spend(value.len());
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(b':');
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// A header to which edits are applied. The positions of all fields that edits refer to are indexed once, so
/// that no edit searches the fields.
struct Fields<'a> {
    /// Prepended fields, the topmost last.
    above: Vec<Option<OutputField<'a>>>,
    /// The message's own fields, and appended ones.
    below: Vec<Option<OutputField<'a>>>,
    /// Positions of the fields of each name, in order.
    named: HashMap<FieldName<'a>, VecDeque<Place>>,
}

/// Index of a field in one of the lists of [`Fields`].
#[derive(Clone, Copy)]
enum Place {
    Above(usize),
    Below(usize),
}

impl<'a> Fields<'a> {
    fn edited(content: &'a Content, edits: &'a [HeaderEdit]) -> Self {
        let referred = edits.iter().filter_map(|edit| match edit {
            HeaderEdit::Replace { name, .. } | HeaderEdit::Remove { name, .. } => {
                Some((FieldName(name.as_bytes()), VecDeque::new()))
            }
            HeaderEdit::Prepend { .. } | HeaderEdit::Append { .. } => None,
        });
        let mut fields = Self {
            above: Vec::new(),
            below: Vec::with_capacity(content.fields().len() + edits.len().min(64)),
            named: referred.collect(),
        };
        for field in content.fields() {
            work::spend(1);
            let whole = &content.bytes()[field.whole()];
            fields.append(content.name_of(field), OutputField::Original(whole));
        }
        for edit in edits {
            work::spend(1);
            fields.apply(edit);
        }
        fields
    }

    fn apply(&mut self, edit: &'a HeaderEdit) {
        match edit {
            HeaderEdit::Prepend { name, value } => {
                let place = Place::Above(self.above.len());
                if let Some(named) = self.named_mut(name.as_bytes()) {
                    named.push_front(place);
                }
                self.above.push(Some(OutputField::New { name, value }));
            }
            HeaderEdit::Append { name, value } => {
                self.append(name.as_bytes(), OutputField::New { name, value });
            }
            HeaderEdit::Replace { name, nth, value } => {
                let named = self.named_mut(name.as_bytes());
                let index = nth.checked_sub(1);
                let place = named
                    .zip(index)
                    .and_then(|(named, index)| named.get(index).copied());
                self.put(place, Some(OutputField::New { name, value }));
            }
            HeaderEdit::Remove { name, nth } => {
                let named = self.named_mut(name.as_bytes());
                let index = nth.checked_sub(1);
                let place = named
                    .zip(index)
                    .and_then(|(named, index)| named.remove(index));
                self.put(place, None);
            }
        }
    }

    fn named_mut(&mut self, name: &'a [u8]) -> Option<&mut VecDeque<Place>> {
        // Most edits do not refer to existing fields.
        (!self.named.is_empty()).then(|| self.named.get_mut(&FieldName(name)))?
    }

    fn append(&mut self, name: &'a [u8], field: OutputField<'a>) {
        let place = Place::Below(self.below.len());
        if let Some(named) = self.named_mut(name) {
            named.push_back(place);
        }
        self.below.push(Some(field));
    }

    /// Sets a field. Without a place there is no such field, and nothing changes.
    fn put(&mut self, place: Option<Place>, field: Option<OutputField<'a>>) {
        match place {
            Some(Place::Above(at)) => self.above[at] = field,
            Some(Place::Below(at)) => self.below[at] = field,
            None => {}
        }
    }

    /// The resulting fields, in order.
    fn output(&self) -> impl Iterator<Item = &OutputField<'a>> {
        self.above.iter().rev().chain(&self.below).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"A: 1\r\nB: 2\r\n x\r\na: 3\r\n\r\nBody\r\n";

    fn edited(headers: Vec<HeaderEdit>, body: Option<&[u8]>) -> String {
        let edits = Edits {
            headers,
            body: body.map(<[u8]>::to_vec),
            ..Edits::default()
        };
        String::from_utf8(edits.apply(&Content::new(MESSAGE.to_vec()))).expect("ASCII")
    }

    #[test]
    fn no_edit_changes_no_byte() {
        for message in [MESSAGE, b"A: 1\nB:2\n\nBody", b"A : 1\r\n\r\n"] {
            let content = Content::new(message.to_vec());
            assert_eq!(Edits::default().apply(&content), message);
            let applied = Edits::default().applied(&content);
            assert!(matches!(applied, Cow::Borrowed(bytes) if bytes == message));
        }
    }

    #[test]
    fn a_header_without_its_empty_line_gets_one_either_way() {
        let content = Content::new(b"A: 1\r\nno field\r\n".to_vec());
        assert_eq!(
            Edits::default().apply(&content),
            b"A: 1\r\n\r\nno field\r\n"
        );
        assert_eq!(
            *Edits::default().applied(&content),
            Edits::default().apply(&content)
        );
    }

    #[test]
    fn each_edit_applies_to_the_header_that_those_before_it_left() {
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let prepend = |name: &str, value: &str| {
            let (name, value) = field(name, value);
            HeaderEdit::Prepend { name, value }
        };
        let replace = |name: &str, nth, value: &str| {
            let (name, value) = field(name, value);
            HeaderEdit::Replace { name, nth, value }
        };
        let remove = |name: &str, nth| HeaderEdit::Remove {
            name: name.to_owned(),
            nth,
        };
        let (name, value) = field("a", " end");
        let edits = vec![
            prepend("a", " above"),
            prepend("A", " top"),
            HeaderEdit::Append { name, value },
            remove("A", 3),
            replace("a", 2, " second"),
            remove("A", 1),
            replace("A", 3, " last"),
            remove("A", 0),
            remove("A", 4),
            remove("none", 1),
        ];
        let made = edited(edits, None);
        assert_eq!(
            made,
            "a: second\r\nB: 2\r\n x\r\na: 3\r\nA: last\r\n\r\nBody\r\n"
        );
    }

    #[test]
    fn fields_are_counted_by_name_from_one() {
        let name = || "A".to_owned();
        let made = edited(
            vec![
                HeaderEdit::Replace {
                    name: name(),
                    nth: 2,
                    value: b" three".to_vec(),
                },
                HeaderEdit::Remove {
                    name: name(),
                    nth: 1,
                },
                HeaderEdit::Remove {
                    name: name(),
                    nth: 9,
                },
                HeaderEdit::Prepend {
                    name: "Top".into(),
                    value: b" t".to_vec(),
                },
                HeaderEdit::Append {
                    name: "End".into(),
                    value: b" e".to_vec(),
                },
            ],
            Some(b"New\r\n"),
        );
        assert_eq!(
            made,
            "Top: t\r\nB: 2\r\n x\r\nA: three\r\nEnd: e\r\n\r\nNew\r\n"
        );
    }
}

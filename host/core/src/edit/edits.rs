//! Edits of a message, and the bytes they make of it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::message::{Address, Content, FieldName, ReversePath};
use crate::work;

/// One change of the header. They are applied in order, each to the header that
/// those before it left.
///
/// A `value` is everything behind the colon: its leading space included, folds
/// as CRLF and white space, no line end at its end.
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
    /// Give the `nth` field of that name, counted from 1, another value.
    Replace {
        /// Field name, in any case.
        name: String,
        /// Which of the fields of that name, from 1.
        nth: usize,
        /// Raw value.
        value: Vec<u8>,
    },
    /// Take out the `nth` field of that name, counted from 1.
    Remove {
        /// Field name, in any case.
        name: String,
        /// Which of the fields of that name, from 1.
        nth: usize,
    },
}

/// A header field that is added and taken out again in one reply: Postfix looks
/// at it (`milter_header_checks`), and it is never delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransientHeader {
    /// Field name.
    pub name: String,
    /// Value, as in [`HeaderEdit`]: leading space
    /// included.
    pub value: Vec<u8>,
}

/// All that is to be changed on a message, in the form that a milter can say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The new envelope sender.
    pub sender: Option<ReversePath>,
    /// Recipients that get a copy that the others do not see.
    pub add_recipients: Vec<Address>,
    /// Changes of the header, in order.
    pub headers: Vec<HeaderEdit>,
    /// The whole new body.
    pub body: Option<Vec<u8>>,
}

impl Edits {
    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.sender.is_none()
            && self.add_recipients.is_empty()
            && self.headers.is_empty()
            && self.body.is_none()
    }

    /// The message that comes out, as bytes: those of `content` itself where
    /// header and body stay as they are.
    pub fn applied<'a>(&self, content: &'a Content) -> Cow<'a, [u8]> {
        let header_end = content.fields().last().map_or(0, |field| field.whole().end);
        let whole = header_end < content.body_offset();
        if whole && self.headers.is_empty() && self.body.is_none() {
            return Cow::Borrowed(content.bytes());
        }
        Cow::Owned(self.apply(content))
    }

    /// The message that comes out, as bytes. Fields and bodies that no edit
    /// names are copied as they stand.
    pub fn apply(&self, content: &Content) -> Vec<u8> {
        let _stage = work::stage("applying edits");
        let fields = Fields::edited(content, &self.headers);
        let header_end = content.fields().last().map_or(0, |field| field.whole().end);
        let body = self.body.as_deref().unwrap_or(content.body());
        let mut bytes = Vec::with_capacity(content.bytes().len() + body.len() / 8 + 1024);
        work::spend(body.len());
        for field in fields.standing() {
            field.write(&mut bytes);
        }
        match &content.bytes()[header_end..content.body_offset()] {
            // A header that ended without its empty line gets one, or what was
            // appended would run into the body.
            [] => bytes.extend_from_slice(b"\r\n"),
            separator => bytes.extend_from_slice(separator),
        }
        bytes.extend_from_slice(body);
        bytes
    }
}

enum Out<'a> {
    Kept(&'a [u8]),
    Made { name: &'a str, value: &'a [u8] },
}

impl Out<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Kept(whole) => {
                work::spend(whole.len());
                bytes.extend_from_slice(whole);
                if !whole.ends_with(b"\n") {
                    bytes.extend_from_slice(b"\r\n");
                }
            }
            Self::Made { name, value } => {
                work::spend(value.len());
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(b':');
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// A header to which edits are applied. However many fields and edits there are,
/// no edit looks through the fields: those of each name that an edit may refer to
/// are listed once.
struct Fields<'a> {
    /// What was prepended, the topmost last.
    above: Vec<Option<Out<'a>>>,
    /// What the message came with, and what was appended.
    below: Vec<Option<Out<'a>>>,
    /// Where the fields of a name stand, in order.
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
            fields.append(content.name_of(field), Out::Kept(whole));
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
                self.above.push(Some(Out::Made { name, value }));
            }
            HeaderEdit::Append { name, value } => {
                self.append(name.as_bytes(), Out::Made { name, value });
            }
            HeaderEdit::Replace { name, nth, value } => {
                let named = self.named_mut(name.as_bytes());
                let index = nth.checked_sub(1);
                let place = named
                    .zip(index)
                    .and_then(|(named, index)| named.get(index).copied());
                self.put(place, Some(Out::Made { name, value }));
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
        // Most headers are edited without a look at what is there.
        (!self.named.is_empty()).then(|| self.named.get_mut(&FieldName(name)))?
    }

    fn append(&mut self, name: &'a [u8], field: Out<'a>) {
        let place = Place::Below(self.below.len());
        if let Some(named) = self.named_mut(name) {
            named.push_back(place);
        }
        self.below.push(Some(field));
    }

    /// Without a place there is no such field, and nothing changes.
    fn put(&mut self, place: Option<Place>, field: Option<Out<'a>>) {
        match place {
            Some(Place::Above(at)) => self.above[at] = field,
            Some(Place::Below(at)) => self.below[at] = field,
            None => {}
        }
    }

    /// The fields that come out, in order.
    fn standing(&self) -> impl Iterator<Item = &Out<'a>> {
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

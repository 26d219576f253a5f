//! Encoding of header edits that has the same effect in every MTA.
//!
//! Edits are a sequence, each applied to the result of the previous ones. MTAs count
//! fields by name from 1, with a difference: after a deletion, Postfix renumbers the
//! fields below, Sendmail does not. So the result of the sequence is computed first,
//! and its replies are ordered such that the numbering does not matter: transient
//! header fields, while the header is unchanged; new values, by original index;
//! deletions, from the last to the first; and then insertions, which have no index.
//!
//! Prepended fields are inserted at index 1: right below the MTA's own `Received`,
//! which milters do not see, and above all fields of the message.

use std::collections::{BTreeMap, VecDeque};

use super::error::{EncodeError, require};
use crate::codec::{Reply, actions};
use crate::header_names::HeaderNames;
use crate::negotiation::Negotiated;
use waxseal_core::edit::{HeaderEdit, TransientHeader};
use waxseal_core::message::NameCounts;
use waxseal_core::work;

/// Below the MTA's own `Received`.
const TOP: u32 = 1;

/// A field of the edited header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The `n`th original field of its name, from 1.
    Original(usize),
    /// One of `HeaderPlan::new_fields`.
    New(usize),
}

/// A field that the edits add.
struct NewField<'a> {
    name: &'a str,
    value: &'a [u8],
    above: bool,
    removed: bool,
}

/// A change of an original field.
struct FieldChange<'a> {
    name: &'a str,
    /// The new value; `None` deletes the field.
    value: Option<&'a [u8]>,
}

/// The result of a sequence of edits.
struct HeaderPlan<'a> {
    /// Number of original fields of each name.
    original: NameCounts<'a>,
    /// The fields of each name (in lower case) after the edits applied so far.
    current: BTreeMap<String, VecDeque<Slot>>,
    new_fields: Vec<NewField<'a>>,
    changes: BTreeMap<(String, usize), FieldChange<'a>>,
}

/// Appends the replies for transient header fields and edits.
pub(super) fn write(
    edits: &[HeaderEdit],
    transient_headers: &[TransientHeader],
    negotiated: &Negotiated,
    names: &HeaderNames,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let _stage = work::stage("encoding the reply");
    let mut writer = Writer { negotiated, out };
    for header in transient_headers {
        // It is appended below fields of that name in the message.
        let index = names.count_named(&header.name) + 1;
        writer.add(&header.name, &header.value)?;
        writer.change(&header.name, index, None)?;
    }
    if edits.is_empty() {
        return Ok(());
    }
    let mut plan = HeaderPlan::new(names);
    for edit in edits {
        plan.apply(edit);
    }
    for ((_, nth), change) in plan
        .changes
        .iter()
        .filter(|(_, change)| change.value.is_some())
    {
        writer.change(change.name, *nth, change.value)?;
    }
    for ((_, nth), change) in plan
        .changes
        .iter()
        .rev()
        .filter(|(_, change)| change.value.is_none())
    {
        writer.change(change.name, *nth, None)?;
    }
    // Each insertion is above the previous one, as in the edits.
    for made in plan
        .new_fields
        .iter()
        .filter(|made| made.above && !made.removed)
    {
        writer.insert(made.name, made.value)?;
    }
    for made in plan
        .new_fields
        .iter()
        .filter(|made| !made.above && !made.removed)
    {
        writer.add(made.name, made.value)?;
    }
    Ok(())
}

impl<'a> HeaderPlan<'a> {
    fn new(names: &'a HeaderNames) -> Self {
        Self {
            original: NameCounts::of(names.iter()),
            current: BTreeMap::new(),
            new_fields: Vec::new(),
            changes: BTreeMap::new(),
        }
    }

    fn apply(&mut self, edit: &'a HeaderEdit) {
        work::spend(1);
        match edit {
            HeaderEdit::Prepend { name, value } => self.make(name, value, true),
            HeaderEdit::Append { name, value } => self.make(name, value, false),
            HeaderEdit::Replace { name, nth, value } => self.change(name, *nth, Some(value)),
            HeaderEdit::Remove { name, nth } => self.change(name, *nth, None),
        }
    }

    fn make(&mut self, name: &'a str, value: &'a [u8], above: bool) {
        let slot = Slot::New(self.new_fields.len());
        self.new_fields.push(NewField {
            name,
            value,
            above,
            removed: false,
        });
        let current = self.current(name);
        if above {
            current.push_front(slot);
        } else {
            current.push_back(slot);
        }
    }

    fn change(&mut self, name: &'a str, nth: usize, value: Option<&'a [u8]>) {
        let current = self.current(name);
        let Some(at) = nth.checked_sub(1).filter(|&at| at < current.len()) else {
            // As in `Edits::apply`, a missing field is not changed. (MTAs would
            // append one.)
            return;
        };
        let slot = match value {
            Some(_) => current.get(at).copied(),
            None => current.remove(at),
        };
        let Some(slot) = slot else {
            return;
        };
        match (slot, value) {
            (Slot::Original(nth), value) => {
                self.changes.insert(
                    (name.to_ascii_lowercase(), nth),
                    FieldChange { name, value },
                );
            }
            (Slot::New(at), Some(value)) => {
                self.new_fields[at].name = name;
                self.new_fields[at].value = value;
            }
            (Slot::New(at), None) => self.new_fields[at].removed = true,
        }
    }

    fn current(&mut self, name: &str) -> &mut VecDeque<Slot> {
        let original = &self.original;
        self.current
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| (1..=original.get(name)).map(Slot::Original).collect())
    }
}

/// Encodes header replies with the negotiated options.
struct Writer<'a> {
    negotiated: &'a Negotiated,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        require(self.negotiated, actions::ADD_HEADERS, "add header fields")?;
        let value = self.value(value);
        let name = name.as_bytes();
        check(name, &value)?;
        Ok(Reply::AddHeader {
            name,
            value: &value,
        }
        .encode(self.out)?)
    }

    fn insert(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        require(
            self.negotiated,
            actions::ADD_HEADERS,
            "insert header fields",
        )?;
        let value = self.value(value);
        let name = name.as_bytes();
        check(name, &value)?;
        Ok(Reply::InsertHeader {
            index: TOP,
            name,
            value: &value,
        }
        .encode(self.out)?)
    }

    fn change(&mut self, name: &str, nth: usize, value: Option<&[u8]>) -> Result<(), EncodeError> {
        require(
            self.negotiated,
            actions::CHANGE_HEADERS,
            "change header fields",
        )?;
        let value = match value {
            None => Vec::new(),
            Some(value) => match self.value(value) {
                // An empty value would delete the field.
                empty if empty.is_empty() => b" ".to_vec(),
                value => value,
            },
        };
        let name = name.as_bytes();
        check(name, &value)?;
        let index = u32::try_from(nth).unwrap_or(u32::MAX);
        Ok(Reply::ChangeHeader {
            index,
            name,
            value: &value,
        }
        .encode(self.out)?)
    }

    /// Folds are encoded as LF: a CR would be part of the value. Without the
    /// leading-space option, the MTA adds one space.
    fn value(&self, value: &[u8]) -> Vec<u8> {
        work::spend(value.len());
        let value = match value.strip_prefix(b" ") {
            Some(rest) if !self.negotiated.leading_space() => rest,
            _ => value,
        };
        let mut lines = value.split(|&byte| byte == b'\n');
        let mut unfolded = Vec::with_capacity(value.len());
        if let Some(first) = lines.next() {
            unfolded.extend_from_slice(first);
        }
        for line in lines {
            if unfolded.ends_with(b"\r") {
                unfolded.pop();
            }
            unfolded.push(b'\n');
            unfolded.extend_from_slice(line);
        }
        unfolded
    }
}

fn check(name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
    if name.contains(&0) || value.contains(&0) {
        return Err(EncodeError::Nul("header field"));
    }
    Ok(())
}

//! Replies of a milter.

use thiserror::Error;

use super::OptNeg;

/// Most bytes of data in a reply (`MILTER_CHUNK_SIZE`). Sendmail rejects longer ones,
/// and a new body is split for every MTA.
pub const LARGEST_REPLY: usize = 65_535;

/// A reply longer than [`LARGEST_REPLY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a reply of {0} bytes exceeds the maximum of the milter protocol, {LARGEST_REPLY} bytes")]
pub struct ReplyTooLong(pub usize);

/// A reply. Strings are written unchanged: the caller ensures that they contain no
/// NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `O`: the selected options, and the macros requested for each stage.
    Negotiate(OptNeg, &'a [(u32, &'a str)]),
    /// `c`: continue.
    Continue,
    /// `a`: accept the message.
    Accept,
    /// `d`: accept the message and discard it.
    Discard,
    /// `t`: defer, with the MTA's own text.
    TemporaryFailure,
    /// `s`: send no more body chunks.
    Skip,
    /// `p`: progress; resets the MTA's timeout.
    Progress,
    /// `y`: this SMTP reply, with `%` doubled.
    Code(&'a [u8]),
    /// `h`: append a header field.
    AddHeader {
        /// Its name.
        name: &'a [u8],
        /// Its value, folds as LF.
        value: &'a [u8],
    },
    /// `i`: insert a header field.
    InsertHeader {
        /// Number of fields above it.
        index: u32,
        /// Its name.
        name: &'a [u8],
        /// Its value, folds as LF.
        value: &'a [u8],
    },
    /// `m`: change or delete a header field.
    ChangeHeader {
        /// Index among the fields of that name, from 1.
        index: u32,
        /// Its name.
        name: &'a [u8],
        /// Its value, folds as LF; empty deletes the field.
        value: &'a [u8],
    },
    /// `b`: a chunk of the new body.
    ReplaceBody(&'a [u8]),
    /// `e`: the new envelope sender, in angle brackets.
    ChangeFrom(&'a [u8]),
    /// `+`: an additional recipient, in angle brackets.
    AddRecipient(&'a [u8]),
    /// `2`: an additional recipient with ESMTP parameters.
    AddRecipientParameters(&'a [u8], &'a [u8]),
    /// `q`: put the message in the hold queue, with a reason.
    Quarantine(&'a [u8]),
}

impl Reply<'_> {
    /// Appends the frame to `out`.
    ///
    /// # Errors
    ///
    /// The reply has more than [`LARGEST_REPLY`] bytes; `out` is unchanged.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), ReplyTooLong> {
        match *self {
            Self::Negotiate(agreed, macros) => negotiate(agreed, macros, out),
            Self::Continue => frame(out, b'c', &[]),
            Self::Accept => frame(out, b'a', &[]),
            Self::Discard => frame(out, b'd', &[]),
            Self::TemporaryFailure => frame(out, b't', &[]),
            Self::Skip => frame(out, b's', &[]),
            Self::Progress => frame(out, b'p', &[]),
            Self::Code(text) => frame(out, b'y', &[text, b"\0"]),
            Self::AddHeader { name, value } => frame(out, b'h', &[name, b"\0", value, b"\0"]),
            Self::InsertHeader { index, name, value } => frame(
                out,
                b'i',
                &[&index.to_be_bytes(), name, b"\0", value, b"\0"],
            ),
            Self::ChangeHeader { index, name, value } => frame(
                out,
                b'm',
                &[&index.to_be_bytes(), name, b"\0", value, b"\0"],
            ),
            Self::ReplaceBody(data) => frame(out, b'b', &[data]),
            Self::ChangeFrom(address) => frame(out, b'e', &[address, b"\0"]),
            Self::AddRecipient(address) => frame(out, b'+', &[address, b"\0"]),
            Self::AddRecipientParameters(address, parameters) => {
                frame(out, b'2', &[address, b"\0", parameters, b"\0"])
            }
            Self::Quarantine(reason) => frame(out, b'q', &[reason, b"\0"]),
        }
    }

    /// Appends a frame whose length is within [`LARGEST_REPLY`] by construction: a
    /// reply without data, or whose data this crate generates.
    pub(crate) fn encode_short(&self, out: &mut Vec<u8>) {
        let encoded = self.encode(out);
        debug_assert_eq!(encoded, Ok(()));
    }
}

fn negotiate(
    agreed: OptNeg,
    macros: &[(u32, &str)],
    out: &mut Vec<u8>,
) -> Result<(), ReplyTooLong> {
    let mut lists = Vec::new();
    for (stage, names) in macros {
        lists.extend_from_slice(&stage.to_be_bytes());
        lists.extend_from_slice(names.as_bytes());
        lists.push(0);
    }
    let [version, actions, protocol_flags] =
        [agreed.version, agreed.actions, agreed.protocol_flags].map(u32::to_be_bytes);
    frame(out, b'O', &[&version, &actions, &protocol_flags, &lists])
}

fn frame(out: &mut Vec<u8>, name: u8, parts: &[&[u8]]) -> Result<(), ReplyTooLong> {
    let data: usize = parts.iter().map(|part| part.len()).sum();
    let length = match u32::try_from(data + 1) {
        Ok(length) if data <= LARGEST_REPLY => length,
        _ => return Err(ReplyTooLong(data)),
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.push(name);
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

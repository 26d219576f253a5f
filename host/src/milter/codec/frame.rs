//! Cutting a stream of bytes into frames.

use thiserror::Error;

/// Most bytes that a frame may announce.
///
/// The longest honest frame is a header field or a body chunk. Chunks have
/// 65,535 bytes; Postfix cuts header fields at `header_size_limit`, 102,400 by
/// default. Ten times that leaves room for whoever raised it, and bounds what a
/// peer that talks nonsense can make us hold.
pub const MAXIMUM_FRAME: usize = 1 << 20;

/// The command byte of a body chunk.
const BODY: u8 = b'B';

/// What the decoder keeps allocated between two frames.
const KEPT_CAPACITY: usize = 4096;

/// The stream cannot be cut into frames any more: there is no way to find the
/// next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A frame holds one byte at least, its command.
    #[error(
        "a frame announces no content at all; is the peer an MTA speaking the milter protocol?"
    )]
    Empty,
    /// More than [`MAXIMUM_FRAME`].
    #[error(
        "a frame announces {0} bytes, and {MAXIMUM_FRAME} are the most; is the peer an MTA speaking the milter protocol?"
    )]
    TooLong(usize),
}

/// A frame, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Any frame but a body chunk.
    Whole {
        /// Command byte.
        name: u8,
        /// What follows it.
        data: &'a [u8],
    },
    /// A piece of a body chunk: bodies pass through as they come, so that a
    /// chunk is never gathered first and copied afterwards.
    Body {
        /// Bytes of the body.
        data: &'a [u8],
        /// The chunk ends with this piece.
        last: bool,
    },
}

/// Cuts a stream into frames.
///
/// Frames that lie whole in the input are not copied; the head of one that does
/// not is kept until the rest comes.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    /// The frame in `pending` was handed out.
    taken: bool,
    /// Bytes of the current body chunk that are still to come; none outside a
    /// chunk.
    body: Option<usize>,
}

impl Decoder {
    /// Takes the next frame off the front of `input`; none when more bytes are
    /// needed, and then `input` is empty.
    ///
    /// # Errors
    ///
    /// The stream is lost after an error; the connection is to be closed.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'s>>, FrameError> {
        if self.taken {
            self.taken = false;
            self.pending.clear();
            self.pending.shrink_to(KEPT_CAPACITY);
        }
        if self.body.is_some() {
            return Ok(self.body_piece(input));
        }
        if self.pending.is_empty()
            && let [a, b, c, d, name, rest @ ..] = *input
        {
            let length = content_length([*a, *b, *c, *d])?;
            if *name == BODY {
                *input = rest;
                self.body = Some(length - 1);
                return Ok(self.body_piece(input));
            }
            if let Some((data, rest)) = rest.split_at_checked(length - 1) {
                *input = rest;
                return Ok(Some(Frame::Whole { name: *name, data }));
            }
        }
        self.gather(input)
    }

    /// Bytes held back for a frame that is not complete.
    pub fn held(&self) -> usize {
        self.pending.len()
    }

    fn body_piece<'i>(&mut self, input: &mut &'i [u8]) -> Option<Frame<'i>> {
        let left = self.body?;
        if input.is_empty() && left > 0 {
            return None;
        }
        let (data, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let left = left - data.len();
        self.body = (left > 0).then_some(left);
        Some(Frame::Body {
            data,
            last: left == 0,
        })
    }

    /// A frame that came in pieces.
    fn gather<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'s>>, FrameError> {
        if !self.fill(5, input) {
            return Ok(None);
        }
        let length = match self.pending[..] {
            [a, b, c, d, ..] => content_length([a, b, c, d])?,
            _ => return Ok(None),
        };
        if self.pending[4] == BODY {
            self.pending.clear();
            self.body = Some(length - 1);
            return Ok(self.body_piece(input));
        }
        if !self.fill(4 + length, input) {
            return Ok(None);
        }
        self.taken = true;
        Ok(Some(Frame::Whole {
            name: self.pending[4],
            data: &self.pending[5..],
        }))
    }

    /// Tops `pending` up to `wanted` bytes; true when it has them.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let missing = wanted.saturating_sub(self.pending.len());
        let (now, rest) = input.split_at(missing.min(input.len()));
        self.pending.extend_from_slice(now);
        *input = rest;
        self.pending.len() >= wanted
    }
}

fn content_length(bytes: [u8; 4]) -> Result<usize, FrameError> {
    let announced = u32::from_be_bytes(bytes);
    match usize::try_from(announced) {
        Ok(0) => Err(FrameError::Empty),
        Ok(length) if length <= MAXIMUM_FRAME => Ok(length),
        Ok(length) => Err(FrameError::TooLong(length)),
        Err(_) => Err(FrameError::TooLong(usize::MAX)),
    }
}

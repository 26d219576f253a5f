//! Decoding a stream of bytes into frames.

use thiserror::Error;

/// Largest accepted frame.
///
/// The longest valid frame is a header field or a body chunk. Chunks have 65,535
/// bytes; Postfix truncates header fields at `header_size_limit`, 102,400 by default.
/// Ten times that allows for a raised limit, and bounds the memory that an invalid
/// stream takes.
pub const MAXIMUM_FRAME: usize = 1 << 20;

/// The command byte of a body chunk.
const BODY: u8 = b'B';

/// Capacity that the decoder retains between frames.
const KEPT_CAPACITY: usize = 4096;

/// An invalid frame length. The next frame cannot be found: the stream is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Length 0: a frame has at least its command byte.
    #[error("invalid frame length 0; is the peer an MTA?")]
    Empty,
    /// More than [`MAXIMUM_FRAME`].
    #[error("invalid frame length {0}: the maximum is {MAXIMUM_FRAME} bytes; is the peer an MTA?")]
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
    /// A piece of a body chunk. Bodies are passed on as they are read, without being
    /// buffered first.
    Body {
        /// Bytes of the body.
        data: &'a [u8],
        /// The chunk ends with this piece.
        last: bool,
    },
}

/// Decodes a stream into frames.
///
/// A frame that is complete in the input is not copied; an incomplete one is buffered
/// until the rest is read.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    /// The frame in `pending` was returned.
    taken: bool,
    /// Remaining bytes of the current body chunk; `None` outside of a chunk.
    body: Option<usize>,
}

impl Decoder {
    /// Takes the next frame from the front of `input`. `None` if more bytes are
    /// needed; `input` is then empty.
    ///
    /// # Errors
    ///
    /// The frame length is invalid: the connection must be closed.
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

    /// Bytes buffered for an incomplete frame.
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

    /// Decodes a frame that is read in pieces.
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

    /// Fills `pending` up to `wanted` bytes; true when it has them.
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

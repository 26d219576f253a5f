//! Content of a message: DATA up to CRLF `.` CRLF (RFC 5321, 4.5.2).

use crate::reply::Reply;

/// First capacity of the buffer.
const FIRST: usize = 4096;

/// Largest step of growth, or an eighth of the message. The system moves large buffers without copying them; a
/// buffer that doubled could take twice the message.
const LARGEST_STEP: usize = 4 << 20;

/// What is done with CR and LF that are not parts of CRLF.
///
/// No MTA sends them in LMTP: Postfix turns bare LF into CRLF and bare CR into a
/// space when it receives a message. Some servers take them for line ends, so that
/// LF `.` LF would end a message there, and what follows would be commands of the
/// sender's choice (SMTP smuggling).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewlines {
    /// The message is rejected with 554 5.6.0 for each recipient.
    #[default]
    Reject,
    /// They are data like any other. An agent that passes the message on must handle
    /// them.
    Keep,
}

/// Place within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After CRLF, or at the beginning.
    Start,
    /// After a `.` at the start; the dot is not kept.
    Dot,
    /// After a `.` at the start and CR, which is not stored yet.
    DotCr,
    /// Anywhere else.
    Within,
    /// After CR.
    Cr,
}

/// Content as it arrives. There is one buffer: what it stores is already without
/// the dots that are added for transport.
#[derive(Debug)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    place: Place,
    limit: usize,
    bare_newlines: BareNewlines,
    /// Why the content is not stored any more.
    refused: Option<Reply>,
}

impl Content {
    pub(crate) fn new(limit: usize, bare_newlines: BareNewlines) -> Self {
        Self {
            bytes: Vec::new(),
            place: Place::Start,
            limit,
            bare_newlines,
            refused: None,
        }
    }

    /// Bytes of memory.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Discards what there is and what comes, in favor of a reply.
    pub(crate) fn refuse(&mut self, reply: Reply) {
        self.refused.get_or_insert(reply);
        self.bytes = Vec::new();
    }

    /// Ends the content: its bytes, or the reply that refuses them.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Reply> {
        match self.refused {
            Some(reply) => Err(reply),
            None => Ok(self.bytes),
        }
    }

    /// Takes bytes of `input`; true if the content is complete, in which case what
    /// follows it is left.
    pub(crate) fn receive(&mut self, input: &mut &[u8]) -> bool {
        while let Some((&byte, rest)) = input.split_first() {
            match self.place {
                Place::Within => {
                    let end = memchr::memchr2(b'\r', b'\n', input).unwrap_or(input.len());
                    self.store(&input[..end]);
                    *input = &input[end..];
                    let Some((&byte, rest)) = input.split_first() else {
                        return false;
                    };
                    *input = rest;
                    self.newline(byte);
                }
                Place::Start if byte == b'.' => {
                    self.place = Place::Dot;
                    *input = rest;
                }
                Place::Dot if byte == b'\r' => {
                    self.place = Place::DotCr;
                    *input = rest;
                }
                Place::DotCr if byte == b'\n' => {
                    *input = rest;
                    return true;
                }
                Place::DotCr => {
                    self.store(b"\r");
                    self.place = Place::Cr;
                }
                Place::Cr if byte == b'\n' => {
                    self.store(b"\n");
                    self.place = Place::Start;
                    *input = rest;
                }
                Place::Cr => {
                    self.bare_newline();
                    self.place = Place::Within;
                }
                Place::Start | Place::Dot => self.place = Place::Within,
            }
        }
        false
    }

    /// A CR or LF within a line.
    fn newline(&mut self, byte: u8) {
        self.store(&[byte]);
        if byte == b'\r' {
            self.place = Place::Cr;
        } else {
            self.bare_newline();
        }
    }

    fn bare_newline(&mut self) {
        if self.bare_newlines == BareNewlines::Reject {
            self.refuse(Reply::fixed(
                554,
                (5, 6, 0),
                "message has CR or LF outside of CRLF (RFC 5321, 2.3.8)",
            ));
        }
    }

    fn store(&mut self, bytes: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        let size = self.bytes.len() + bytes.len();
        if size > self.limit {
            return self.refuse(Reply::fixed(
                552,
                (5, 3, 4),
                "message exceeds the size limit",
            ));
        }
        if size > self.bytes.capacity() {
            let length = self.bytes.len();
            let most = LARGEST_STEP.max(length / 8);
            let step = length.clamp(FIRST, most).max(bytes.len());
            if self.bytes.try_reserve_exact(step).is_err() {
                return self.refuse(Reply::fixed(452, (4, 3, 1), "insufficient memory"));
            }
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content or the code that refuses it, and what follows.
    type Found = (Result<Vec<u8>, u16>, Vec<u8>);

    fn content(stream: &[u8], keep: BareNewlines) -> Option<Found> {
        let mut content = Content::new(100, keep);
        let mut input = stream;
        if !content.receive(&mut input) {
            assert!(input.is_empty());
            return None;
        }
        let finished = content.finish().map_err(|reply| reply.code());
        Some((finished, input.to_vec()))
    }

    #[test]
    fn dots_are_removed_and_only_crlf_dot_crlf_ends() {
        for (stream, expected) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b".a\r\n.\r\n", b"a\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
            (b"a\0\xff \r\n.\r\n", b"a\0\xff \r\n"),
        ] {
            let found = content(stream, BareNewlines::Reject);
            assert_eq!(found, Some((Ok(expected.to_vec()), vec![])), "{stream:?}");
        }
        for stream in ["", ".", ".\r", "a\r\n.", "a\r\n", "a.\r\n"] {
            assert_eq!(content(stream.as_bytes(), BareNewlines::Reject), None);
        }
    }

    #[test]
    fn what_some_servers_take_for_the_end_does_not_end() {
        for (start, kept) in [
            (&b"a\n.\n"[..], &b"a\n.\n"[..]),
            (b"a\r.\r", b"a\r.\r"),
            (b"a\n.\r\n", b"a\n.\r\n"),
            (b"a\r.\r\n", b"a\r.\r\n"),
            (b"a\r\n.\n", b"a\r\n\n"),
            (b"a\r\n.\r", b"a\r\n\r"),
            (b"a\r\n.\r\r\n", b"a\r\n\r\r\n"),
            (b"a\r\r\n.\r\r\n", b"a\r\r\n\r\r\n"),
            (b"a\n\r\n..\n", b"a\n\r\n.\n"),
            (b"\n.\n", b"\n.\n"),
        ] {
            let stream = [start, b"MAIL FROM:<x>\r\n.\r\nrest"].concat();
            let expected = [kept, b"MAIL FROM:<x>\r\n"].concat();
            let found = content(&stream, BareNewlines::Keep);
            assert_eq!(found, Some((Ok(expected), b"rest".to_vec())), "{start:?}");
            let found = content(&stream, BareNewlines::Reject);
            assert_eq!(found, Some((Err(554), b"rest".to_vec())), "{start:?}");
        }
    }

    #[test]
    fn the_first_reason_to_refuse_counts_and_memory_is_released() {
        let mut content = Content::new(10, BareNewlines::Reject);
        content.receive(&mut &b"0123456789"[..]);
        assert!(content.held() > 0);
        content.receive(&mut &b"0"[..]);
        assert_eq!(content.held(), 0);
        assert!(content.receive(&mut &b"a\nb\r\n.\r\n"[..]));
        assert_eq!(content.finish().map_err(|reply| reply.code()), Err(552));
    }

    #[test]
    fn the_buffer_is_little_larger_than_the_message() {
        let mut content = Content::new(64 << 20, BareNewlines::Reject);
        let chunk = [b'x'; 32 << 10];
        for _ in 0..1024 {
            content.receive(&mut &chunk[..]);
        }
        assert!(content.held() <= (32 << 20) + 2 * LARGEST_STEP);
    }
}

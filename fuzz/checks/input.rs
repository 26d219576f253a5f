//! A fuzzer's input as options and a text.
//!
//! The first line has options, one byte each; missing ones are zero. The digit `0` is zero, so that people can read and write a
//! corpus. The rest is the text, in which pieces may be marked for repetition: a few bytes represent many, so that a small corpus
//! shows superlinear growth.

/// Start of a repeated piece. The next byte is the exponent: `n` is 2^n times.
const REPEAT: u8 = 1;
/// End of a repeated piece.
const END: u8 = 2;
/// In a repeated piece: the number of the repetition.
const NUMBER: u8 = 3;
/// Maximum number of repetitions, as a power of two.
const MOST: u8 = 14;
/// Maximum bytes of repetitions: enough to distinguish n² from n log n, and little enough to try some hundred in a second.
const LARGEST: usize = 1 << 15;

/// The options and the text.
pub(crate) struct Input<'a> {
    options: std::slice::Iter<'a, u8>,
    text: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        let end = data.iter().position(|&byte| byte == b'\n');
        let (options, text) = end.map_or((&b""[..], data), |end| (&data[..end], &data[end + 1..]));
        Self {
            options: options.iter(),
            text,
        }
    }

    /// The next option, below `choices`.
    pub(crate) fn option(&mut self, choices: u8) -> u8 {
        let byte = self
            .options
            .next()
            .map_or(0, |&byte| byte.wrapping_sub(b'0'));
        byte % choices
    }

    /// The next option, as a boolean.
    pub(crate) fn flag(&mut self) -> bool {
        self.option(2) == 1
    }

    /// The text with its repetitions expanded.
    pub(crate) fn text(&self) -> Vec<u8> {
        expand(self.text, LARGEST)
    }

    /// As [`Self::text`], for a text that costs more to read: settings, of which each entry is a value of its own.
    pub(crate) fn document(&self) -> String {
        let text = expand(self.text, LARGEST / 4);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The text split at its first empty line, with repetitions expanded.
    pub(crate) fn halves(&self) -> (Vec<u8>, Vec<u8>) {
        let cut = self.text.windows(2).position(|pair| pair == b"\n\n");
        cut.map_or((Vec::new(), self.text()), |at| {
            (
                expand(&self.text[..at], LARGEST),
                expand(&self.text[at + 2..], LARGEST),
            )
        })
    }
}

/// Expands repetitions.
fn expand(text: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == REPEAT) {
        out.extend_from_slice(&rest[..at]);
        let Some((&power, piece)) = rest[at + 1..].split_first() else {
            return out;
        };
        let end = piece.iter().position(|&byte| byte == END);
        let end = end.unwrap_or(piece.len());
        let times = 1_usize << (power.wrapping_sub(b'0') % (MOST + 1));
        repeat(&mut out, &piece[..end], times, most);
        rest = piece.get(end + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn repeat(out: &mut Vec<u8>, piece: &[u8], times: usize, most: usize) {
    for number in 0..times {
        if out.len() + piece.len() > most {
            return;
        }
        for &byte in piece {
            match byte {
                NUMBER => out.extend_from_slice(number.to_string().as_bytes()),
                byte => out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_first_and_are_zero_where_they_are_missing() {
        let mut input = Input::new(b"14\nA: b\n\nc");
        assert_eq!(
            (input.option(8), input.option(3), input.option(9)),
            (1, 1, 0)
        );
        assert_eq!(input.text(), b"A: b\n\nc");
        assert_eq!(input.halves(), (b"A: b".to_vec(), b"c".to_vec()));
        assert_eq!(Input::new(b"no options").text(), b"no options");
    }

    #[test]
    fn marked_pieces_are_repeated_and_numbered() {
        assert_eq!(expand(b"a\x012x\x03\x02b", LARGEST), b"ax0x1x2x3b");
        assert_eq!(expand(b"\x011ab", LARGEST), b"abab");
        assert_eq!(expand(b"a\x01", LARGEST), b"a");
    }

    #[test]
    fn repetitions_are_bounded() {
        let long = [&b"\x01>"[..], &[b'x'; 1000], b"\x02\x01>yy\x02"].concat();
        assert!(expand(&long, LARGEST).len() <= LARGEST + 1000);
    }
}

//! The marked block that Waxseal has in a Postfix configuration file.
//!
//! Everything outside the block is the administrator's and is never changed. The
//! block is at the end of the file: Postfix uses the last value of a parameter.

use thiserror::Error;

/// First line of the block.
const BEGIN: &str = "# BEGIN waxseal";

/// Last line of the block.
const END: &str = "# END waxseal";

/// What the first line says beyond the mark.
const NOTICE: &str =
    ": written by `waxseal postfix --write`, removed by `waxseal postfix --undo`; do not edit";

/// A file whose marks do not enclose one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// A block does not end.
    #[error("line {0}: the block that begins here has no `{END}`")]
    Unclosed(usize),
    /// A block ends that did not begin.
    #[error("line {0}: `{END}` without `{BEGIN}` before it")]
    Unopened(usize),
    /// There is a second block.
    #[error("line {second}: a second block; the first one begins in line {first}")]
    Repeated {
        /// Line of the first block.
        first: usize,
        /// Line of the second one.
        second: usize,
    },
    /// The line after the block belongs to its last entry.
    #[error(
        "line {0}: begins with white space, so it continues the last entry of the block before it"
    )]
    Continued(usize),
}

/// The text of a file, split into the block and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    /// What the administrator wrote.
    pub(super) rest: String,
    /// Lines between the marks.
    pub(super) block: Option<Block>,
}

/// The block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Line of its first mark.
    pub(super) line: usize,
    /// Lines between the marks.
    pub(super) text: String,
}

impl File {
    /// Splits the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, BlockError> {
        let mut file = Self::default();
        let mut open = None;
        let mut after = None;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if line.starts_with(BEGIN) {
                let first = open.or(file.block.as_ref().map(|block| block.line));
                if let Some(first) = first {
                    return Err(BlockError::Repeated {
                        first,
                        second: number,
                    });
                }
                open = Some(number);
                file.block = Some(Block {
                    line: number,
                    text: String::new(),
                });
            } else if line.starts_with(END) {
                open.take().ok_or(BlockError::Unopened(number))?;
            } else {
                match (&mut file.block, open) {
                    (Some(block), Some(_)) => block.text.push_str(line),
                    (block, _) => {
                        if block.is_some() && after.is_none() && !is_comment(line) {
                            after = Some((number, line));
                        }
                        file.rest.push_str(line);
                    }
                }
            }
        }
        match (open, after) {
            (Some(line), _) => Err(BlockError::Unclosed(line)),
            (None, Some((number, line))) if line.starts_with([' ', '\t']) => {
                Err(BlockError::Continued(number))
            }
            (None, _) => Ok(file),
        }
    }

    /// The text of the file with these lines as its block; without a block if
    /// there are none.
    pub(super) fn with_block(&self, lines: &str) -> String {
        let mut text = self.rest.clone();
        if lines.is_empty() {
            return text;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{BEGIN}{NOTICE}\n{lines}{END}\n"));
        text
    }
}

/// Whether Postfix ignores a line.
fn is_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_write_replaces_the_block_and_undo_leaves_what_was_there() {
        let before = "a = 1\n\n# comment\nb = 2\n";
        let first = File::parse(before).expect("no block").with_block("c = 3\n");
        let file = File::parse(&first).expect("one block");
        assert_eq!(file.rest, before);
        assert_eq!(
            file.block.as_ref().map(|it| it.text.as_str()),
            Some("c = 3\n")
        );
        assert_eq!(file.block.as_ref().map(|it| it.line), Some(5));
        let second = file.with_block("c = 4\n");
        assert_eq!(File::parse(&second).expect("one block").rest, before);
        assert_eq!(second, first.replace("c = 3", "c = 4"));
    }

    #[test]
    fn what_was_added_behind_the_block_is_kept_before_it() {
        let text = File::default().with_block("c = 3\n") + "d = 4\n";
        let file = File::parse(&text).expect("one block");
        assert_eq!(file.rest, "d = 4\n");
        assert!(file.with_block("c = 3\n").starts_with("d = 4\n# BEGIN"));
    }

    #[test]
    fn damaged_marks_are_reported_with_their_lines() {
        let cases = [
            ("# BEGIN waxseal\na = 1\n", BlockError::Unclosed(1)),
            ("a = 1\n# END waxseal\n", BlockError::Unopened(2)),
            (
                "# BEGIN waxseal\n# BEGIN waxseal\n# END waxseal\n",
                BlockError::Repeated {
                    first: 1,
                    second: 2,
                },
            ),
            (
                "# BEGIN waxseal\n# END waxseal\n# BEGIN waxseal\n# END waxseal\n",
                BlockError::Repeated {
                    first: 1,
                    second: 3,
                },
            ),
            (
                "# BEGIN waxseal\na = 1\n# END waxseal\n\n  2\nb = 3\n",
                BlockError::Continued(5),
            ),
        ];
        for (text, error) in cases {
            assert_eq!(File::parse(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn undo_restores_any_file(lines in prop::collection::vec("[ -~]{0,20}", 0..20)) {
            let before: String = lines.iter().map(|line| format!("{line}\n")).collect();
            if let Ok(file) = File::parse(&before)
                && file.block.is_none()
            {
                let after = File::parse(&file.with_block("x = y\n")).expect("one block");
                prop_assert_eq!(after.rest, before);
            }
        }
    }
}

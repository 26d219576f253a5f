//! Reader of recordings, also of damaged ones.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::entry::{Entry, FORMAT};
use super::segment::{self, ENTRIES};
use crate::pipeline::digest_hex;
use waxseal_system::input_file;

/// Maximum length of a line, in bytes: a decision has at most a megabyte, and escapes multiply it by six in the worst
/// case.
const MAX_LINE: u64 = 16 << 20;

/// Why a part of a recording cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no recording.
    #[error("nothing is recorded in {}: it has neither segments nor a file decisions.jsonl", .0.display())]
    None(PathBuf),
    /// A file cannot be read.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// A line is not an entry.
    #[error("{}:{line}: {message}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error.
        message: String,
    },
}

/// An entry and its segment.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The entry.
    pub entry: Entry,
    /// The segment that contains it.
    pub segment: PathBuf,
}

/// Opens a recording: its folder, one of its segments, or a file of entries.
///
/// # Errors
///
/// If there is none.
pub fn read(path: &Path) -> Result<Reader, ReadError> {
    let failed = |error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let files = if !metadata.is_dir() {
        vec![path.to_owned()]
    } else if path.join(ENTRIES).exists() {
        vec![path.join(ENTRIES)]
    } else {
        let segments = segment::list(path).map_err(failed)?;
        segments
            .iter()
            .map(|segment| segment.join(ENTRIES))
            .collect()
    };
    if files.is_empty() {
        return Err(ReadError::None(path.to_owned()));
    }
    Ok(Reader {
        files: files.into_iter(),
        open: None,
    })
}

/// Entries in the order in which they were written. An unreadable entry is reported, and reading continues; an incomplete
/// last line of a segment is ignored.
#[derive(Debug)]
pub struct Reader {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    lines: BufReader<File>,
    line: usize,
    /// Whether the end was reached.
    failed: bool,
}

impl Iterator for Reader {
    type Item = Result<Recorded, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let path = self.files.next()?;
                    match input_file::open(&path, input_file::RECORDING) {
                        Ok(file) => self.open.insert(Open {
                            path,
                            lines: BufReader::new(file),
                            line: 0,
                            failed: false,
                        }),
                        // The oldest segments may be deleted while others are read.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Some(Err(ReadError::Io { path, error })),
                    }
                }
            };
            match open.next() {
                Some(item) => return Some(item),
                None => self.open = None,
            }
        }
    }
}

impl Open {
    fn next(&mut self) -> Option<Result<Recorded, ReadError>> {
        if self.failed {
            return None;
        }
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut self.lines, MAX_LINE);
        match limited.read_until(b'\n', &mut line) {
            // Without a line end it is incomplete, or still being written.
            Ok(_) if line.last() != Some(&b'\n') && (line.len() as u64) < MAX_LINE => None,
            Ok(_) => {
                self.line += 1;
                Some(self.parse(&line))
            }
            Err(error) => {
                self.failed = true;
                let path = self.path.clone();
                Some(Err(ReadError::Io { path, error }))
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Recorded, ReadError> {
        let wrong = |message: String| ReadError::Line {
            path: self.path.clone(),
            line: self.line,
            message,
        };
        let entry: Entry = serde_json::from_slice(line)
            .map_err(|error| wrong(format!("invalid entry: {error}")))?;
        if entry.format > FORMAT {
            let format = entry.format;
            return Err(wrong(format!(
                "unsupported format {format} of an entry: this version of waxseal supports up to {FORMAT}"
            )));
        }
        let segment = self.path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Recorded { entry, segment })
    }
}

/// A folder of messages, found by their digests, for recordings that store none.
#[derive(Debug, Default)]
pub struct Messages {
    elsewhere: HashMap<String, PathBuf>,
}

impl Messages {
    /// Reads all files of a folder, without subfolders.
    ///
    /// # Errors
    ///
    /// If the folder or a file in it cannot be read.
    pub fn in_folder(folder: &Path) -> Result<Self, ReadError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| ReadError::Io { path, error }
        };
        let mut elsewhere = HashMap::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.is_file() {
                let bytes = input_file::read(&path, input_file::MESSAGE).map_err(failed(&path))?;
                elsewhere.insert(digest_hex(&bytes), path);
            }
        }
        Ok(Self { elsewhere })
    }

    /// The bytes of a message; `None` if it is missing or damaged.
    pub fn find(&self, recorded: &Recorded) -> Option<Vec<u8>> {
        let digest = &recorded.entry.message.sha256;
        let stored = recorded.segment.join(segment::message_file(digest));
        let paths = [Some(&stored), self.elsewhere.get(digest)];
        paths.into_iter().flatten().find_map(|path| {
            let bytes = input_file::read(path, input_file::MESSAGE).ok()?;
            (digest_hex(&bytes) == *digest).then_some(bytes)
        })
    }
}

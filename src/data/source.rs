//! Bytes of a data file: opened, unpacked on the fly, and cut into lines in bounded memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Place, Result};

/// Bytes asked of the file at a time.
const BLOCK: usize = 1 << 18;

/// A file or standard input, unpacked, with a buffer that can be looked at before it is consumed.
pub(crate) struct Input {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    packing: Option<Packing>,
    buffer: Vec<u8>,
    /// Unconsumed bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    ended: bool,
    /// The current line is `buffer[line.0..line.1]`.
    line: (usize, usize),
    line_number: u64,
    line_limit: usize,
    max_memory: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    fn of_magic(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_ascii_lowercase();
        match extension.to_str()? {
            "gz" => Some(Self::Gzip),
            "xz" => Some(Self::Xz),
            "zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    fn unpack(
        self,
        packed: impl BufRead + Send + 'static,
    ) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(packed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        })
    }
}

/// The file name without a packing extension: `u.data.gz` gives `u.data`.
pub(crate) fn unpacked_name(path: &Path) -> PathBuf {
    match Packing::of_name(path) {
        Some(_) => path.with_extension(""),
        None => path.to_owned(),
    }
}

/// The SHA-256 of a file's bytes as unpacked, in hexadecimal: the same however it is packed.
///
/// # Errors
/// [`Error::Io`] where it cannot be read or unpacked.
pub fn content_sha256(path: &Path) -> Result<String> {
    let (mut bytes, _) = unpacked(path)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut bytes, &mut hasher).map_err(Error::io("read", path))?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// The bytes of `path` (`-`: standard input), unpacked by what they begin with, else by name.
fn unpacked(path: &Path) -> Result<(Box<dyn Read + Send>, Option<Packing>)> {
    let mut file: Box<dyn Read + Send> = if is_stdin(path) {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(Error::io("read", path))?)
    };
    let mut head = Vec::with_capacity(6);
    file.by_ref().take(6).read_to_end(&mut head).map_err(Error::io("read", path))?;
    let packing = Packing::of_magic(&head).or(Packing::of_name(path));
    let whole = Cursor::new(head).chain(file);
    let reader: Box<dyn Read + Send> = match packing {
        Some(packing) => packing
            .unpack(BufReader::with_capacity(BLOCK, whole))
            .map_err(Error::io("read", path))?,
        None => Box::new(whole),
    };
    Ok((reader, packing))
}

/// Whether the path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Input {
    /// Opens `path` (`-`: standard input); no line may be longer than a quarter of `max_memory`.
    pub(crate) fn open(path: &Path, max_memory: u64) -> Result<Self> {
        let (reader, packing) = unpacked(path)?;
        let mut input = Self {
            reader,
            path: path.to_owned(),
            packing,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            ended: false,
            line: (0, 0),
            line_number: 0,
            line_limit: usize::try_from(max_memory / 4).unwrap_or(usize::MAX),
            max_memory,
        };
        input.skip_mark()?;
        Ok(input)
    }

    /// The file, as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the bytes are unpacked on the way, so that the file's length tells nothing.
    pub(crate) fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// The bound on memory this input was opened with, in bytes.
    pub(crate) fn max_memory(&self) -> u64 {
        self.max_memory
    }

    /// A byte-order mark would otherwise become part of the first field.
    fn skip_mark(&mut self) -> Result<()> {
        let head = self.peek(3)?;
        if head.starts_with(b"\xef\xbb\xbf") {
            self.start += 3;
        } else if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            let place = Place::file(&self.path);
            return Err(Error::data(place, "expected UTF-8 text, found UTF-16; save it as UTF-8"));
        }
        Ok(())
    }

    /// Reads one more block behind the unconsumed bytes; false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < BLOCK {
            // Doubling keeps a long line linear in time.
            let grown = (self.buffer.len() * 2).max(self.end + BLOCK);
            self.buffer.resize(grown, 0);
        }
        let read = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = read.map_err(|e| self.broken(e))?;
        self.end += count;
        self.ended = count == 0;
        Ok(count > 0)
    }

    /// A fault of the packed stream is the data's; a fault of the disk is the system's.
    fn broken(&self, error: std::io::Error) -> Error {
        match self.packing {
            Some(packing) if error.raw_os_error().is_none() => Error::data(
                Place::file(&self.path),
                format!("the {} stream is truncated or damaged ({error})", packing.name()),
            ),
            _ => Error::io("read", &self.path)(error),
        }
    }

    /// Up to `count` unconsumed bytes, fewer only at the end of the file.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        while self.end - self.start < count && self.fill()? {}
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    /// Fills `out` as far as the file reaches; returns the bytes filled.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < out.len() {
            if self.start == self.end && !self.fill()? {
                break;
            }
            let count = (out.len() - done).min(self.end - self.start);
            out[done..done + count].copy_from_slice(&self.buffer[self.start..self.start + count]);
            self.start += count;
            done += count;
        }
        Ok(done)
    }

    /// Moves on to the next line; false at the end of the file.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start + searched..self.end];
            if let Some(length) = memchr::memchr(b'\n', unread) {
                return Ok(self.take_line(searched + length, 1));
            }
            searched += unread.len();
            if searched > self.line_limit {
                return Err(self.too_long());
            }
            if !self.fill()? {
                return Ok(searched > 0 && self.take_line(searched, 0));
            }
        }
    }

    fn take_line(&mut self, length: usize, terminator: usize) -> bool {
        let mut stop = self.start + length;
        self.line_number += 1;
        let begin = self.start;
        self.start = stop + terminator;
        if stop > begin && self.buffer[stop - 1] == b'\r' {
            stop -= 1;
        }
        self.line = (begin, stop);
        true
    }

    /// The error for a line, or a quoted field over several, that passes the bound.
    pub(crate) fn too_long(&self) -> Error {
        let place = Place::line(&self.path, self.line_number + 1);
        Error::data(
            place,
            format!(
                "the line is longer than {:.1} MB, a quarter of the memory allowed; raise \
                 --max-memory if it is meant to be",
                megabytes(self.line_limit as u64)
            ),
        )
    }

    /// The longest line allowed, in bytes.
    pub(crate) fn line_limit(&self) -> usize {
        self.line_limit
    }

    /// The current line without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.buffer[self.line.0..self.line.1]
    }

    /// The current line's number, from 1.
    pub(crate) fn line_number(&self) -> u64 {
        self.line_number
    }
}

/// Bytes as megabytes, for messages.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Fails when `bytes` of rows are more than `max_memory` allows.
#[inline]
pub(crate) fn check_memory(bytes: u64, max_memory: u64, path: &Path) -> Result<()> {
    if bytes <= max_memory { Ok(()) } else { Err(over_memory(max_memory, path)) }
}

#[cold]
fn over_memory(max_memory: u64, path: &Path) -> Error {
    Error::data(
        Place::file(path),
        format!(
            "the rows need more than the {:.1} MB of memory allowed; raise --max-memory",
            megabytes(max_memory)
        ),
    )
}

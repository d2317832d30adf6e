//! Bytes of a data file: opened, unpacked on the fly, and cut into lines in bounded memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use liblzma::stream::Stream;
use sha2::{Digest, Sha256};

use crate::error::{Error, Place, Result};

/// Bytes asked of the file at a time.
const BLOCK: usize = 1 << 18;

/// What unpacking may take in any case, in bytes: more than files packed with the usual flags ask for.
const UNPACKING: u64 = 16 << 20;

/// The largest power of two that a bound on zstd's window can be.
const ZSTD_LOG: u32 = 31;

/// A file or standard input, unpacked, with a buffer that can be looked at before it is consumed.
pub(crate) struct Input {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    packing: Option<Packing>,
    watch: Option<Watch>,
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

    /// The bytes that were packed. What the file asks to be kept of them, up to gigabytes, may take
    /// at most `max_memory`, or a little more where that is very small.
    fn unpack(
        self,
        packed: impl BufRead + Send + 'static,
        max_memory: u64,
    ) -> std::io::Result<Box<dyn Read + Send>> {
        let most = max_memory.max(UNPACKING);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Xz => {
                let stream = Stream::new_auto_decoder(most, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(most.ilog2().min(ZSTD_LOG))?;
                Box::new(decoder)
            }
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
    let (mut bytes, _, _) = unpacked(path, u64::MAX)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut bytes, &mut hasher).map_err(Error::io("read", path))?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// A file on the disk as it was when it was opened: it must not change before it is read.
struct Watch {
    file: File,
    length: u64,
    changed: Option<SystemTime>,
}

impl Watch {
    /// `None` for pipes and devices, which cannot be watched.
    fn of(file: &File) -> Option<Self> {
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (length, changed) = (meta.len(), meta.modified().ok());
        Some(Self { file: file.try_clone().ok()?, length, changed })
    }

    fn is_same(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| (now.len(), now.modified().ok()) == (self.length, self.changed))
    }
}

type Unpacked = (Box<dyn Read + Send>, Option<Packing>, Option<Watch>);

/// The bytes of `path` (`-`: standard input), unpacked by what they begin with, else by name.
fn unpacked(path: &Path, max_memory: u64) -> Result<Unpacked> {
    let mut watch = None;
    let mut file: Box<dyn Read + Send> = if is_stdin(path) {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path).map_err(Error::io("read", path))?;
        watch = Watch::of(&file);
        Box::new(file)
    };
    let mut head = Vec::with_capacity(6);
    file.by_ref().take(6).read_to_end(&mut head).map_err(Error::io("read", path))?;
    let packing = Packing::of_magic(&head).or(Packing::of_name(path));
    let whole = Cursor::new(head).chain(file);
    let reader: Box<dyn Read + Send> = match packing {
        Some(packing) => packing
            .unpack(BufReader::with_capacity(BLOCK, whole), max_memory)
            .map_err(Error::io("read", path))?,
        None => Box::new(whole),
    };
    Ok((reader, packing, watch))
}

/// Whether a stream was refused for the memory that unpacking it takes.
fn is_too_large(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
    // What zstd calls it is a text alone.
    matches!(inner, Some(liblzma::stream::Error::MemLimit))
        || error.to_string().contains("too much memory")
}

/// Whether the path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Input {
    /// Opens `path` (`-`: standard input); no line may be longer than a quarter of `max_memory`.
    pub(crate) fn open(path: &Path, max_memory: u64) -> Result<Self> {
        let (reader, packing, watch) = unpacked(path, max_memory)?;
        let mut input = Self {
            reader,
            path: path.to_owned(),
            packing,
            watch,
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

    /// A byte-order mark would otherwise become part of the first field. UTF-16 comes without one,
    /// too: then every second byte of plain characters is 0.
    fn skip_mark(&mut self) -> Result<()> {
        let head = self.peek(4)?;
        let marked = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
        let halves = matches!(head, [a, 0, b, 0] | [0, a, 0, b] if a.is_ascii_graphic() && *b != 0);
        if head.starts_with(b"\xef\xbb\xbf") {
            self.start += 3;
        } else if marked || halves {
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
        if self.ended && self.watch.as_ref().is_some_and(|watch| !watch.is_same()) {
            let message = "the file changed while it was read; start again when it is whole";
            return Err(Error::data(Place::file(&self.path), message));
        }
        Ok(count > 0)
    }

    /// A fault of the packed stream is the data's; a fault of the disk is the system's.
    fn broken(&self, error: std::io::Error) -> Error {
        match self.packing {
            Some(packing) if is_too_large(&error) => Error::data(
                Place::file(&self.path),
                format!(
                    "to unpack the {} stream takes more than the {:.1} MB of memory allowed; raise \
                     --max-memory",
                    packing.name(),
                    megabytes(self.max_memory)
                ),
            ),
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
                return Err(self.too_long(self.line_number + 1));
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

    /// The error for a line, or a quoted field that begins on one, that passes the bound.
    pub(crate) fn too_long(&self, line: u64) -> Error {
        let place = Place::line(&self.path, line);
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

/// What may need more memory than allowed, and could do without where rows stay on the disk.
const ROWS: &str = "the rows";

/// Refuses `bytes` of rows that are more than `max_memory` allows.
///
/// # Errors
/// [`Error::Data`] naming the file and the limit.
#[inline]
pub fn check_memory(bytes: u64, max_memory: u64, path: &Path) -> Result<()> {
    check_memory_of(ROWS, bytes, max_memory, path)
}

/// The same for something else of a file.
#[inline]
pub(crate) fn check_memory_of(what: &str, bytes: u64, max_memory: u64, path: &Path) -> Result<()> {
    if bytes <= max_memory { Ok(()) } else { Err(over_memory(what, max_memory, path)) }
}

#[cold]
fn over_memory(what: &str, max_memory: u64, path: &Path) -> Error {
    let most = megabytes(max_memory);
    let message =
        format!("{what} need more than the {most:.1} MB of memory allowed; raise --max-memory");
    Error::data(Place::file(path), message)
}

/// Whether the rows of `path` need more memory than they may take.
pub fn rows_exceed_memory(error: &Error, path: &Path) -> bool {
    let Error::Data { place, message } = error else { return false };
    place.file == path && message.starts_with(&format!("{ROWS} need more"))
}

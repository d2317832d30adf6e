//! Raw rows in a binary file, in chunks that can be read in any order, any number of times.
//!
//! Numbers are little-endian. Behind the mark and the version come the chunks, each with its cells
//! (`[rows, columns]` f32; or entries a row, columns and values), labels (f64, or u32 codes of
//! words) and weights (f32); then the schemas and a list of it all, as JSON; at the end where that
//! list lies. Every part has a CRC-32.

mod pack;
#[cfg(test)]
mod tests;
mod whole;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use self::pack::{Unpacker, numbers};
pub use self::write::ChunkWriter;
use super::number;
use super::raw::{self, Cells, RawLabels, RawRows};
use super::schema::Schema;
use super::{Csr, Notes};
use crate::error::{Error, Place, Result};

/// What the file begins and ends with; the last byte is the version of its layout.
pub(super) const MARK: [u8; 8] = *b"LLFMROW\x01";
/// Bytes at the end: place, length and CRC-32 of the list, and the mark.
const TAIL: usize = 8 + 8 + 4 + MARK.len();

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    at: u64,
    bytes: u64,
    crc: u32,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    key: String,
    chunks: Vec<Chunk>,
    /// Where schemas lie: the last is that of the file; chunks before a hash forgot its words have
    /// one of their own.
    schemas: Vec<Span>,
    /// The names of all labels and the line of each, where any label is a word.
    words: Option<(Vec<String>, Vec<u64>)>,
    first_missing: Option<(u64, u64)>,
    notes: Notes,
}

/// The rows that are read at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Chunk {
    span: Span,
    rows: usize,
    shape: Shape,
    labels: LabelKind,
    weighed: bool,
    /// Which of the schemas its cells follow.
    schema: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Shape {
    /// Columns of a table.
    Table(usize),
    /// Stored entries of sparse rows.
    Sparse(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum LabelKind {
    None,
    Numbers,
    Ratings,
    /// Codes of the names of the whole file.
    Words,
}

/// A finished file of rows. Reading takes `&self`, so that threads can share it.
#[derive(Debug)]
pub struct ChunkFile {
    file: Mutex<File>,
    path: PathBuf,
    list: List,
    schema: Schema,
    /// First row of each chunk, and behind the last the number of rows.
    starts: Vec<usize>,
    /// Code of each label name.
    codes: HashMap<String, u32>,
}

impl ChunkFile {
    /// Opens a file that [`ChunkWriter::finish`] put in place.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Data`] where it is no file of rows, is cut
    /// off or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(File::open(path).map_err(Error::io("read", path))?, path)
    }

    /// Whether what stands at `path` began as such a file, whatever became of it; true where nothing
    /// does.
    pub(crate) fn may_replace(path: &Path) -> bool {
        let Ok(meta) = std::fs::symlink_metadata(path) else { return true };
        let mut mark = [0; MARK.len()];
        let begins = |mut file: File| file.read_exact(&mut mark).is_ok() && mark == MARK;
        meta.is_file() && (meta.len() == 0 || File::open(path).is_ok_and(begins))
    }

    /// The same of a file that is open; `path` is for messages.
    fn of(mut file: File, path: &Path) -> Result<Self> {
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let wrong = || damaged(path, "it is cut off, or no file of rows of this version");
        let mut tail = [0; TAIL];
        let start = length.checked_sub(TAIL as u64).ok_or_else(wrong)?;
        file.seek(SeekFrom::Start(start)).map_err(Error::io("read", path))?;
        file.read_exact(&mut tail).map_err(Error::io("read", path))?;
        let mut parts = Unpacker::new(&tail);
        let [at, bytes] = [(); 2].map(|()| parts.take().map_or(0, u64::from_le_bytes));
        let crc = parts.take().map_or(0, u32::from_le_bytes);
        if parts.take() != Some(MARK) {
            return Err(wrong());
        }
        let file = Mutex::new(file);
        let read = |span: Span| match span.at.checked_add(span.bytes) {
            Some(end) if end <= length => read_span(&file, span, path),
            _ => Err(wrong()),
        };
        let list: List =
            serde_json::from_slice(&read(Span { at, bytes, crc })?).map_err(|_| wrong())?;
        let last = list.schemas.last().copied().ok_or_else(wrong)?;
        let schema = serde_json::from_slice(&read(last)?).map_err(|_| wrong())?;
        if list.chunks.is_empty() {
            return Err(wrong());
        }
        let mut starts = vec![0_usize];
        for chunk in &list.chunks {
            let next = starts[starts.len() - 1].checked_add(chunk.rows);
            let inside =
                chunk.span.at.checked_add(chunk.span.bytes).is_some_and(|end| end <= length);
            let whole = chunk.bytes() == Some(chunk.span.bytes);
            let named = chunk.labels != LabelKind::Words || list.words.is_some();
            if !(inside && whole && named && chunk.schema < list.schemas.len()) {
                return Err(wrong());
            }
            starts.push(next.ok_or_else(wrong)?);
        }
        let names = list.words.iter().flat_map(|(names, _)| names).cloned();
        let codes: HashMap<String, u32> = names.zip(0..).collect();
        if list.words.as_ref().is_some_and(|(names, _)| names.len() != codes.len()) {
            return Err(wrong());
        }
        Ok(Self { file, path: path.to_owned(), list, schema, starts, codes })
    }

    /// What the file was made from, as [`ChunkWriter::finish`] was told.
    pub fn key(&self) -> &str {
        &self.list.key
    }

    /// What there was to say when the rows were read from their source.
    pub fn notes(&self) -> &Notes {
        &self.list.notes
    }

    /// The columns of all rows, with every level of the categorical ones.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of rows n.
    pub fn n_rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// Number of chunks.
    pub fn n_chunks(&self) -> usize {
        self.list.chunks.len()
    }

    /// Which rows of the file chunk `i` holds.
    ///
    /// # Panics
    /// If `i` is not below `n_chunks()`.
    pub fn rows_of(&self, i: usize) -> Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// The rows of chunk `i`, with the columns, levels and label names of the whole file.
    ///
    /// Chunks hold the words that a hash was to forget by themselves: only where such rows were
    /// written has the schema of a chunk levels other than [`ChunkFile::schema`].
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Data`] where it is damaged.
    ///
    /// # Panics
    /// If `i` is not below `n_chunks()`.
    pub fn read(&self, i: usize) -> Result<RawRows> {
        let chunk = &self.list.chunks[i];
        let bytes = read_span(&self.file, chunk.span, &self.path)?;
        let wrong = || damaged(&self.path, &format!("chunk {i} contradicts itself"));
        let schema = if chunk.schema + 1 == self.list.schemas.len() {
            self.schema.clone()
        } else {
            let text = read_span(&self.file, self.list.schemas[chunk.schema], &self.path)?;
            serde_json::from_slice(&text).map_err(|_| wrong())?
        };
        let mut parts = Unpacker::new(&bytes);
        let cells = chunk.cells(&mut parts, schema.n_columns()).ok_or_else(wrong)?;
        let labels = self.labels(chunk, &mut parts).ok_or_else(wrong)?;
        let weights = match chunk.weighed {
            true => Some(parts.list(chunk.rows, f32::from_le_bytes).ok_or_else(wrong)?),
            false => None,
        };
        Ok(RawRows { schema, cells, labels, weights, first_missing: self.list.first_missing })
    }

    /// The labels of a chunk, as words where any label of the file is one; `None`: not possible.
    fn labels(&self, chunk: &Chunk, parts: &mut Unpacker) -> Option<Option<RawLabels>> {
        let codes = match chunk.labels {
            LabelKind::None => return Some(None),
            LabelKind::Words => parts.list(chunk.rows, u32::from_le_bytes)?,
            LabelKind::Numbers | LabelKind::Ratings => {
                let values = parts.list(chunk.rows, f64::from_le_bytes)?;
                if self.list.words.is_none() {
                    let ratings = chunk.labels == LabelKind::Ratings;
                    let make = if ratings { RawLabels::Ratings } else { RawLabels::Numbers };
                    return Some(Some(make(values)));
                }
                let code = |&value: &f64| self.codes.get(&number::shortest(value)).copied();
                values.iter().map(code).collect::<Option<_>>()?
            }
        };
        let (names, lines) = self.list.words.clone()?;
        let known = codes.iter().all(|&code| (code as usize) < names.len());
        known.then_some(Some(RawLabels::Words { names, lines, codes }))
    }
}

impl Chunk {
    /// How long it has to be; `None` beyond counting.
    fn bytes(&self) -> Option<u64> {
        let rows = self.rows as u64;
        let cells = match self.shape {
            Shape::Table(columns) => rows.checked_mul(columns as u64)?.checked_mul(4)?,
            Shape::Sparse(entries) => {
                rows.checked_mul(4)?.checked_add((entries as u64).checked_mul(8)?)?
            }
        };
        let label = match self.labels {
            LabelKind::None => 0,
            LabelKind::Words => 4,
            LabelKind::Numbers | LabelKind::Ratings => 8,
        };
        let others = rows.checked_mul(label + if self.weighed { 4 } else { 0 })?;
        cells.checked_add(others)
    }

    fn cells(&self, parts: &mut Unpacker, n_columns: usize) -> Option<Cells> {
        match self.shape {
            Shape::Table(columns) => {
                let cells = parts.list(self.rows * columns, f32::from_le_bytes)?;
                (columns == n_columns).then(|| Cells::Table(raw::table(cells, self.rows, columns)))
            }
            Shape::Sparse(entries) => {
                let lengths = parts.list(self.rows, u32::from_le_bytes)?;
                let mut offsets = Vec::with_capacity(self.rows + 1);
                offsets.push(0_usize);
                for length in lengths {
                    offsets.push(offsets[offsets.len() - 1].checked_add(length as usize)?);
                }
                let indices = parts.list(entries, u32::from_le_bytes)?;
                let values = parts.list(entries, f32::from_le_bytes)?;
                let fits = offsets.last() == Some(&entries)
                    && indices.iter().all(|&j| (j as usize) < n_columns);
                fits.then_some(Cells::Sparse(Csr { n_cols: n_columns, offsets, indices, values }))
            }
        }
    }
}

/// One read of a stretch of the file, checked.
fn read_span(file: &Mutex<File>, span: Span, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![0; numbers(span.bytes)];
    {
        // Whoever panicked left no state but the place in the file, which is set anew.
        let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(span.at)).map_err(Error::io("read", path))?;
        file.read_exact(&mut bytes).map_err(Error::io("read", path))?;
    }
    if pack::crc(&bytes) == span.crc {
        return Ok(bytes);
    }
    Err(damaged(path, &format!("the {} bytes from {} on have changed", span.bytes, span.at)))
}

fn damaged(path: &Path, what: &str) -> Error {
    let message = format!("the file of rows is damaged: {what}; remove it and begin anew");
    Error::data(Place::file(path), message)
}

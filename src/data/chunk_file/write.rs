//! Writes a file of rows, a chunk at a time.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};

use super::pack::{crc, pack};
use super::{Chunk, ChunkFile, LabelKind, List, MARK, Shape, Span};
use crate::data::Notes;
use crate::data::number;
use crate::data::raw::{Cells, RawLabels, RawRows};
use crate::data::schema::{ColumnKind, Schema};
use crate::error::{Error, Place, Result};
use crate::output::AtomicFile;

/// Most different numbers that may be labels before the first word: more classes than any model
/// has, so that only a mistake comes here.
const MOST_NUMBERS: usize = 1 << 20;

/// A file of rows under construction. It appears when it is finished; dropped before, it leaves
/// nothing.
#[derive(Debug)]
pub struct ChunkWriter {
    file: AtomicFile,
    path: PathBuf,
    /// Where the rows come from, for messages.
    source: PathBuf,
    list: List,
    /// Bytes written.
    end: u64,
    schema: Option<Schema>,
    numbers: Numbers,
    /// Names of the labels, and the line of each, from the first word on.
    words: Option<IndexMap<String, u64>>,
}

/// The different numbers among the labels, while there is no word: they are names when one comes.
#[derive(Debug)]
enum Numbers {
    /// Bits of each, in order of appearance.
    Few(IndexSet<u64>),
    TooMany,
}

impl ChunkWriter {
    /// Opens a temporary file beside `path`, for rows that come from `source`.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder is missing or cannot be written.
    pub fn create(path: &Path, source: &Path) -> Result<Self> {
        Self::on(AtomicFile::create(path)?.with_rights_of(source)?, path, source)
    }

    /// Opens a file in `folder` that has no name where the system knows such files, and never
    /// outlives the process.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder is missing or cannot be written.
    pub fn unnamed(folder: &Path, source: &Path) -> Result<Self> {
        Self::on(AtomicFile::unnamed(folder)?, folder, source)
    }

    fn on(file: AtomicFile, path: &Path, source: &Path) -> Result<Self> {
        let mut writer = Self {
            file,
            path: path.to_owned(),
            source: source.to_owned(),
            list: List::default(),
            end: 0,
            schema: None,
            numbers: Numbers::Few(IndexSet::new()),
            words: None,
        };
        writer.write(&MARK)?;
        Ok(writer)
    }

    /// Writes the next rows as one chunk. Their schema may have grown: levels behind those of the
    /// chunks before, or more numbered features.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full; [`Error::Data`] for a word among labels that are over
    /// a million different numbers so far.
    pub fn push(&mut self, rows: &RawRows) -> Result<()> {
        self.push_part(rows, 0..rows.n_rows())
    }

    /// Writes some of the rows as one chunk.
    ///
    /// # Errors
    /// As [`ChunkWriter::push`].
    ///
    /// # Panics
    /// If the range ends behind the rows.
    pub fn push_part(&mut self, rows: &RawRows, part: Range<usize>) -> Result<()> {
        self.follow(&rows.schema)?;
        let mut bytes = Vec::new();
        let shape = pack_cells(&mut bytes, &rows.cells, part.clone());
        let labels = self.pack_labels(&mut bytes, rows.labels.as_ref(), part.clone())?;
        if let Some(weights) = &rows.weights {
            pack(&mut bytes, weights[part.clone()].iter().copied(), f32::to_le_bytes);
        }
        let span = self.write(&bytes)?;
        self.list.first_missing = self.list.first_missing.or(rows.first_missing);
        self.list.chunks.push(Chunk {
            span,
            rows: part.len(),
            shape,
            labels,
            weighed: rows.weights.is_some(),
            schema: self.list.schemas.len(),
        });
        Ok(())
    }

    /// Puts the file in place: `key` says what it was made from, `notes` what there was to say.
    ///
    /// # Errors
    /// [`Error::Io`]; a file that stood at the path is then untouched. [`Error::Data`] where no
    /// chunk was written.
    pub fn finish(mut self, key: &str, notes: &Notes) -> Result<()> {
        self.complete(key, notes)?;
        self.file.finish()
    }

    /// Opens what was written to [`ChunkWriter::unnamed`] for reading.
    ///
    /// # Errors
    /// As [`ChunkWriter::finish`].
    pub fn finish_unnamed(mut self) -> Result<ChunkFile> {
        self.complete("", &Notes::new())?;
        ChunkFile::of(self.file.into_file()?, &self.path)
    }

    /// Writes what goes behind the chunks.
    fn complete(&mut self, key: &str, notes: &Notes) -> Result<()> {
        let Some(schema) = self.schema.take() else {
            return Err(Error::data(Place::file(&self.source), "no rows"));
        };
        self.write_schema(&schema)?;
        let mut list = std::mem::take(&mut self.list);
        list.key = key.to_owned();
        list.notes = notes.clone();
        list.words = self.words.take().map(|words| words.into_iter().unzip());
        let text = serde_json::to_vec(&list).map_err(|e| self.unwritable(e))?;
        let Span { at, bytes, crc } = self.write(&text)?;
        let tail = [&at.to_le_bytes()[..], &bytes.to_le_bytes(), &crc.to_le_bytes(), &MARK];
        self.write(&tail.concat())?;
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Span> {
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))?;
        let span = Span { at: self.end, bytes: bytes.len() as u64, crc: crc(bytes) };
        self.end += span.bytes;
        Ok(span)
    }

    fn write_schema(&mut self, schema: &Schema) -> Result<()> {
        let text = serde_json::to_vec(schema).map_err(|e| self.unwritable(e))?;
        let span = self.write(&text)?;
        self.list.schemas.push(span);
        Ok(())
    }

    fn unwritable(&self, error: serde_json::Error) -> Error {
        Error::io("write", &self.path)(error.into())
    }

    /// Codes of the chunks before are those of this schema too, unless a hash forgot its words.
    fn follow(&mut self, schema: &Schema) -> Result<()> {
        if let Some(last) = self.schema.take().filter(|last| !continues(last, schema)) {
            self.write_schema(&last)?;
        }
        self.schema = Some(schema.clone());
        Ok(())
    }

    fn pack_labels(
        &mut self,
        bytes: &mut Vec<u8>,
        labels: Option<&RawLabels>,
        part: Range<usize>,
    ) -> Result<LabelKind> {
        match labels {
            None => Ok(LabelKind::None),
            Some(RawLabels::Numbers(values) | RawLabels::Ratings(values)) => {
                let values = &values[part];
                self.note_numbers(values);
                pack(bytes, values.iter().copied(), f64::to_le_bytes);
                let ratings = matches!(labels, Some(RawLabels::Ratings(_)));
                Ok(if ratings { LabelKind::Ratings } else { LabelKind::Numbers })
            }
            Some(RawLabels::Words { names, lines, codes }) => {
                let words = match &mut self.words {
                    Some(words) => words,
                    None => self.words.insert(self.numbers.names(names, lines, &self.source)?),
                };
                let mut places = Vec::with_capacity(names.len());
                for (i, name) in names.iter().enumerate() {
                    let place = match words.get_index_of(name) {
                        Some(place) => place,
                        None => {
                            let line = lines.get(i).copied().unwrap_or(0);
                            words.insert_full(name.clone(), line).0
                        }
                    };
                    #[expect(clippy::cast_possible_truncation, reason = "fewer names than rows")]
                    places.push(place as u32);
                }
                let codes = codes[part].iter().map(|&code| places[code as usize]);
                pack(bytes, codes, u32::to_le_bytes);
                Ok(LabelKind::Words)
            }
        }
    }

    fn note_numbers(&mut self, values: &[f64]) {
        if let Some(words) = &mut self.words {
            values.iter().for_each(|&value| {
                words.entry(number::shortest(value)).or_insert(0);
            });
        } else if let Numbers::Few(seen) = &mut self.numbers {
            for value in values {
                seen.insert((value + 0.0).to_bits());
                if seen.len() > MOST_NUMBERS {
                    self.numbers = Numbers::TooMany;
                    return;
                }
            }
        }
    }
}

impl Numbers {
    /// The numbers so far as the first names of labels; `names` and `lines` are those of the chunk
    /// with the first word.
    fn names(
        &mut self,
        names: &[String],
        lines: &[u64],
        source: &Path,
    ) -> Result<IndexMap<String, u64>> {
        if let Self::Few(seen) = self {
            let seen = std::mem::take(seen);
            return Ok(seen
                .iter()
                .map(|&bits| (number::shortest(f64::from_bits(bits)), 0))
                .collect());
        }
        let word = names.iter().position(|name| name.parse::<f64>().is_err()).unwrap_or(0);
        let found = names.get(word).map(|name| number::printable(name)).unwrap_or_default();
        let message = format!(
            "the labels so far are over {MOST_NUMBERS} different numbers, but `{found}` is a word; \
             mend it"
        );
        Err(Error::data(Place::line(source, lines.get(word).copied().unwrap_or(0)), message))
    }
}

/// Whether what the first schema says holds in the second: levels only grow, but where a hash is
/// followed they are listed afresh with each chunk.
fn continues(first: &Schema, second: &Schema) -> bool {
    let (Schema::Table(first), Schema::Table(second)) = (first, second) else { return true };
    let both = first.columns.iter().zip(&second.columns);
    first.hash_bits.is_none()
        || both.map(|(a, b)| (&a.kind, &b.kind)).all(|kinds| match kinds {
            (ColumnKind::Categorical { levels: a }, ColumnKind::Categorical { levels: b }) => {
                b.is(a) || b.as_slice().starts_with(a.as_slice())
            }
            _ => true,
        })
}

fn pack_cells(bytes: &mut Vec<u8>, cells: &Cells, part: Range<usize>) -> Shape {
    match cells {
        Cells::Table(cells) => {
            let rows = cells.slice(ndarray::s![part, ..]);
            pack(bytes, rows.iter().copied(), f32::to_le_bytes);
            Shape::Table(cells.ncols())
        }
        Cells::Sparse(all) => {
            let offsets = &all.offsets[part.start..=part.end];
            let entries = offsets[0]..offsets[offsets.len() - 1];
            #[expect(clippy::cast_possible_truncation, reason = "columns are u32")]
            let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as u32);
            pack(bytes, lengths, u32::to_le_bytes);
            pack(bytes, all.indices[entries.clone()].iter().copied(), u32::to_le_bytes);
            pack(bytes, all.values[entries.clone()].iter().copied(), f32::to_le_bytes);
            Shape::Sparse(entries.len())
        }
    }
}

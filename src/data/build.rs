//! Growing tables and category lists, shared by the readers of tables.

use std::borrow::Cow;
use std::path::Path;

use indexmap::{IndexMap, IndexSet};

use super::number;
use super::raw::{self, Cells};
use super::schema::Levels;
use super::source::{check_memory, check_memory_of};
use crate::error::{Error, Place, Result};

/// Codes are kept in f32 cells, which count exactly up to here.
const MAX_LEVELS: usize = 1 << 24;

/// About what a word in a list takes beside its letters: its hash and place, twice that where the
/// list grows, and a block of the allocator.
pub(crate) const WORD_BYTES: usize = 112;

/// Cells that there is room for at the start, or 256 rows where those are fewer.
const FIRST_CELLS: usize = 1 << 20;

/// Rows of cells as they come, within a bound on memory.
#[derive(Debug)]
pub(crate) struct TableBuilder {
    cells: Vec<f32>,
    width: usize,
    max_memory: u64,
    /// Line and byte column of the first missing cell.
    pub(crate) first_missing: Option<(u64, u64)>,
}

impl TableBuilder {
    pub(crate) fn new(width: usize, max_memory: u64) -> Self {
        Self { cells: Vec::new(), width, max_memory, first_missing: None }
    }

    /// Appends a row of zeros; `other_bytes` are taken beside the cells.
    #[inline]
    pub(crate) fn add_row(&mut self, other_bytes: u64, path: &Path) -> Result<()> {
        let start = self.cells.len();
        let end = start + self.width;
        if end > self.cells.capacity() {
            check_memory((end * 4) as u64 + other_bytes, self.max_memory, path)?;
            self.grow(self.width);
        }
        self.cells.resize(start + self.width, 0.0);
        Ok(())
    }

    /// Appends a cell of a row whose width a header claims: room is made as the cells come.
    #[inline]
    pub(crate) fn push(&mut self, cell: f32, path: &Path) -> Result<()> {
        if self.cells.len() == self.cells.capacity() {
            check_memory((self.cells.len() as u64 + 1) * 4, self.max_memory, path)?;
            self.grow(1);
        }
        self.cells.push(cell);
        Ok(())
    }

    /// Appends whole rows; `other_bytes` are taken beside the cells.
    pub(crate) fn append(&mut self, rows: &[f32], other_bytes: u64, path: &Path) -> Result<()> {
        let end = self.cells.len() + rows.len();
        if end > self.cells.capacity() {
            check_memory((end * 4) as u64 + other_bytes, self.max_memory, path)?;
            self.grow(rows.len());
        }
        self.cells.extend_from_slice(rows);
        Ok(())
    }

    /// Bytes of the rows so far.
    pub(crate) fn bytes(&self) -> u64 {
        (self.cells.len() * 4) as u64
    }

    /// The row added last.
    #[inline]
    pub(crate) fn last_row(&mut self) -> &mut [f32] {
        let start = self.cells.len() - self.width;
        &mut self.cells[start..]
    }

    /// Doubles the room, but never beyond the bound, and makes place for `more` cells.
    fn grow(&mut self, more: usize) {
        let most = usize::try_from(self.max_memory / 4).unwrap_or(usize::MAX);
        let needed = self.cells.len() + more;
        let some_rows = self.width.saturating_mul(256).min(FIRST_CELLS);
        let wanted = (2 * self.cells.len()).max(some_rows).min(most).max(needed);
        self.cells.reserve_exact(wanted - self.cells.len());
    }

    /// Hands over the rows gathered since the last call.
    pub(crate) fn take(&mut self) -> Cells {
        let mut cells = std::mem::take(&mut self.cells);
        cells.shrink_to_fit();
        let n_rows = cells.len().checked_div(self.width).unwrap_or(0);
        Cells::Table(raw::table(cells, n_rows, self.width))
    }
}

/// The words of one categorical column and their codes.
#[derive(Debug)]
pub(crate) struct Category {
    words: IndexSet<String>,
    /// The levels to keep to, where the schema is given.
    given: Option<Levels>,
    /// What the words take, in bytes, and may take.
    bytes: u64,
    max_memory: u64,
}

impl Category {
    /// Learns its words from the file.
    pub(crate) fn growing(max_memory: u64) -> Self {
        Self { words: IndexSet::new(), given: None, bytes: 0, max_memory }
    }

    /// Keeps to the words of a schema.
    pub(crate) fn following(levels: &Levels) -> Self {
        let words = levels.as_slice().iter().cloned().collect();
        Self { words, given: Some(levels.clone()), bytes: 0, max_memory: u64::MAX }
    }

    /// The code of a word in a given list; a word that is not there gets the number of levels.
    pub(crate) fn given_code(&self, word: &str) -> f32 {
        exact(self.words.get_index_of(word).unwrap_or(self.words.len()))
    }

    /// The code of a word; a word the schema does not know gets the number of levels.
    pub(crate) fn code(&mut self, word: &[u8], place: impl Fn() -> Place) -> Result<f32> {
        let word = number::word(word, &place)?;
        if self.given.is_some() {
            return Ok(self.given_code(word));
        }
        self.learned_code(Cow::Borrowed(word), place)
    }

    /// The codes of a block's words here, by their codes there; `None` where they are the same.
    pub(crate) fn adopt(&mut self, block: WordBlock, path: &Path) -> Result<Option<Vec<f32>>> {
        let words = block.words.into_iter();
        let code = |(word, (line, column)): (String, (u64, u64))| {
            self.learned_code(Cow::Owned(word), || Place::column(path, line, column))
        };
        let codes: Vec<f32> = words.map(code).collect::<Result<_>>()?;
        let same = codes.iter().enumerate().all(|(there, &here)| here == exact(there));
        Ok((!same).then_some(codes))
    }

    fn learned_code(&mut self, word: Cow<'_, str>, place: impl Fn() -> Place) -> Result<f32> {
        let code = match self.words.get_index_of(word.as_ref()) {
            Some(code) => code,
            None if self.words.len() >= MAX_LEVELS => {
                let message = format!("more than {MAX_LEVELS} different categories in a column");
                return Err(Error::data(place(), message));
            }
            None => {
                self.bytes += (word.len() + WORD_BYTES) as u64;
                check_memory_of(
                    "the words of a column",
                    self.bytes,
                    self.max_memory,
                    &place().file,
                )?;
                self.words.insert_full(word.into_owned()).0
            }
        };
        Ok(exact(code))
    }

    /// The levels so far; `last`: no more rows follow, or none that need these.
    pub(crate) fn levels(&mut self, last: bool) -> Levels {
        if let Some(levels) = &self.given {
            return levels.clone();
        }
        let words: Vec<String> = if last {
            self.bytes = 0;
            std::mem::take(&mut self.words).into_iter().collect()
        } else {
            self.words.iter().cloned().collect()
        };
        Levels::from(words)
    }
}

/// The words of a categorical column in some rows, of which nobody knows yet the words above them.
#[derive(Debug, Default)]
pub(crate) struct WordBlock {
    /// Each with the line and byte column it was first seen at; the place is its code.
    words: IndexMap<String, (u64, u64)>,
}

impl WordBlock {
    /// The code of a word that stands at a line and byte column.
    pub(crate) fn code(&mut self, word: &str, at: (u64, u64)) -> f32 {
        exact(match self.words.get_index_of(word) {
            Some(code) => code,
            None => self.words.insert_full(word.to_owned(), at).0,
        })
    }
}

/// A code as a cell.
#[expect(clippy::cast_precision_loss, reason = "at most 2^24, exact in f32")]
fn exact(code: usize) -> f32 {
    code as f32
}

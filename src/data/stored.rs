//! Rows of a file that is larger than memory, kept on the disk as they were read.

use std::ops::Range;
use std::path::Path;

use super::chunk_file::{ChunkFile, ChunkWriter};
use super::chunks::Chunks;
use super::notes::Notes;
use super::raw::{Cells, RawRows};
use super::reader::Reader;
use super::schema::Schema;
use crate::error::{Error, Place, Result};

/// Bytes of raw rows in a chunk, where memory is no matter: one read, and rows of many places in a
/// window.
const CHUNK_BYTES: u64 = 4 << 20;

/// Chunks that memory holds at the least.
const CHUNKS_IN_MEMORY: u64 = 64;

/// Chunks that are parsed together, so that all threads have something to do.
const CHUNKS_AT_ONCE: usize = 8;

/// Rows of the first chunk, which tells how large rows are.
const FIRST_ROWS: usize = 256;

/// The rows of a file, but for those that were taken out to validate and test.
#[derive(Debug)]
pub struct StoredRows {
    file: ChunkFile,
    /// The chunk of the file that each chunk here is in, and its rows of the file.
    parts: Vec<(usize, Range<usize>)>,
    /// Rows of the file that were taken out, sorted.
    taken: Vec<usize>,
    /// The first row of each chunk among those that were not, and behind the last their number.
    starts: Vec<usize>,
    schema: Schema,
    /// Whether features are called from 1 on, which only the whole file told.
    from_one: bool,
}

impl StoredRows {
    /// Reads all of `reader` into a file in `folder` that never outlives the process. Chunks are
    /// small beside `max_memory` bytes.
    ///
    /// `guess_base`: `reader` took the first feature of a libsvm file to be called 0, and it is 1 where
    /// no row has a feature 0.
    ///
    /// # Errors
    /// Faults of the data; [`Error::Io`] where the folder cannot be written or is full.
    pub fn spool(
        reader: &mut Reader,
        place: &Path,
        folder: &Path,
        max_memory: u64,
        guess_base: bool,
        notes: &mut Notes,
    ) -> Result<Self> {
        let wanted = CHUNK_BYTES.min(max_memory / CHUNKS_IN_MEMORY);
        let mut writer = ChunkWriter::unnamed(folder, place).map_err(|e| no_room(e, folder))?;
        let mut at_once = FIRST_ROWS;
        let mut n_rows = 0_usize;
        while let Some(rows) = reader.next(at_once, notes)? {
            n_rows += rows.n_rows();
            if u32::try_from(n_rows).is_err() {
                let message = format!("more than the {} rows that are possible", u32::MAX);
                return Err(Error::data(Place::file(place), message));
            }
            let bytes = (raw_bytes(&rows) / rows.n_rows().max(1) as u64).max(1);
            let chunk = usize::try_from(wanted / bytes).unwrap_or(usize::MAX).max(1);
            for start in (0..rows.n_rows()).step_by(chunk) {
                let part = start..(start + chunk).min(rows.n_rows());
                writer.push_part(&rows, part).map_err(|e| no_room(e, folder))?;
            }
            // Rows further down may be larger.
            at_once = chunk.saturating_mul(CHUNKS_AT_ONCE).min(2 * at_once);
        }
        let file = writer.finish_unnamed().map_err(|e| no_room(e, folder))?;
        Ok(Self::of(file, guess_base && !reader.has_index_0()))
    }

    fn of(file: ChunkFile, from_one: bool) -> Self {
        let mut schema = file.schema().clone();
        let from_one = match &mut schema {
            Schema::Sparse { n_features, index_base, .. } if from_one => {
                *n_features = n_features.saturating_sub(1);
                *index_base = 1;
                true
            }
            _ => false,
        };
        let parts = (0..file.n_chunks()).map(|i| (i, file.rows_of(i))).collect();
        let (taken, starts) = (Vec::new(), Vec::new());
        let mut rows = Self { file, parts, taken, starts, schema, from_one };
        rows.count();
        rows
    }

    /// Cuts chunks into such of at most `most` rows, for rows that take more room in memory than in
    /// the file. Each then reads all of what it was cut from.
    pub(crate) fn cut(&mut self, most: usize) {
        let cut = |(i, rows): (usize, Range<usize>)| {
            let end = rows.end;
            rows.step_by(most.max(1))
                .map(move |row| (i, row..row.saturating_add(most.max(1)).min(end)))
        };
        self.parts = std::mem::take(&mut self.parts).into_iter().flat_map(cut).collect();
        self.count();
    }

    /// Numbers the rows anew.
    fn count(&mut self) {
        self.starts = (self.parts.iter().map(|(_, rows)| rows.start))
            .chain([self.file.n_rows()])
            .map(|row| row - self.taken.partition_point(|&taken| taken < row))
            .collect();
    }

    /// Takes rows out, which are then no longer among these.
    ///
    /// `rows`: sorted row numbers of the file.
    pub fn take_out(&mut self, rows: &[usize]) {
        self.taken.extend_from_slice(rows);
        self.taken.sort_unstable();
        self.count();
    }

    /// Number of chunks.
    pub fn n_chunks(&self) -> usize {
        self.parts.len()
    }

    /// Number of rows in chunk `i`; some have none left.
    pub fn rows_in(&self, i: usize) -> usize {
        self.starts[i + 1] - self.starts[i]
    }

    /// The rows of chunk `i` that were not taken out.
    ///
    /// # Errors
    /// Those of [`ChunkFile::read`].
    pub fn read(&self, i: usize) -> Result<RawRows> {
        let range = self.parts[i].1.clone();
        let rows = self.whole_chunk(i)?;
        let taken = self.taken.partition_point(|&row| row < range.start)
            ..self.taken.partition_point(|&row| row < range.end);
        if taken.is_empty() {
            return Ok(rows);
        }
        let taken = &self.taken[taken];
        let left = range.clone().filter(|row| taken.binary_search(row).is_err());
        let left = left.map(|row| row - range.start).collect();
        Ok(rows.split(&[left]).swap_remove(0))
    }

    /// Some of the rows that were not taken out, by sorted numbers among these, chunk by chunk.
    ///
    /// # Errors
    /// Those of `each`, and of reading.
    pub fn pick(&self, rows: &[usize], each: &mut dyn FnMut(RawRows) -> Result<()>) -> Result<()> {
        let of_chunk = |i: usize| self.starts[i]..self.starts[i + 1];
        self.pick_from(rows, &of_chunk, &|i| self.read(i), each)
    }

    /// Some rows of the file, taken out or not, likewise.
    ///
    /// # Errors
    /// Those of `each`, and of reading.
    pub fn pick_from_file(
        &self,
        rows: &[usize],
        each: &mut dyn FnMut(RawRows) -> Result<()>,
    ) -> Result<()> {
        self.pick_from(rows, &|i| self.parts[i].1.clone(), &|i| self.whole_chunk(i), each)
    }

    fn pick_from(
        &self,
        rows: &[usize],
        of_chunk: &dyn Fn(usize) -> Range<usize>,
        read: &dyn Fn(usize) -> Result<RawRows>,
        each: &mut dyn FnMut(RawRows) -> Result<()>,
    ) -> Result<()> {
        let mut rest = rows;
        for i in 0..self.n_chunks() {
            let range = of_chunk(i);
            let (mine, later) = rest.split_at(rest.partition_point(|&row| row < range.end));
            rest = later;
            if !mine.is_empty() {
                let mine: Vec<usize> = mine.iter().map(|row| row - range.start).collect();
                each(read(i)?.select(&mine))?;
            }
        }
        Ok(())
    }

    fn whole_chunk(&self, i: usize) -> Result<RawRows> {
        let (chunk, part) = &self.parts[i];
        let all = self.file.rows_of(*chunk);
        let mut rows = self.file.read(*chunk)?;
        if *part != all {
            let part: Vec<usize> = part.clone().map(|row| row - all.start).collect();
            rows = rows.select(&part);
        }
        if let (true, Cells::Sparse(cells)) = (self.from_one, &mut rows.cells) {
            cells.indices.iter_mut().for_each(|j| *j -= 1);
            cells.n_cols = self.schema.n_columns();
            rows.schema = self.schema.clone();
        }
        Ok(rows)
    }
}

impl Chunks for StoredRows {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn n_rows(&self) -> usize {
        self.starts[self.n_chunks()]
    }

    fn visit(&self, each: &mut dyn FnMut(&RawRows) -> Result<()>) -> Result<()> {
        (0..self.n_chunks()).filter(|&i| self.rows_in(i) > 0).try_for_each(|i| each(&self.read(i)?))
    }
}

/// Bytes the rows take in memory.
fn raw_bytes(rows: &RawRows) -> u64 {
    let cells = match &rows.cells {
        Cells::Table(cells) => 4 * cells.len(),
        Cells::Sparse(cells) => 8 * (cells.values.len() + cells.offsets.len()),
    };
    (cells + 12 * rows.n_rows()) as u64
}

/// Says what to do about a folder that is full.
fn no_room(error: Error, folder: &Path) -> Error {
    let Error::Io { action, source, .. } = error else { return error };
    let text = format!("{source}; --stream keeps the rows there, TMPDIR names another folder");
    Error::Io { action, path: folder.to_owned(), source: std::io::Error::new(source.kind(), text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReadOptions;

    #[test]
    fn rows_that_get_longer_down_the_file_fit_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.svm");
        let long: String = (1..=125).map(|j| format!(" {j}:1")).collect();
        let text = "1 1:1\n".repeat(FIRST_ROWS) + &format!("0{long}\n").repeat(2000);
        std::fs::write(&path, text).expect("is written");
        let max_memory = 1_000_000;
        let options = ReadOptions { max_memory, ..ReadOptions::default() };
        let mut reader = Reader::open(&path, &options, None, true).expect("a reader");
        let (folder, mut notes) = (folder.path(), Notes::new());
        let mut rows = StoredRows::spool(&mut reader, &path, folder, max_memory, false, &mut notes)
            .expect("rows that fit one by one");
        assert_eq!(rows.n_rows(), FIRST_ROWS + 2000);
        let all: Vec<usize> = (0..rows.n_rows()).collect();
        let cells = |rows: &StoredRows| {
            let mut cells = Vec::new();
            let each = &mut |part: RawRows| {
                if let Cells::Sparse(part) = part.cells {
                    cells.extend((0..part.n_rows()).map(|i| part.row(i).0.to_vec()));
                }
                Ok(())
            };
            rows.pick(&all[..rows.n_rows()], each).expect("rows");
            cells
        };
        let whole = cells(&rows);
        rows.cut(7);
        assert!((0..rows.n_chunks()).all(|i| (1..=7).contains(&rows.rows_in(i))));
        assert!(cells(&rows) == whole, "cut rows are the same");
        rows.take_out(&[0, 9, 10, 2255]);
        let left: Vec<_> = (0..whole.len()).filter(|i| ![0, 9, 10, 2255].contains(i)).collect();
        assert!(cells(&rows).iter().eq(left.iter().map(|&i| &whole[i])));
    }
}

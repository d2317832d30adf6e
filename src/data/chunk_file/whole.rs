//! All rows of a file at once.

use super::ChunkFile;
use crate::data::raw::{self, Cells, RawLabels, RawRows};
use crate::error::{Error, Place, Result};

impl ChunkFile {
    /// Bytes the rows take in memory, but for words.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.list.chunks.iter().map(|chunk| chunk.span.bytes).sum()
    }

    /// All rows, as if their source had been read at once. Beside them one chunk is in memory.
    ///
    /// # Errors
    /// Those of [`ChunkFile::read`]; [`Error::Data`] for chunks that do not go together.
    pub fn read_all(&self) -> Result<RawRows> {
        let mut all = self.read(0)?;
        let mut table = match &mut all.cells {
            Cells::Table(cells) => {
                let mut cells = raw::row_major(std::mem::take(cells));
                cells.reserve_exact((self.n_rows() * all.schema.n_columns()) - cells.len());
                cells
            }
            Cells::Sparse(rows) => {
                rows.offsets.reserve_exact(self.n_rows() + 1 - rows.offsets.len());
                Vec::new()
            }
        };
        for i in 1..self.n_chunks() {
            let next = self.read(i)?;
            let fits = self.list.schemas.len() == 1
                && join_cells(&mut all.cells, &mut table, next.cells)
                && join_labels(all.labels.as_mut(), next.labels)
                && join(all.weights.as_mut(), next.weights);
            if !fits {
                let message = format!("chunk {i} does not go with those before it");
                return Err(Error::data(Place::file(&self.path), message));
            }
        }
        if let Cells::Table(cells) = &mut all.cells {
            *cells = raw::table(table, self.n_rows(), all.schema.n_columns());
        }
        Ok(all)
    }
}

fn join_cells(all: &mut Cells, table: &mut Vec<f32>, next: Cells) -> bool {
    match (all, next) {
        (Cells::Table(_), Cells::Table(next)) => table.extend(raw::row_major(next)),
        (Cells::Sparse(all), Cells::Sparse(next)) => {
            let end = all.values.len();
            all.offsets.extend(next.offsets.iter().skip(1).map(|offset| end + offset));
            all.indices.extend(next.indices);
            all.values.extend(next.values);
        }
        _ => return false,
    }
    true
}

fn join_labels(all: Option<&mut RawLabels>, next: Option<RawLabels>) -> bool {
    match (all, next) {
        (None, None) => true,
        (Some(RawLabels::Numbers(all)), Some(RawLabels::Numbers(next)))
        | (Some(RawLabels::Ratings(all)), Some(RawLabels::Ratings(next))) => {
            join(Some(all), Some(next))
        }
        // All chunks of a file have the same names.
        (Some(RawLabels::Words { codes: all, .. }), Some(RawLabels::Words { codes: next, .. })) => {
            join(Some(all), Some(next))
        }
        _ => false,
    }
}

fn join<T>(all: Option<&mut Vec<T>>, next: Option<Vec<T>>) -> bool {
    match (all, next) {
        (None, None) => true,
        (Some(all), Some(next)) => {
            all.extend(next);
            true
        }
        _ => false,
    }
}

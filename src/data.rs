//! Rows and targets as the trainer sees them: encoded, scaled, dense or compressed.

mod array;
mod blocks;
mod build;
mod cache;
pub mod chunk_file;
pub mod chunks;
mod csv;
mod encode;
mod encoded;
mod fill;
pub mod format;
mod hash;
mod idx;
mod label_column;
mod label_summary;
pub mod labels;
mod levels;
mod libsvm;
pub mod notes;
mod npy;
mod number;
pub mod preprocess;
mod ratings;
pub mod raw;
pub mod reader;
pub mod scale;
pub mod schema;
mod side_labels;
pub(crate) mod source;
pub mod split;
pub mod stored;
mod weight_column;
pub(crate) mod weights;

use ndarray::Array2;

pub use cache::check_cacheable;
pub use chunk_file::{ChunkFile, ChunkWriter};
pub use chunks::Chunks;
pub use fill::Missing;
pub use format::Format;
pub use labels::{LabelMap, Task};
pub use notes::{Note, NoteLevel, Notes};
pub use number::{printable, visible};
pub use preprocess::{Preprocess, PreprocessOptions};
pub use raw::{Cells, RawLabels, RawRows};
pub use reader::{ReadOptions, Reader, read, read_with_schema};
pub use scale::Scale;
pub use schema::Schema;
pub use source::{check_memory, content_sha256, rows_exceed_memory};
pub use split::{SplitOptions, split_rows};
pub use stored::StoredRows;
pub use weights::ClassWeight;

/// The rows of a data set after encoding and scaling.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// `[n, p]`, row-major and contiguous.
    Dense(Array2<f32>),
    /// Compressed sparse rows; never densified.
    Sparse(Csr),
}

/// Compressed sparse rows `[n, p]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Csr {
    /// Number of columns p.
    pub n_cols: usize,
    /// `[n + 1]`: row i owns the entries `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<usize>,
    /// `[nnz]`: column of each entry, strictly increasing within a row.
    pub indices: Vec<u32>,
    /// `[nnz]`: value of each entry, never 0.
    pub values: Vec<f32>,
}

/// What each row is to be predicted as.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// `[n]`: class of each row. Binary: 0 negative, 1 positive. `UNKNOWN_CLASS` for a label the
    /// training rows never had.
    Classes(Vec<u32>),
    /// `[n]`: value of each row, in the user's unit.
    Values(Vec<f32>),
}

/// A label at evaluation that training never saw: always counted as wrong.
pub const UNKNOWN_CLASS: u32 = u32::MAX;

/// Rows with their targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// `[n, p]`.
    pub features: Features,
    /// `[n]`.
    pub targets: Targets,
    /// `[n]`: weight of each row in the loss, finite and at least 0; none: all 1. Training scales
    /// them to a mean of 1, so that only their ratios matter; whatever is measured takes every row
    /// alike.
    pub weights: Option<Vec<f32>>,
}

impl Dataset {
    /// Bytes of the rows.
    pub fn bytes(&self) -> u64 {
        let features = match &self.features {
            Features::Dense(rows) => 4 * rows.len(),
            Features::Sparse(rows) => 8 * (rows.values.len() + rows.offsets.len()),
        };
        let weights = self.weights.as_ref().map_or(0, Vec::len);
        (features + 4 * (self.features.n_rows() + weights)) as u64
    }

    /// No rows yet, but room for `rows` with `stored` entries of features.
    pub(crate) fn with_room(
        preprocess: &Preprocess,
        labels: &LabelMap,
        rows: usize,
        stored: usize,
    ) -> Self {
        let p = preprocess.n_features();
        let features = if preprocess.is_sparse() {
            let mut offsets = Vec::with_capacity(rows + 1);
            offsets.push(0);
            let (indices, values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
            Features::Sparse(Csr { n_cols: p, offsets, indices, values })
        } else {
            Features::Dense(raw::table(Vec::with_capacity(stored), 0, p))
        };
        let targets = if labels.n_classes() == 0 {
            Targets::Values(Vec::with_capacity(rows))
        } else {
            Targets::Classes(Vec::with_capacity(rows))
        };
        Self { features, targets, weights: None }
    }

    /// The given rows, in the given order.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(all: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&r| all[r as usize]).collect()
        }
        Self {
            features: self.features.select(rows),
            targets: match &self.targets {
                Targets::Classes(all) => Targets::Classes(pick(all, rows)),
                Targets::Values(all) => Targets::Values(pick(all, rows)),
            },
            weights: self.weights.as_ref().map(|all| pick(all, rows)),
        }
    }

    /// The given rows behind these, which have weights where those have.
    pub(crate) fn append(&mut self, other: Self) {
        let first = self.features.n_rows() == 0;
        self.features.append(other.features);
        match (&mut self.targets, other.targets) {
            (Targets::Classes(all), Targets::Classes(more)) => all.extend(more),
            (Targets::Values(all), Targets::Values(more)) => all.extend(more),
            _ => unreachable!("targets of one task"),
        }
        match (&mut self.weights, other.weights) {
            (Some(all), Some(more)) => all.extend(more),
            (None, more) if first => self.weights = more,
            _ => {}
        }
    }
}

impl Csr {
    /// Number of rows n.
    pub fn n_rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Where the entries of row `i` lie.
    #[inline]
    pub(crate) fn span(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    /// Columns and values of row `i`.
    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let span = self.span(i);
        (&self.indices[span.clone()], &self.values[span])
    }
}

impl Features {
    /// Number of rows n.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.nrows(),
            Self::Sparse(rows) => rows.n_rows(),
        }
    }

    /// Number of features p.
    pub fn n_cols(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.ncols(),
            Self::Sparse(rows) => rows.n_cols,
        }
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[u32]) -> Self {
        match self {
            Self::Dense(all) => {
                let rows: Vec<usize> = rows.iter().map(|&r| r as usize).collect();
                Self::Dense(all.select(ndarray::Axis(0), &rows))
            }
            Self::Sparse(all) => {
                let mut picked = Csr { n_cols: all.n_cols, offsets: vec![0], ..Csr::default() };
                for &r in rows {
                    let (columns, values) = all.row(r as usize);
                    picked.indices.extend_from_slice(columns);
                    picked.values.extend_from_slice(values);
                    picked.offsets.push(picked.indices.len());
                }
                Self::Sparse(picked)
            }
        }
    }

    /// The given rows behind these.
    pub(crate) fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Dense(rows), Self::Dense(more)) => {
                let (n, p) = (rows.nrows() + more.nrows(), rows.ncols());
                let mut cells = raw::row_major(std::mem::take(rows));
                cells.extend_from_slice(&raw::row_major(more));
                *rows = raw::table(cells, n, p);
            }
            (Self::Sparse(rows), Self::Sparse(more)) => {
                let start = rows.values.len();
                rows.offsets.extend(more.offsets.iter().skip(1).map(|end| start + end));
                rows.indices.extend_from_slice(&more.indices);
                rows.values.extend_from_slice(&more.values);
            }
            _ => unreachable!("rows of one preparation are stored alike"),
        }
    }

    /// Stored entries: every cell of dense rows, the non-zeros of sparse ones.
    pub fn n_stored(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.len(),
            Self::Sparse(rows) => rows.values.len(),
        }
    }
}

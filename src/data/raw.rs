//! Rows as a file has them: before encoding, filling and scaling.

use std::ops::Range;
use std::path::Path;

use ndarray::Array2;

use super::Csr;
use super::schema::Schema;
use crate::error::Place;

/// The rows of a file, or of a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRows {
    /// What the columns mean.
    pub schema: Schema,
    /// `[n, columns]`.
    pub cells: Cells,
    /// `[n]`, where the file has them and they were asked for.
    pub labels: Option<RawLabels>,
    /// `[n]`: how much each row counts in training, where the file says so; finite, from 0.
    pub weights: Option<Vec<f32>>,
    /// Line and byte column of the file's first missing cell.
    pub(crate) first_missing: Option<(u64, u64)>,
}

/// The feature cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// `[n, columns]`, row-major. NaN: missing. Categorical cells hold the code of their level, or
    /// the number of levels for a word the schema does not know.
    Table(Array2<f32>),
    /// `[n, features]`, indices from 0 whatever the file's base.
    Sparse(Csr),
}

/// The label of each row as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub enum RawLabels {
    /// `[n]`; NaN: missing.
    Numbers(Vec<f64>),
    /// `[n]`, like `Numbers`, of rows that are ratings: a regression unless told otherwise.
    Ratings(Vec<f64>),
    /// At least one label is a word.
    Words {
        /// The labels in order of appearance, numbers in their shortest form.
        names: Vec<String>,
        /// For each name the first line of the file it stands on; empty where nobody knows.
        lines: Vec<u64>,
        /// `[n]`: place in `names`; none is missing.
        codes: Vec<u32>,
    },
}

impl RawLabels {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) | Self::Ratings(values) => values.len(),
            Self::Words { codes, .. } => codes.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of a stretch of rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        self.select(&rows.collect::<Vec<_>>())
    }

    /// The labels of some rows, in the order given.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect();
        match self {
            Self::Numbers(values) => Self::Numbers(pick(values)),
            Self::Ratings(values) => Self::Ratings(pick(values)),
            Self::Words { names, lines, codes } => Self::Words {
                names: names.clone(),
                lines: lines.clone(),
                codes: rows.iter().map(|&row| codes[row]).collect(),
            },
        }
    }
}

impl RawRows {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        match &self.cells {
            Cells::Table(cells) => cells.nrows(),
            Cells::Sparse(rows) => rows.n_rows(),
        }
    }

    /// Number of columns before encoding.
    pub fn n_columns(&self) -> usize {
        self.schema.n_columns()
    }

    /// Where the first missing cell stands, or else the file.
    pub(crate) fn missing_place(&self, path: &Path) -> Place {
        let (line, column) = self.first_missing.unwrap_or((0, 0));
        Place::column(path, line, column)
    }

    /// A copy of some rows, in the order given.
    ///
    /// # Panics
    /// If a row number is not below `n_rows()`.
    pub fn select(&self, rows: &[usize]) -> Self {
        let cells = match &self.cells {
            Cells::Table(cells) => Cells::Table(cells.select(ndarray::Axis(0), rows)),
            Cells::Sparse(all) => Cells::Sparse(select_sparse(all, rows)),
        };
        Self {
            schema: self.schema.clone(),
            cells,
            labels: self.labels.as_ref().map(|labels| labels.select(rows)),
            weights: self.select_weights(rows),
            first_missing: self.first_missing,
        }
    }

    fn select_weights(&self, rows: &[usize]) -> Option<Vec<f32>> {
        let weights = self.weights.as_ref()?;
        Some(rows.iter().map(|&row| weights[row]).collect())
    }

    /// Cuts the rows into parts, each in file order; rows in no part are dropped.
    ///
    /// The largest part is compacted where it lies and only the others are copied, so two parts
    /// never need more than one and a half times the memory of the rows.
    ///
    /// # Panics
    /// If a row number is not below `n_rows()`.
    pub fn split(self, parts: &[Vec<usize>]) -> Vec<Self> {
        let mut parts: Vec<Vec<usize>> = parts.to_vec();
        for part in &mut parts {
            part.sort_unstable();
            part.dedup();
        }
        let Some(largest) = (0..parts.len()).max_by_key(|&part| parts[part].len()) else {
            return Vec::new();
        };
        let mut cut: Vec<Self> = Vec::with_capacity(parts.len());
        for (part, rows) in parts.iter().enumerate() {
            cut.push(self.select(if part == largest { &[] } else { rows }));
        }
        cut[largest] = self.compact(&parts[largest]);
        cut
    }

    /// Keeps the rows listed, which are sorted and distinct, without a second copy of the cells.
    fn compact(mut self, rows: &[usize]) -> Self {
        self.labels = self.labels.as_ref().map(|labels| labels.select(rows));
        self.weights = self.select_weights(rows);
        self.cells = match self.cells {
            Cells::Table(cells) => Cells::Table(compact_table(cells, rows)),
            Cells::Sparse(all) => Cells::Sparse(compact_sparse(all, rows)),
        };
        self
    }
}

fn compact_table(cells: Array2<f32>, rows: &[usize]) -> Array2<f32> {
    let width = cells.ncols();
    let mut cells = row_major(cells);
    for (to, &from) in rows.iter().enumerate() {
        cells.copy_within(from * width..(from + 1) * width, to * width);
    }
    cells.truncate(rows.len() * width);
    cells.shrink_to_fit();
    table(cells, rows.len(), width)
}

/// The cells of a table as one vector, row after row; no copy if they already lie so.
pub(crate) fn row_major(cells: Array2<f32>) -> Vec<f32> {
    if cells.is_standard_layout() {
        let length = cells.len();
        let (mut all, offset) = cells.into_raw_vec_and_offset();
        let offset = offset.unwrap_or(0);
        if offset > 0 {
            all.drain(..offset);
        }
        all.truncate(length);
        all
    } else {
        cells.iter().copied().collect()
    }
}

/// A table from cells that lie row after row.
pub(crate) fn table(cells: Vec<f32>, n_rows: usize, n_columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((n_rows, n_columns), cells).expect("whole rows were stored")
}

fn select_sparse(all: &Csr, rows: &[usize]) -> Csr {
    let entries = rows.iter().map(|&row| all.offsets[row + 1] - all.offsets[row]).sum();
    let mut part = Csr {
        n_cols: all.n_cols,
        offsets: Vec::with_capacity(rows.len() + 1),
        indices: Vec::with_capacity(entries),
        values: Vec::with_capacity(entries),
    };
    part.offsets.push(0);
    for &row in rows {
        let (indices, values) = all.row(row);
        part.indices.extend_from_slice(indices);
        part.values.extend_from_slice(values);
        part.offsets.push(part.indices.len());
    }
    part
}

fn compact_sparse(mut all: Csr, rows: &[usize]) -> Csr {
    let mut end = 0;
    for (to, &from) in rows.iter().enumerate() {
        let span = all.offsets[from]..all.offsets[from + 1];
        let length = span.len();
        all.indices.copy_within(span.clone(), end);
        all.values.copy_within(span, end);
        // Row `to` is never behind row `from`, so no offset still needed is overwritten.
        all.offsets[to] = end;
        end += length;
    }
    all.offsets[rows.len()] = end;
    all.offsets.truncate(rows.len() + 1);
    all.indices.truncate(end);
    all.values.truncate(end);
    all.offsets.shrink_to_fit();
    all.indices.shrink_to_fit();
    all.values.shrink_to_fit();
    all
}

//! The sparse gather: a mini-batch by row and by column.

use std::ops::Range;

use crate::data::Csr;
use crate::kernel::fm_update_csr::{Columns, Entry};

/// Rows of a batch, and the columns that occur in them.
pub(crate) struct Batch {
    rows: Csr,
    /// Where each row lies among all.
    spans: Vec<Range<usize>>,
    /// Columns present, rising.
    columns: Vec<u32>,
    /// `[columns + 1]`: entries of each column, rows rising.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    /// `[p]`: entries of each column, then where its next one goes; 0 between batches.
    cursors: Vec<u32>,
    present: Present,
}

/// A set of columns, read in rising order without sorting: bits, and a bit for each word of them.
struct Present {
    words: Vec<u64>,
    summary: Vec<u64>,
}

impl Present {
    fn new(n_cols: usize) -> Self {
        let words = n_cols.div_ceil(64);
        Self { words: vec![0; words], summary: vec![0; words.div_ceil(64)] }
    }

    #[inline]
    fn insert(&mut self, column: u32) {
        let word = column as usize / 64;
        self.words[word] |= 1 << (column % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    /// Moves all columns to the end of `out`.
    fn drain_into(&mut self, out: &mut Vec<u32>) {
        for (s, summary) in self.summary.iter_mut().enumerate() {
            for w in bits(std::mem::take(summary)) {
                let word = s * 64 + w;
                let columns = bits(std::mem::take(&mut self.words[word]));
                out.extend(columns.map(|bit| (word * 64 + bit) as u32));
            }
        }
    }
}

/// The places of the ones, rising.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        let more = word != 0;
        word &= word.wrapping_sub(1);
        more.then_some(bit)
    })
}

impl Batch {
    /// An empty batch of rows with `n_cols` columns.
    pub(crate) fn new(n_cols: usize) -> Self {
        Self {
            rows: Csr { n_cols, ..Csr::default() },
            spans: Vec::new(),
            columns: Vec::new(),
            starts: Vec::new(),
            entries: Vec::new(),
            cursors: vec![0; n_cols],
            present: Present::new(n_cols),
        }
    }

    /// Copies the given rows of `all`; `by_column` also transposes them.
    pub(crate) fn gather(&mut self, all: &Csr, rows: &[u32], by_column: bool) {
        let batch = &mut self.rows;
        // Rows lie anywhere: a first look at all of them lets their reads wait for memory together.
        self.spans.clear();
        let mut seen = (0, 0.0);
        for &r in rows {
            let span = all.span(r as usize);
            if !span.is_empty() {
                seen = (seen.0 ^ all.indices[span.start], seen.1 + all.values[span.start]);
            }
            self.spans.push(span);
        }
        std::hint::black_box(seen);
        let n = self.spans.iter().map(Range::len).sum();
        batch.offsets.clear();
        batch.offsets.push(0);
        batch.indices.resize(n, 0);
        batch.values.resize(n, 0.0);
        let mut end = 0;
        for span in &self.spans {
            let cells = batch.indices[end..].iter_mut().zip(&mut batch.values[end..]);
            let row = all.indices[span.clone()].iter().zip(&all.values[span.clone()]);
            // Rows may have two or three entries: two calls to copy them would cost more.
            for ((index, value), (&j, &x)) in cells.zip(row) {
                (*index, *value) = (j, x);
                if by_column {
                    self.cursors[j as usize] += 1;
                    self.present.insert(j);
                }
            }
            end += span.len();
            batch.offsets.push(end);
        }
        if by_column {
            self.transpose();
        }
    }

    /// Entries by column, from the columns as they were counted.
    fn transpose(&mut self) {
        self.columns.clear();
        self.present.drain_into(&mut self.columns);
        self.starts.clear();
        let mut start = 0;
        for &j in &self.columns {
            self.starts.push(start);
            start += std::mem::replace(&mut self.cursors[j as usize], start);
        }
        self.starts.push(start);
        self.entries.resize(self.rows.indices.len(), Entry::default());
        for row in 0..self.rows.n_rows() {
            let (columns, values) = self.rows.row(row);
            for (&j, &value) in columns.iter().zip(values) {
                let cursor = &mut self.cursors[j as usize];
                self.entries[*cursor as usize] = Entry { row: row as u32, value };
                *cursor += 1;
            }
        }
        for &j in &self.columns {
            self.cursors[j as usize] = 0;
        }
    }

    /// Columns and values of row `r`.
    pub(crate) fn row(&self, r: usize) -> (&[u32], &[f32]) {
        self.rows.row(r)
    }

    /// Entries of all rows.
    pub(crate) fn n_stored(&self) -> usize {
        self.rows.indices.len()
    }

    /// Columns present, rising.
    pub(crate) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Entries of the column in `slot`, rows rising.
    pub(crate) fn entries(&self, slot: usize) -> &[Entry] {
        &self.entries[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }

    /// The columns in some slots, whose cells lie from column `first` on.
    pub(crate) fn part(&self, slots: Range<usize>, first: usize) -> Columns<'_> {
        let starts = &self.starts[slots.start..=slots.end];
        Columns { first, columns: &self.columns[slots], starts, entries: &self.entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_far_apart_come_in_rising_order_and_are_forgotten_with_the_batch() {
        let all = Csr {
            n_cols: 70_000,
            offsets: vec![0, 2, 5],
            indices: vec![63, 69_999, 0, 4_096, 64_000],
            values: vec![1.0; 5],
        };
        let mut batch = Batch::new(all.n_cols);
        batch.gather(&all, &[1, 0], true);
        assert_eq!(batch.columns(), [0, 63, 4_096, 64_000, 69_999]);
        batch.gather(&all, &[0], true);
        assert_eq!(batch.columns(), [63, 69_999]);
        assert_eq!(batch.entries(1).len(), 1);
    }

    #[test]
    fn a_batch_reads_the_same_by_row_and_by_column() {
        let all = Csr {
            n_cols: 6,
            offsets: vec![0, 2, 2, 5],
            indices: vec![1, 4, 0, 1, 5],
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0],
        };
        let mut batch = Batch::new(6);
        for rows in [[2_u32, 0, 1], [0, 1, 2]] {
            batch.gather(&all, &rows, true);
            assert_eq!(batch.columns(), [0, 1, 4, 5]);
            let mut found = Vec::new();
            for slot in 0..4 {
                for entry in batch.entries(slot) {
                    found.push((entry.row, batch.columns()[slot], entry.value));
                }
            }
            found.sort_by_key(|&(row, column, _)| (row, column));
            let expected: Vec<_> = (0..3)
                .flat_map(|r| {
                    let (columns, values) = batch.row(r);
                    columns.iter().zip(values).map(move |(&j, &x)| (r as u32, j, x))
                })
                .collect();
            assert_eq!(found, expected);
        }
    }
}

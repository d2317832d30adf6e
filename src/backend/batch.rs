//! The sparse gather: a mini-batch by row and by column.

use std::ops::Range;

use crate::data::Csr;
use crate::kernel::fm_update_csr::{Columns, Entry};

/// Rows of a batch, and the columns that occur in them.
pub(crate) struct Batch {
    rows: Csr,
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

    /// Hands out all columns, rising, and forgets them.
    #[inline(always)]
    fn drain(&mut self, mut each: impl FnMut(u32)) {
        for (s, summary) in self.summary.iter_mut().enumerate() {
            for w in bits(std::mem::take(summary)) {
                let word = s * 64 + w;
                for bit in bits(std::mem::take(&mut self.words[word])) {
                    each((word * 64 + bit) as u32);
                }
            }
        }
    }
}

/// The places of the ones, rising.
#[inline(always)]
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
            columns: Vec::new(),
            starts: Vec::new(),
            entries: Vec::new(),
            cursors: vec![0; n_cols],
            present: Present::new(n_cols),
        }
    }

    /// Copies the given rows of `all`; `by_column` also transposes them.
    pub(crate) fn gather(&mut self, all: &Csr, rows: &[u32], by_column: bool) {
        let common_length = self.lay_out(all, rows);
        let batch = &mut self.rows;
        // Rows lie anywhere: loops that do nothing else have many reads wait for memory together.
        match common_length {
            Some(1) => copy_alike::<1>(all, rows, batch),
            Some(2) => copy_alike::<2>(all, rows, batch),
            Some(3) => copy_alike::<3>(all, rows, batch),
            Some(4) => copy_alike::<4>(all, rows, batch),
            _ => copy(all, rows, batch),
        }
        if by_column {
            self.count();
            self.transpose();
        }
    }

    /// Room for the rows, and where each of them goes; returns the entries that all of them have.
    fn lay_out(&mut self, all: &Csr, rows: &[u32]) -> Option<usize> {
        let batch = &mut self.rows;
        batch.offsets.resize(rows.len() + 1, 0);
        let first = rows.first().map_or(0, |&r| all.span(r as usize).len());
        let (mut n, mut alike) = (0, true);
        for (&r, end) in rows.iter().zip(&mut batch.offsets[1..]) {
            let len = all.span(r as usize).len();
            alike &= len == first;
            n += len;
            *end = n;
        }
        batch.indices.resize(n, 0);
        batch.values.resize(n, 0.0);
        alike.then_some(first)
    }

    /// Entries of each column.
    fn count(&mut self) {
        for &j in &self.rows.indices {
            self.cursors[j as usize] += 1;
            self.present.insert(j);
        }
    }

    /// Entries by column, from the columns as they were counted.
    fn transpose(&mut self) {
        let n = self.rows.indices.len();
        // No more columns than entries: nothing grows while the columns are told.
        self.columns.resize(n, 0);
        self.starts.resize(n + 1, 0);
        let (mut slot, mut start) = (0, 0);
        self.present.drain(|j| {
            (self.columns[slot], self.starts[slot]) = (j, start);
            start += std::mem::replace(&mut self.cursors[j as usize], start);
            slot += 1;
        });
        self.columns.truncate(slot);
        self.starts.truncate(slot + 1);
        self.starts[slot] = start;
        self.entries.resize(n, Entry::default());
        for (row, span) in (0..).zip(self.rows.offsets.windows(2)) {
            let span = span[0]..span[1];
            let cells = self.rows.indices[span.clone()].iter().zip(&self.rows.values[span]);
            for (&j, &value) in cells {
                let cursor = &mut self.cursors[j as usize];
                self.entries[*cursor as usize] = Entry { row, value };
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

/// Copies rows of few entries, each as many: ratings have two, the user and the item.
fn copy_alike<const Z: usize>(all: &Csr, rows: &[u32], batch: &mut Csr) {
    let indices = batch.indices.as_chunks_mut::<Z>().0;
    let cells = indices.iter_mut().zip(batch.values.as_chunks_mut::<Z>().0);
    for (&r, (indices, values)) in rows.iter().zip(cells) {
        let start = all.offsets[r as usize];
        indices.copy_from_slice(&all.indices[start..start + Z]);
        values.copy_from_slice(&all.values[start..start + Z]);
    }
}

fn copy(all: &Csr, rows: &[u32], batch: &mut Csr) {
    for (&r, &start) in rows.iter().zip(&batch.offsets) {
        let cells = batch.indices[start..].iter_mut().zip(&mut batch.values[start..]);
        let (columns, values) = all.row(r as usize);
        // Rows may have a handful of entries: two calls to copy them would cost more.
        for ((index, value), (&j, &x)) in cells.zip(columns.iter().zip(values)) {
            (*index, *value) = (j, x);
        }
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

    #[test]
    fn rows_are_copied_the_same_whether_all_have_as_many_entries_or_not() {
        let all = Csr {
            n_cols: 30,
            // 0 to 5 entries, then 2 and 8.
            offsets: vec![0, 0, 1, 3, 6, 10, 15, 17, 25],
            indices: (0..25).collect(),
            values: (0..25).map(|at| at as f32).collect(),
        };
        let mut batch = Batch::new(30);
        for rows in [&[0, 0][..], &[1, 7, 6], &[2], &[3, 3, 3], &[4], &[2, 1, 3], &[5, 0], &[]] {
            batch.gather(&all, rows, true);
            assert_eq!(batch.rows.n_rows(), rows.len());
            let by_column = (0..batch.columns().len()).map(|slot| batch.entries(slot).len());
            assert_eq!(by_column.sum::<usize>(), batch.n_stored(), "{rows:?}");
            for (at, &row) in rows.iter().enumerate() {
                assert_eq!(batch.row(at), all.row(row as usize), "row {row} of {rows:?}");
            }
        }
    }
}

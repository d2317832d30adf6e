//! The sparse gather: a mini-batch by row and by column.

use crate::data::Csr;
use crate::kernel::fm_update_csr::Entry;

/// Rows of a batch, and the columns that occur in them.
pub(crate) struct Batch {
    rows: Csr,
    /// Columns present, rising.
    columns: Vec<u32>,
    /// `[columns + 1]`: entries of each column, rows rising.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    /// `[p]`: slot of each present column; stale elsewhere.
    slots: Vec<u32>,
    /// `[p]`: whether the column is present.
    present: Vec<bool>,
}

impl Batch {
    /// An empty batch of rows with `n_cols` columns.
    pub(crate) fn new(n_cols: usize) -> Self {
        Self {
            rows: Csr { n_cols, ..Csr::default() },
            columns: Vec::new(),
            starts: Vec::new(),
            entries: Vec::new(),
            slots: vec![0; n_cols],
            present: vec![false; n_cols],
        }
    }

    /// Copies the given rows of `all`; `by_column` also transposes them.
    pub(crate) fn gather(&mut self, all: &Csr, rows: &[u32], by_column: bool) {
        let batch = &mut self.rows;
        batch.offsets.clear();
        batch.offsets.push(0);
        batch.indices.clear();
        batch.values.clear();
        for &r in rows {
            let (columns, values) = all.row(r as usize);
            batch.indices.extend_from_slice(columns);
            batch.values.extend_from_slice(values);
            batch.offsets.push(batch.indices.len());
        }
        if by_column {
            self.transpose();
        }
    }

    fn transpose(&mut self) {
        for &j in &self.columns {
            self.present[j as usize] = false;
        }
        self.columns.clear();
        for &j in &self.rows.indices {
            if !std::mem::replace(&mut self.present[j as usize], true) {
                self.columns.push(j);
            }
        }
        self.columns.sort_unstable();
        for (slot, &j) in self.columns.iter().enumerate() {
            self.slots[j as usize] = slot as u32;
        }
        self.starts.clear();
        self.starts.resize(self.columns.len() + 2, 0);
        // Counted two places ahead, so that filling leaves every start in its own place.
        for &j in &self.rows.indices {
            self.starts[self.slots[j as usize] as usize + 2] += 1;
        }
        for slot in 2..self.starts.len() {
            self.starts[slot] += self.starts[slot - 1];
        }
        self.entries.resize(self.rows.indices.len(), Entry::default());
        for row in 0..self.rows.n_rows() {
            let (columns, values) = self.rows.row(row);
            for (&j, &value) in columns.iter().zip(values) {
                let cursor = &mut self.starts[self.slots[j as usize] as usize + 1];
                self.entries[*cursor as usize] = Entry { row: row as u32, value };
                *cursor += 1;
            }
        }
    }

    /// Columns and values of row `r`.
    pub(crate) fn row(&self, r: usize) -> (&[u32], &[f32]) {
        self.rows.row(r)
    }

    /// Columns present, rising.
    pub(crate) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Entries of the column in `slot`, rows rising.
    pub(crate) fn entries(&self, slot: usize) -> &[Entry] {
        &self.entries[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! A short name for the exact numbers a model was trained on.

use sha2::{Digest, Sha256};

use crate::data::schema::{ColumnKind, Schema};
use crate::data::{Cells, Csr, Dataset, Features, RawLabels, RawRows, Targets};

/// SHA-256 over shape, features, targets and weights where there are any, as 64 hexadecimal digits.
///
/// Equal numbers have equal fingerprints, whatever file or format they came from.
pub fn fingerprint(data: &Dataset) -> String {
    let mut print = Fingerprint::default();
    print.add(data);
    print.finish()
}

/// The fingerprint of rows that come in parts: each list of numbers has a hash of its own, so that
/// all of them can grow.
#[derive(Debug, Default)]
pub(crate) struct Fingerprint {
    sizes: [u64; 2],
    entries: u64,
    /// Of values, their columns, the ends of the rows, targets and weights.
    lists: [Sha256; 5],
}

impl Fingerprint {
    /// Adds the next rows.
    pub(crate) fn add(&mut self, data: &Dataset) {
        self.sizes = [self.sizes[0] + data.features.n_rows() as u64, data.features.n_cols() as u64];
        let [cells, columns, ends, targets, weights] = &mut self.lists;
        match &data.features {
            Features::Dense(rows) => update(cells, rows.iter().map(|x| x.to_le_bytes())),
            Features::Sparse(rows) => {
                update(cells, rows.values.iter().map(|x| x.to_le_bytes()));
                update(columns, rows.indices.iter().map(|j| j.to_le_bytes()));
                let start = self.entries;
                let rising = rows.offsets.iter().skip(1).map(|&end| start + end as u64);
                update(ends, rising.map(u64::to_le_bytes));
                self.entries += rows.values.len() as u64;
            }
        }
        match &data.targets {
            Targets::Classes(classes) => update(targets, classes.iter().map(|c| c.to_le_bytes())),
            Targets::Values(values) => update(targets, values.iter().map(|y| y.to_le_bytes())),
        }
        if let Some(all) = &data.weights {
            update(weights, all.iter().map(|w| w.to_le_bytes()));
        }
    }

    /// 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        let mut hash = Sha256::new();
        self.sizes.iter().for_each(|size| hash.update(size.to_le_bytes()));
        self.lists.into_iter().for_each(|list| hash.update(list.finalize()));
        format!("{:x}", hash.finalize())
    }
}

/// The same over rows as they were read, cells and labels, before anything is learned from them.
///
/// Kinds of columns and the words that cells stand for count too, names of columns do not.
pub fn fingerprint_raw(rows: &RawRows) -> String {
    let mut hash = Sha256::new();
    for size in [rows.n_rows(), rows.n_columns()] {
        hash.update((size as u64).to_le_bytes());
    }
    if let Schema::Table(table) = &rows.schema {
        hash.update([b't', u8::from(table.ratings)]);
        for column in &table.columns {
            match &column.kind {
                ColumnKind::Numeric => hash.update(b"n"),
                ColumnKind::Categorical { levels } => {
                    hash.update(b"c");
                    update_words(&mut hash, levels.as_slice());
                }
            }
        }
    }
    match &rows.cells {
        Cells::Table(cells) => update(&mut hash, cells.iter().map(|x| x.to_le_bytes())),
        Cells::Sparse(rows) => update_sparse(&mut hash, rows),
    }
    match &rows.labels {
        None => {}
        Some(RawLabels::Numbers(values) | RawLabels::Ratings(values)) => {
            update(&mut hash, values.iter().map(|y| y.to_le_bytes()));
        }
        Some(RawLabels::Words { names, codes, .. }) => {
            update_words(&mut hash, names);
            update(&mut hash, codes.iter().map(|c| c.to_le_bytes()));
        }
    }
    if let Some(weights) = &rows.weights {
        update(&mut hash, weights.iter().map(|w| w.to_le_bytes()));
    }
    format!("{:x}", hash.finalize())
}

fn update_words(hash: &mut Sha256, words: &[String]) {
    hash.update((words.len() as u64).to_le_bytes());
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
}

fn update_sparse(hash: &mut Sha256, rows: &Csr) {
    update(hash, rows.offsets.iter().map(|&o| (o as u64).to_le_bytes()));
    update(hash, rows.indices.iter().map(|j| j.to_le_bytes()));
    update(hash, rows.values.iter().map(|x| x.to_le_bytes()));
}

/// Feeds the hash in blocks: one call a number would cost more than the hashing.
fn update<const N: usize>(hash: &mut Sha256, numbers: impl Iterator<Item = [u8; N]>) {
    let mut block = Vec::with_capacity(1 << 16);
    for bytes in numbers {
        block.extend_from_slice(&bytes);
        if block.len() + N > 1 << 16 {
            hash.update(&block);
            block.clear();
        }
    }
    hash.update(&block);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Notes, ReadOptions, read};

    fn of(text: &str) -> String {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
        std::fs::write(file.path(), text).expect("is written");
        let rows = read(file.path(), &ReadOptions::default(), &mut Notes::new()).expect("rows");
        fingerprint_raw(&rows)
    }

    #[test]
    fn rows_as_read_are_told_apart_by_cells_and_labels() {
        let same = of("a,b,label\n1,2,x\n3,4,y\n");
        assert_eq!(same, of("c,d,label\n1.0,2,x\n3,4,y\n"));
        for other in
            ["a,b,label\n1,2,x\n3,5,y\n", "a,b,label\n1,2,x\n3,4,z\n", "a,label\n1,x\n3,y\n"]
        {
            assert_ne!(same, of(other), "{other}");
        }
    }

    #[test]
    fn rows_as_read_are_told_apart_by_kinds_and_words_behind_equal_cells() {
        let of_words = of("a,label\nu,x\nv,y\n");
        assert_ne!(of_words, of("a,label\nu,x\nw,y\n"), "words");
        assert_ne!(of_words, of("a,label\n0,x\n1,y\n"), "kinds");
    }
}

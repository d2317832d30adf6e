//! A short name for the exact numbers a model was trained on.

use sha2::{Digest, Sha256};

use crate::data::schema::{ColumnKind, Schema};
use crate::data::{Cells, Csr, Dataset, Features, RawLabels, RawRows, Targets};

/// SHA-256 over shape, features, targets and weights where there are any, as 64 hexadecimal digits.
///
/// Equal numbers have equal fingerprints, whatever file or format they came from.
pub fn fingerprint(data: &Dataset) -> String {
    let mut hash = Sha256::new();
    for size in [data.features.n_rows(), data.features.n_cols()] {
        hash.update((size as u64).to_le_bytes());
    }
    match &data.features {
        Features::Dense(rows) => update(&mut hash, rows.iter().map(|x| x.to_le_bytes())),
        Features::Sparse(rows) => update_sparse(&mut hash, rows),
    }
    match &data.targets {
        Targets::Classes(classes) => update(&mut hash, classes.iter().map(|c| c.to_le_bytes())),
        Targets::Values(values) => update(&mut hash, values.iter().map(|y| y.to_le_bytes())),
    }
    if let Some(weights) = &data.weights {
        update(&mut hash, weights.iter().map(|w| w.to_le_bytes()));
    }
    hex(&hash.finalize())
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
    hex(&hash.finalize())
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

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
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

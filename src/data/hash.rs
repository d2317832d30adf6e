//! Features hashed into 2^N columns, so that a model needs no list of names, ids and categories.
//!
//! Models keep nothing of the names but N, so the hashes may never change: FNV-1a of 64 bits (Fowler, Noll and
//! Vo), its bits mixed as those of MurmurHash3 are in the end (Appleby), the first N of them taken.

use super::Csr;

/// Most bits that columns are hashed to.
pub(crate) const MAX_BITS: u8 = 30;

/// In no UTF-8 text, so that a column's name and its category cannot run into each other.
const SEPARATOR: u8 = 0xff;

/// The column of the numbers of a csv column.
pub(crate) fn number(name: &str, bits: u8) -> u32 {
    place(name.bytes(), bits)
}

/// The column of a category, or of a missing cell where there is none.
pub(crate) fn category(name: &str, level: Option<&str>, bits: u8) -> u32 {
    let level = level.map_or(&[SEPARATOR][..], str::as_bytes);
    place(name.bytes().chain([SEPARATOR]).chain(level.iter().copied()), bits)
}

/// The column of a numbered feature, counted from 0.
pub(crate) fn index(j: usize, bits: u8) -> u32 {
    place((j as u64).to_le_bytes().into_iter(), bits)
}

#[expect(clippy::cast_possible_truncation, reason = "at most 30 bits are left")]
fn place(bytes: impl Iterator<Item = u8>, bits: u8) -> u32 {
    (mixed(fnv(bytes)) >> (64 - u32::from(bits.min(MAX_BITS)))) as u32
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}

fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Sparse rows of entries that come row by row, but in any order within a row.
pub(crate) struct RowBuilder {
    rows: Csr,
    row: Vec<(u32, f32)>,
}

impl RowBuilder {
    /// No rows yet, of 2^`bits` columns.
    pub(crate) fn new(bits: u8) -> Self {
        let rows = Csr { n_cols: 1 << bits, offsets: vec![0], ..Csr::default() };
        Self { rows, row: Vec::new() }
    }

    /// Adds an entry of row `i`, which may not be before those added so far.
    pub(crate) fn push(&mut self, i: usize, column: u32, value: f32) {
        self.end_rows(i);
        self.row.push((column, value));
    }

    /// The rows, `n` of them.
    pub(crate) fn finish(mut self, n: usize) -> Csr {
        self.end_rows(n);
        self.rows
    }

    /// Ends rows until `n` are whole. Values that share a column are summed, within the finite.
    fn end_rows(&mut self, n: usize) {
        while self.rows.offsets.len() <= n {
            self.row.sort_by_key(|&(column, _)| column);
            for same in self.row.chunk_by(|a, b| a.0 == b.0) {
                let sum: f32 = same.iter().map(|&(_, value)| value).sum();
                if sum != 0.0 {
                    self.rows.indices.push(same[0].0);
                    self.rows.values.push(sum.clamp(f32::MIN, f32::MAX));
                }
            }
            self.row.clear();
            self.rows.offsets.push(self.rows.values.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_every_version() {
        // Published vectors of FNV-1a.
        assert_eq!(fnv(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
        // Of Appleby's fmix64.
        assert_eq!(mixed(1), 0xb456_bcfc_34c2_cb2c);
        let places = [
            number("age", 20),
            category("town", Some("Köln"), 20),
            category("town", None, 20),
            index(0, 20),
            index(7, 30),
        ];
        assert_eq!(places, [758_177, 699_094, 744_215, 507_185, 813_976_404]);
    }

    #[test]
    fn names_and_categories_do_not_run_into_each_other() {
        assert_ne!(category("ab", Some("c"), 30), category("a", Some("bc"), 30));
        assert_ne!(category("a", Some(""), 30), category("a", None, 30));
        assert_ne!(category("a", Some(""), 30), number("a", 30));
    }

    #[test]
    fn every_column_is_used_about_equally_often() {
        let mut counts = [0_u32; 16];
        (0..16_000).for_each(|j| counts[index(j, 4) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn entries_that_collide_are_summed_and_rows_may_be_empty() {
        let mut rows = RowBuilder::new(3);
        for (i, column, value) in
            [(1, 5, 1.0), (1, 2, 4.0), (1, 5, 0.5), (3, 0, 1.0), (3, 0, -1.0), (3, 7, f32::MAX)]
        {
            rows.push(i, column, value);
        }
        rows.push(3, 7, f32::MAX);
        let rows = rows.finish(5);
        assert_eq!((rows.n_cols, rows.offsets), (8, vec![0, 0, 2, 2, 3, 3]));
        assert_eq!(rows.indices, [2, 5, 7]);
        assert_eq!(rows.values, [4.0, 1.5, f32::MAX]);
    }
}

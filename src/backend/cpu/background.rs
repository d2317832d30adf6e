//! Dense rows as what differs from a background: in each feature a value that many rows have.
//!
//! Standardisation makes a number of every zero (the dark pixels of an image), but the same one in
//! each row. With x = g + δ, δ mostly zero, every sum over the features of a row is one over g,
//! which all rows share, and a short one over δ:
//! Σⱼ xⱼvⱼ = Σⱼ gⱼvⱼ + Σ_{δⱼ≠0} δⱼvⱼ, Σⱼ xⱼ²rⱼ = Σⱼ gⱼ²rⱼ + Σ_{δⱼ≠0} (xⱼ² − gⱼ²)rⱼ, equal to the plain
//! sums but for rounding. CPU only.

pub(crate) mod score;
pub(crate) mod update;

use ndarray::Array2;

use crate::kernel::fm_score::FEATURE_BLOCK;
use crate::kernel::{ROW_CHUNK, Shape};
use crate::simd::{LANES, fold_lanes, vectorized};

/// Rows looked at for the background.
const SAMPLE: usize = 256;

/// Least share of the cells that the background must have, and least lanes of a record, for its
/// kernels to be faster than the plain ones (measured at the shape of MNIST).
const LEAST_SHARE: f64 = 0.6;
const LEAST_LANES: usize = 4 * LANES;

/// A background is the value of one row in so many at least, or else 0.
const COMMON: usize = 8;

/// Nor is it further from 0 than so many times the value that a quarter of the rows is below.
const FURTHEST: f32 = 4.0;

/// The most frequent value g of each feature, 0 where none is frequent `[row_stride]`.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    pub(crate) values: Vec<f32>,
}

/// One cell that differs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// Feature, counted from the first of its block.
    pub(crate) feature: u32,
    /// x − g.
    pub(crate) step: f32,
    /// x² − g².
    pub(crate) square: f32,
}

/// Some rows of a batch as their differences.
#[derive(Debug, Clone, Default)]
pub(crate) struct Differences {
    /// `[rows · blocks + 1]`: where those of each row and block begin.
    starts: Vec<u32>,
    entries: Vec<Difference>,
}

impl Background {
    /// The background of `rows` `[n, p]`, where a model of this shape gains by it.
    pub(crate) fn find(rows: &Array2<f32>, shape: Shape) -> Option<Self> {
        let wide = shape.features >= 2 * FEATURE_BLOCK && shape.stride >= LEAST_LANES;
        // The sums of (x² − g²)r of all outputs are one vector.
        if !wide || shape.outputs > LANES {
            return None;
        }
        let (n, p) = rows.dim();
        let sampled = n.min(SAMPLE);
        let (mut values, mut cells) = (vec![0.0; shape.row_stride()], 0);
        let mut column = vec![0.0_f32; sampled];
        for (j, value) in values[..p].iter_mut().enumerate() {
            for (s, x) in column.iter_mut().enumerate() {
                *x = rows[[s * n / sampled, j]];
            }
            column.sort_unstable_by(f32::total_cmp);
            let most = column.chunk_by(|a, b| a == b).max_by_key(|run| run.len())?;
            let (common, often) = (most[0], COMMON * most.len() >= sampled);
            column.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
            // Rows far smaller than it would be the difference of large sums.
            if often && common.abs() <= FURTHEST * column[sampled / 4].abs() {
                *value = common;
            }
            cells += column.iter().filter(|x| *x == value).count();
        }
        let share = cells as f64 / (sampled * p) as f64;
        (share >= LEAST_SHARE).then_some(Self { values })
    }
}

impl Differences {
    /// Takes at most [`ROW_CHUNK`] rows `[n, row_stride]`.
    pub(crate) fn take(&mut self, background: &Background, rows: &[f32]) {
        let Self { starts, entries } = self;
        starts.clear();
        entries.clear();
        let values = &background.values;
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact(values.len()) {
                    let blocks = row.chunks(FEATURE_BLOCK).zip(values.chunks(FEATURE_BLOCK));
                    for (row, values) in blocks {
                        starts.push(entries.len() as u32);
                        compare(row, values, entries);
                    }
                }
            },
        );
        starts.push(entries.len() as u32);
    }

    /// Those of a row in a block of features.
    #[inline(always)]
    fn of(&self, row: usize, block: usize, blocks: usize) -> &[Difference] {
        let at = row * blocks + block;
        &self.entries[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// Appends the differences of one row in one block.
#[inline(always)]
fn compare(row: &[f32], values: &[f32], entries: &mut Vec<Difference>) {
    let vectors = row.as_chunks::<LANES>().0.iter().zip(values.as_chunks::<LANES>().0);
    for (v, (x, g)) in vectors.enumerate() {
        let mut bits = [0_u32; LANES];
        for l in 0..LANES {
            bits[l] = if x[l] == g[l] { 0 } else { 1 << l };
        }
        let mut differ = fold_lanes(bits, |a, b| a | b);
        while differ != 0 {
            let l = differ.trailing_zeros() as usize;
            differ &= differ - 1;
            let (x, g) = (x[l], g[l]);
            entries.push(Difference {
                feature: (v * LANES + l) as u32,
                step: x - g,
                square: x.mul_add(x, -(g * g)),
            });
        }
    }
}

/// A batch as its differences, in chunks of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchDifferences<'a> {
    pub(crate) background: &'a Background,
    /// Of [`ROW_CHUNK`] rows each.
    pub(crate) chunks: &'a [Differences],
}

impl<'a> BatchDifferences<'a> {
    /// Those of a batch row in a block of features.
    #[inline(always)]
    pub(crate) fn of(self, row: u32, block: usize) -> &'a [Difference] {
        let (chunk, row) = (row as usize / ROW_CHUNK, row as usize % ROW_CHUNK);
        let blocks = self.background.values.len().div_ceil(FEATURE_BLOCK);
        self.chunks[chunk].of(row, block, blocks)
    }
}

/// Vectors of a record that are held in registers together.
pub(crate) const TILE: usize = 8;

/// Calls a kernel for all `vectors` of a record, at most [`TILE`] at a time, their number known to the
/// compiler; `$first` is the first of them.
macro_rules! with_tiles {
    ($vectors:expr, |$first:ident, $width:ident| $call:expr) => {{
        let mut $first = 0;
        while $first < $vectors {
            let width = ($vectors - $first).min($crate::backend::cpu::background::TILE);
            match width {
                1 => {
                    const $width: usize = 1;
                    $call
                }
                2 => {
                    const $width: usize = 2;
                    $call
                }
                3 => {
                    const $width: usize = 3;
                    $call
                }
                4 => {
                    const $width: usize = 4;
                    $call
                }
                5 => {
                    const $width: usize = 5;
                    $call
                }
                6 => {
                    const $width: usize = 6;
                    $call
                }
                7 => {
                    const $width: usize = 7;
                    $call
                }
                _ => {
                    const $width: usize = 8;
                    $call
                }
            }
            $first += width;
        }
    }};
}
pub(crate) use with_tiles;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kernel::fm_update::{ChannelOrder, fill_squares};

    /// Rows `[n, p]` of which three cells in four are the background's, and that background.
    pub(crate) fn rows(n: usize, p: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, p), |(i, j)| {
            let ground = (j as f32 * 0.37).sin();
            if (i * 7 + j * 5) % 4 == 0 { (i as f32 * 0.9 + j as f32).cos() } else { ground }
        })
    }

    pub(crate) fn number(i: usize) -> f32 {
        (i as f32 * 0.7).sin()
    }

    /// One anchor's model, a batch of rows with a background, and pairs of them.
    pub(crate) struct Bench {
        pub(crate) shape: Shape,
        pub(crate) rows: Vec<f32>,
        pub(crate) pair_rows: Vec<u32>,
        pub(crate) records: Vec<f32>,
        pub(crate) bias: Vec<f32>,
        background: Background,
        differences: Vec<Differences>,
    }

    impl Bench {
        pub(crate) fn new(outputs: usize, factors: usize) -> Self {
            let (p, n) = (150, 100);
            let stride = (outputs * (factors + 1)).next_multiple_of(LANES);
            let shape = Shape { anchors: 1, features: p, outputs, factors, stride };
            let all = rows(n, p);
            let background = Background::find(&all, shape).expect("three quarters of the cells");
            let mut rows = vec![0.0; n * shape.row_stride()];
            for (to, from) in rows.chunks_exact_mut(shape.row_stride()).zip(all.outer_iter()) {
                to[..p].copy_from_slice(from.as_slice().expect("row-major"));
            }
            let chunks = rows.chunks(ROW_CHUNK * shape.row_stride());
            let taken = chunks.map(|rows| {
                let mut differences = Differences::default();
                differences.take(&background, rows);
                differences
            });
            let differences = taken.collect();
            let mut records: Vec<f32> = (0..p * stride).map(|i| 0.1 * number(i)).collect();
            for record in records.chunks_exact_mut(stride) {
                record[outputs * (factors + 1)..].fill(0.0);
            }
            let bias = (0..outputs).map(number).collect();
            let pair_rows = (0..n as u32).filter(|r| r % 3 > 0).collect();
            Self { shape, rows, pair_rows, records, bias, background, differences }
        }

        pub(crate) fn batch(&self) -> BatchDifferences<'_> {
            BatchDifferences { background: &self.background, chunks: &self.differences }
        }

        pub(crate) fn squares(&self, order: ChannelOrder) -> Vec<f32> {
            self.squares_of(&self.records, order)
        }

        pub(crate) fn squares_of(&self, records: &[f32], order: ChannelOrder) -> Vec<f32> {
            let mut squares = vec![0.0; order.len(self.shape)];
            fill_squares(self.shape, records, order, &mut squares);
            squares
        }
    }

    #[test]
    fn the_background_is_what_most_rows_have_and_differences_make_up_the_rest() {
        let shape = Shape { anchors: 2, features: 150, outputs: 7, factors: 9, stride: 80 };
        let all = rows(300, 150);
        let background = Background::find(&all, shape).expect("three quarters of the cells");
        let expected: Vec<f32> = (0..150).map(|j| (j as f32 * 0.37).sin()).collect();
        assert_eq!(background.values[..150], expected);
        assert_eq!(background.values[150..], [0.0; 10]);
        let mut padded = vec![0.0; 2 * 160];
        for (i, row) in padded.chunks_exact_mut(160).enumerate() {
            row[..150].copy_from_slice(all.row(i).as_slice().expect("row-major"));
        }
        let mut differences = Differences::default();
        differences.take(&background, &padded);
        for (i, row) in padded.chunks_exact(160).enumerate() {
            let mut found = background.values.clone();
            for block in 0..3 {
                for cell in differences.of(i, block, 3) {
                    let j = block * FEATURE_BLOCK + cell.feature as usize;
                    let (x, g) = (row[j], found[j]);
                    assert!((cell.square - (x * x - g * g)).abs() < 1e-6);
                    found[j] += cell.step;
                }
            }
            assert!(found.iter().zip(row).all(|(f, x)| (f - x).abs() < 1e-6), "row {i}");
        }
    }

    #[test]
    fn a_column_without_a_common_value_or_of_a_far_one_is_compared_with_zero() {
        let shape = Shape { anchors: 2, features: 150, outputs: 7, factors: 9, stride: 80 };
        let mut all = rows(300, 150);
        let small = |i: usize| 1.0 + i as f32 * 1e-3;
        let outlier = |i: usize| if i == 256 { 1e6 } else { small(i) };
        let sentinel = |i: usize| if i % 5 < 3 { -1e6 } else { small(i) };
        for i in 0..300 {
            (all[[i, 3]], all[[i, 4]], all[[i, 5]]) = (outlier(i), sentinel(i), small(i % 5));
        }
        let background = Background::find(&all, shape).expect("three quarters of the cells");
        assert_eq!(background.values[3..5], [0.0; 2]);
        assert!((1.0..1.005).contains(&background.values[5]), "one row in five");
    }

    #[test]
    fn rows_without_a_background_or_narrow_records_have_none() {
        let shape = Shape { anchors: 2, features: 150, outputs: 7, factors: 9, stride: 80 };
        let noise = Array2::from_shape_fn((50, 150), |(i, j)| (i * 150 + j) as f32);
        assert!(Background::find(&noise, shape).is_none());
        let narrow = Shape { outputs: 1, stride: 16, ..shape };
        assert!(Background::find(&rows(50, 150), narrow).is_none());
    }
}

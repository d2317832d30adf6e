//! Score of each pair's local factorization machine from the row's differences to the background.
//!
//! What [`fm_score`](mod@crate::kernel::fm_score) computes, in O(n·δ·C(d + 2)) for δ differences a row
//! and O(p·C(d + 2)) for what the rows share. squares `[blocks, FEATURE_BLOCK, LANES]`, a lane an
//! output.

use super::{BatchDifferences, Difference, with_tiles};
use crate::kernel::Shape;
use crate::kernel::fm_score::{FEATURE_BLOCK, LocalModel, squared_norm};
use crate::simd::{LANES, dispatch};
use pulp::{Simd, WithSimd};

/// Pairs whose sums stay in cache while they pass a block of records.
const GROUP: usize = 64;

/// Fills `sums` `[n, stride]` and `scores` `[n, C]` for the pairs of one anchor.
pub(crate) fn fm_score_background(
    shape: Shape,
    model: LocalModel<'_>,
    batch: BatchDifferences<'_>,
    pair_rows: &[u32],
    sums: &mut [f32],
    scores: &mut [f32],
) {
    if !pair_rows.is_empty() {
        dispatch(Kernel { shape, model, batch, pair_rows, sums, scores });
    }
}

struct Kernel<'a> {
    shape: Shape,
    model: LocalModel<'a>,
    batch: BatchDifferences<'a>,
    pair_rows: &'a [u32],
    sums: &'a mut [f32],
    scores: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, model, batch, pair_rows, sums, scores } = self;
        let Shape { stride, outputs, .. } = shape;
        let shared_own = shared(simd, model, &batch.background.values, stride, &mut sums[..stride]);
        for pair in 1..pair_rows.len() {
            sums.copy_within(..stride, pair * stride);
        }
        let groups = sums.chunks_mut(GROUP * stride).zip(scores.chunks_mut(GROUP * outputs));
        for (pair_rows, (sums, scores)) in pair_rows.chunks(GROUP).zip(groups) {
            let mut own = [shared_own; GROUP];
            let blocks = model.records.chunks(FEATURE_BLOCK * stride);
            let squares = model.squares.as_chunks::<LANES>().0.chunks(FEATURE_BLOCK);
            for (block, (records, squares)) in blocks.zip(squares).enumerate() {
                let cells = sums.chunks_exact_mut(stride).zip(&mut own);
                for (&row, (sums, own)) in pair_rows.iter().zip(cells) {
                    let cells = batch.of(row, block);
                    add_squares(simd, cells, squares, own);
                    with_tiles!(stride / S::F32_LANES, |first, W| add_records::<S, W>(
                        simd, cells, records, stride, first, sums
                    ));
                }
            }
            let cells = sums.chunks_exact(stride).zip(scores.chunks_exact_mut(outputs));
            for ((sums, scores), own) in cells.zip(&own) {
                finish(shape, model.bias, sums, own, scores);
            }
        }
    }
}

/// Σ g·v into `sums`, and Σ g²r.
#[inline(always)]
fn shared<S: Simd>(
    simd: S,
    model: LocalModel<'_>,
    background: &[f32],
    stride: usize,
    sums: &mut [f32],
) -> [f32; LANES] {
    let mut own = [0.0_f32; LANES];
    sums.fill(0.0);
    let features = model.records.chunks_exact(stride).zip(model.squares.as_chunks::<LANES>().0);
    for (&g, (record, squares)) in background.iter().zip(features) {
        let value = simd.splat_f32s(g);
        let record = S::as_simd_f32s(record).0;
        for (sum, v) in S::as_mut_simd_f32s(sums).0.iter_mut().zip(record) {
            *sum = simd.mul_add_f32s(value, *v, *sum);
        }
        for (own, r) in own.iter_mut().zip(squares) {
            *own = (g * g).mul_add(*r, *own);
        }
    }
    own
}

/// Adds Σ δv over W vectors of the records.
#[inline(always)]
fn add_records<S: Simd, const W: usize>(
    simd: S,
    cells: &[Difference],
    records: &[f32],
    stride: usize,
    first: usize,
    sums: &mut [f32],
) {
    let (lane, width) = (first * S::F32_LANES, W * S::F32_LANES);
    let out = &mut S::as_mut_simd_f32s(&mut sums[lane..lane + width]).0[..W];
    let mut sums = [simd.splat_f32s(0.0); W];
    sums.copy_from_slice(out);
    for cell in cells {
        let record = &records[cell.feature as usize * stride + lane..][..width];
        let (record, value) = (&S::as_simd_f32s(record).0[..W], simd.splat_f32s(cell.step));
        for w in 0..W {
            sums[w] = simd.mul_add_f32s(value, record[w], sums[w]);
        }
    }
    out.copy_from_slice(&sums);
}

/// Adds Σ (x² − g²)r; even and odd cells apart, so that one sum does not wait for the other.
#[inline(always)]
fn add_squares<S: Simd>(
    simd: S,
    cells: &[Difference],
    squares: &[[f32; LANES]],
    own: &mut [f32; LANES],
) {
    let vectors = LANES / S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); LANES]; 2];
    for (n, cell) in cells.iter().enumerate() {
        let squares = S::as_simd_f32s(&squares[cell.feature as usize]).0;
        let (value, sums) = (simd.splat_f32s(cell.square), &mut sums[n % 2]);
        for v in 0..vectors {
            sums[v] = simd.mul_add_f32s(value, squares[v], sums[v]);
        }
    }
    for (v, own) in S::as_mut_simd_f32s(own).0.iter_mut().enumerate() {
        *own = simd.add_f32s(*own, simd.add_f32s(sums[0][v], sums[1][v]));
    }
}

/// Scores of one pair from its sums.
#[inline(always)]
fn finish(shape: Shape, bias: &[f32], sums: &[f32], own: &[f32; LANES], scores: &mut [f32]) {
    let d = shape.factors;
    let channels = sums.chunks_exact(d + 1).zip(bias.iter().zip(own));
    for (score, (sums, (bias, own))) in scores.iter_mut().zip(channels) {
        *score = bias + sums[d] + 0.5 * (squared_norm(&sums[..d]) - own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::background::tests::Bench;
    use crate::kernel::fm_score::fm_score;
    use crate::kernel::fm_update::ChannelOrder;

    #[test]
    fn scores_are_those_of_whole_rows() {
        for (outputs, factors) in [(7, 9), (16, 20), (3, 40), (1, 70)] {
            let bench = Bench::new(outputs, factors);
            let (shape, n) = (bench.shape, bench.pair_rows.len());
            let run = |order: ChannelOrder| {
                let squares = bench.squares(order);
                let model =
                    LocalModel { bias: &bench.bias, records: &bench.records, squares: &squares };
                let (mut sums, mut scores) = (vec![9.0; n * shape.stride], vec![9.0; n * outputs]);
                if order == ChannelOrder::FIRST {
                    let rows = &bench.rows;
                    fm_score(shape, model, rows, &bench.pair_rows, &mut sums, &mut scores);
                } else {
                    let batch = bench.batch();
                    let rows = &bench.pair_rows;
                    fm_score_background(shape, model, batch, rows, &mut sums, &mut scores);
                }
                [sums, scores].concat()
            };
            let (whole, found) = (run(ChannelOrder::FIRST), run(ChannelOrder::LAST));
            for (f, w) in found.iter().zip(&whole) {
                assert!((f - w).abs() < 1e-4 * (1.0 + w.abs()), "C {outputs}: {f} for {w}");
            }
        }
    }
}

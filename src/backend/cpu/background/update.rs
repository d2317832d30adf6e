//! Gradient and optimizer step of the local models from the rows' differences to the background.
//!
//! What [`fm_update`](mod@crate::kernel::fm_update) does, with Xᵀ[a·q | a] = g·Σ[a·q | a] + Σ δ[a·q | a] and
//! X²ᵀa likewise. O(n·δ·C(d + 2)) for δ differences a row, and O(p·C(d + 1)) for the step.

use super::{BatchDifferences, Difference, with_tiles};
use crate::kernel::Shape;
use crate::kernel::fm_score::FEATURE_BLOCK;
use crate::kernel::fm_update::{
    COLUMNS, ChannelOrder, FmBlock, FmScratch, refresh_squares, subtract_own,
};
use crate::optimizer::Update;
use crate::simd::{LANES, dispatch};
use pulp::{Simd, WithSimd};

/// Steps one block along the gradient of the anchor's pairs; its squares are `[FEATURE_BLOCK, LANES]`.
pub(crate) fn fm_update_background(
    shape: Shape,
    batch: BatchDifferences<'_>,
    pair_rows: &[u32],
    weighted: &[f32],
    block: FmBlock<'_>,
    update: Update,
    scratch: &mut FmScratch,
) {
    if !(pair_rows.is_empty() && update.skips_zero_gradient()) {
        dispatch(Kernel { shape, batch, pair_rows, weighted, block, update, scratch });
    }
}

struct Kernel<'a> {
    shape: Shape,
    batch: BatchDifferences<'a>,
    pair_rows: &'a [u32],
    weighted: &'a [f32],
    block: FmBlock<'a>,
    update: Update,
    scratch: &'a mut FmScratch,
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, batch, pair_rows, weighted, block, update, scratch } = self;
        let FmBlock { first, records, mut moments, squares } = block;
        let stride = shape.stride;
        let FmScratch { gradient, own, total } = scratch;
        for (sums, len) in [(&mut *gradient, records.len()), (own, FEATURE_BLOCK * LANES)] {
            sums.clear();
            sums.resize(len, 0.0);
        }
        total.clear();
        total.resize(stride, 0.0);
        let own = own.as_chunks_mut::<LANES>().0;
        let mut total_own = [0.0_f32; LANES];
        for (&row, weighted) in pair_rows.iter().zip(weighted.chunks_exact(stride)) {
            let cells = batch.of(row, first / FEATURE_BLOCK);
            let slopes = slopes(shape, weighted);
            for l in 0..LANES {
                total_own[l] += slopes[l];
            }
            for (total, w) in total.iter_mut().zip(weighted) {
                *total += w;
            }
            add_squares(simd, cells, &slopes, own);
            with_tiles!(stride / S::F32_LANES, |first, W| add_weighted::<S, W>(
                simd, cells, weighted, stride, first, gradient
            ));
        }
        let background = &batch.background.values[first..];
        for ((gradient, own), &g) in
            gradient.chunks_exact_mut(stride).zip(&mut *own).zip(background)
        {
            for (gradient, total) in gradient.iter_mut().zip(&*total) {
                *gradient = g.mul_add(*total, *gradient);
            }
            for l in 0..LANES {
                own[l] = (g * g).mul_add(total_own[l], own[l]);
            }
        }
        let own = own.as_flattened();
        let tiles = records.chunks_mut(COLUMNS * stride).zip(gradient.chunks_mut(COLUMNS * stride));
        for (t, (records, gradient)) in tiles.enumerate() {
            subtract_own(shape, records, own, ChannelOrder::LAST, t * COLUMNS, gradient);
            update.apply(records, gradient, moments.take(records.len()));
            refresh_squares(shape, records, ChannelOrder::LAST, t * COLUMNS, squares);
        }
    }
}

/// a of each output, in one vector.
#[inline(always)]
fn slopes(shape: Shape, weighted: &[f32]) -> [f32; LANES] {
    let mut slopes = [0.0; LANES];
    let d = shape.factors;
    for (c, slope) in slopes[..shape.outputs].iter_mut().enumerate() {
        *slope = weighted[c * (d + 1) + d];
    }
    slopes
}

/// Adds δ[a·q | a] of one pair to the gradients, over W vectors.
#[inline(always)]
fn add_weighted<S: Simd, const W: usize>(
    simd: S,
    cells: &[Difference],
    weighted: &[f32],
    stride: usize,
    first: usize,
    gradient: &mut [f32],
) {
    let (lane, width) = (first * S::F32_LANES, W * S::F32_LANES);
    let mut held = [simd.splat_f32s(0.0); W];
    held.copy_from_slice(&S::as_simd_f32s(&weighted[lane..lane + width]).0[..W]);
    for cell in cells {
        let sums = &mut gradient[cell.feature as usize * stride + lane..][..width];
        let sums = &mut S::as_mut_simd_f32s(sums).0[..W];
        let value = simd.splat_f32s(cell.step);
        for w in 0..W {
            sums[w] = simd.mul_add_f32s(value, held[w], sums[w]);
        }
    }
}

/// Adds (x² − g²)a of one pair.
#[inline(always)]
fn add_squares<S: Simd>(
    simd: S,
    cells: &[Difference],
    slopes: &[f32; LANES],
    own: &mut [[f32; LANES]],
) {
    let slopes = S::as_simd_f32s(slopes).0;
    for cell in cells {
        let value = simd.splat_f32s(cell.square);
        let own = S::as_mut_simd_f32s(&mut own[cell.feature as usize]).0;
        for (own, slope) in own.iter_mut().zip(slopes) {
            *own = simd.mul_add_f32s(value, *slope, *own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::background::tests::{Bench, number};
    use crate::config::Optimizer;
    use crate::kernel::fm_update::{ChannelOrder, fm_update};
    use crate::optimizer::Moments;

    #[test]
    fn a_step_is_that_of_whole_rows() {
        for (outputs, factors) in [(7, 9), (16, 20), (3, 40)] {
            let bench = Bench::new(outputs, factors);
            let (shape, rows) = (bench.shape, &bench.pair_rows);
            let weighted: Vec<f32> = (0..rows.len() * shape.stride).map(number).collect();
            let update = Update::new(Optimizer::Sgd, 1, 0.01).with_penalty(0.01, 0.0);
            let run = |order: ChannelOrder| {
                let (mut records, mut squares) = (bench.records.clone(), bench.squares(order));
                let mut moments = Moments::new(Optimizer::Sgd, 0);
                let mut scratch = FmScratch::default();
                let blocks = records.chunks_mut(FEATURE_BLOCK * shape.stride);
                let squares_of = squares.chunks_exact_mut(order.block_len(shape));
                for (b, (records, squares)) in blocks.zip(squares_of).enumerate() {
                    let first = b * FEATURE_BLOCK;
                    let block = FmBlock { first, records, moments: moments.view(), squares };
                    if order == ChannelOrder::FIRST {
                        let all = &bench.rows;
                        fm_update(shape, all, rows, &weighted, block, update, &mut scratch);
                    } else {
                        let batch = bench.batch();
                        let scratch = &mut scratch;
                        fm_update_background(shape, batch, rows, &weighted, block, update, scratch);
                    }
                }
                assert_eq!(squares, bench.squares_of(&records, order));
                records
            };
            let (whole, found) = (run(ChannelOrder::FIRST), run(ChannelOrder::LAST));
            let live = (0..whole.len()).filter(|l| l % shape.stride < outputs * (factors + 1));
            for l in live {
                let (f, w) = (found[l], whole[l]);
                assert!((f - w).abs() < 1e-4 * (1.0 + w.abs()), "C {outputs}, {l}: {f} for {w}");
            }
        }
    }
}

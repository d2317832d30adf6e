//! Gradient and optimizer step of the local models, dense rows (paper, eq. 15 and 16, as descent).
//!
//! With a = γ·∂ℓ/∂ŷ / b per pair and channel: ∂b = Σ a, ∂w = Xᵀa, ∂V = Xᵀ(a·q) − V·(X²ᵀa).
//!
//! rows `[b, row_stride]` · weighted sums `[n, stride]` (per channel a·q and a) → records, squares.
//! One task a (anchor, block of features): the only writer of that block, it sums the anchor's rows
//! in order and takes the step while the gradient is in cache. O(n·p·C(d + 2)) and, whatever n,
//! O(p·C(d + 1)) for the step.

use crate::kernel::Shape;
use crate::kernel::fm_score::{FEATURE_BLOCK, squared_norm};
use crate::optimizer::{MomentsMut, Update};
use crate::simd::{LANES, vectorized};

/// One (anchor, feature block) of the local models, to be moved.
pub(crate) struct FmBlock<'a> {
    /// First feature of the block.
    pub(crate) first: usize,
    /// `[features of the block, stride]`.
    pub(crate) records: &'a mut [f32],
    pub(crate) moments: MomentsMut<'a>,
    /// r `[C, FEATURE_BLOCK]`.
    pub(crate) squares: &'a mut [f32],
}

/// Scratch of one task.
#[derive(Debug, Default)]
pub(crate) struct FmScratch {
    gradient: Vec<f32>,
    /// X²ᵀa `[C, FEATURE_BLOCK]`.
    own: Vec<f32>,
}

/// Turns the sums q and w·x of one pair into a·q and a, channel by channel.
#[inline(always)]
pub(crate) fn weigh_sums(factors: usize, coefficients: &[f32], sums: &mut [f32]) {
    for (a, sums) in coefficients.iter().zip(sums.chunks_exact_mut(factors + 1)) {
        sums[..factors].iter_mut().for_each(|q| *q *= a);
        sums[factors] = *a;
    }
}

/// Steps one block along the gradient of the anchor's pairs.
pub(crate) fn fm_update(
    shape: Shape,
    rows: &[f32],
    pair_rows: &[u32],
    weighted: &[f32],
    block: FmBlock<'_>,
    update: Update,
    scratch: &mut FmScratch,
) {
    if pair_rows.is_empty() && update.skips_zero_gradient() {
        return;
    }
    vectorized(
        #[inline(always)]
        || {
            let stride = shape.stride();
            let FmBlock { first, records, mut moments, squares } = block;
            own_products(shape, rows, pair_rows, weighted, first, &mut scratch.own);
            scratch.gradient.resize(8 * stride, 0.0);
            let wide = stride > LANES;
            for (t, tile) in records.chunks_mut(if wide { 4 } else { 8 } * stride).enumerate() {
                let offset = t * if wide { 4 } else { 8 };
                let gradient = &mut scratch.gradient[..tile.len()];
                let columns = Columns { shape, rows, pair_rows, weighted, first: first + offset };
                match (wide, tile.len() / stride) {
                    (true, 4) => columns.gradient::<4>(gradient),
                    (false, 8) => columns.gradient::<8>(gradient),
                    _ => {
                        for (j, record) in gradient.chunks_exact_mut(stride).enumerate() {
                            Columns { first: first + offset + j, ..columns }.gradient::<1>(record);
                        }
                    }
                }
                subtract_own(shape, tile, &scratch.own, offset, gradient);
                update.apply(tile, gradient, moments.take(tile.len()));
                refresh_squares(shape, tile, offset, squares);
            }
        },
    );
}

/// X²ᵀa of the block's features, channel-major.
#[inline(always)]
fn own_products(
    shape: Shape,
    rows: &[f32],
    pair_rows: &[u32],
    weighted: &[f32],
    first: usize,
    out: &mut Vec<f32>,
) {
    let (row_stride, d) = (shape.row_stride(), shape.factors);
    let width = FEATURE_BLOCK.min(row_stride - first);
    out.clear();
    out.resize(shape.outputs * FEATURE_BLOCK, 0.0);
    if d == 0 {
        return;
    }
    let mut squared = [0.0_f32; FEATURE_BLOCK];
    for (&r, weighted) in pair_rows.iter().zip(weighted.chunks_exact(shape.stride())) {
        let x = &rows[r as usize * row_stride + first..][..width];
        squared.iter_mut().zip(x).for_each(|(s, x)| *s = x * x);
        let channels = weighted.chunks_exact(d + 1).zip(out.chunks_exact_mut(FEATURE_BLOCK));
        for (weighted, out) in channels {
            let a = weighted[d];
            for (out, x) in out.chunks_exact_mut(LANES).zip(squared[..width].chunks_exact(LANES)) {
                for l in 0..LANES {
                    out[l] = a.mul_add(x[l], out[l]);
                }
            }
        }
    }
}

/// A few neighbouring columns of the rows of one anchor.
#[derive(Clone, Copy)]
struct Columns<'a> {
    shape: Shape,
    rows: &'a [f32],
    pair_rows: &'a [u32],
    weighted: &'a [f32],
    first: usize,
}

impl Columns<'_> {
    /// Xᵀ[a·q | a] of F columns, the sums held in registers a block of lanes at a time.
    #[inline(always)]
    fn gradient<const F: usize>(self, out: &mut [f32]) {
        let stride = self.shape.stride();
        let mut lane = 0;
        while lane + 32 <= stride {
            self.tile::<F, 32>(lane, out);
            lane += 32;
        }
        while lane + 16 <= stride {
            self.tile::<F, 16>(lane, out);
            lane += 16;
        }
        match stride - lane {
            12 => self.tile::<F, 12>(lane, out),
            8 => self.tile::<F, 8>(lane, out),
            4 => self.tile::<F, 4>(lane, out),
            _ => {}
        }
    }

    #[inline(always)]
    fn tile<const F: usize, const W: usize>(self, lane: usize, out: &mut [f32]) {
        let (row_stride, stride) = (self.shape.row_stride(), self.shape.stride());
        let mut sums = [[0.0_f32; W]; F];
        for (&r, weighted) in self.pair_rows.iter().zip(self.weighted.chunks_exact(stride)) {
            let x = &self.rows[r as usize * row_stride + self.first..][..F];
            let weighted = &weighted[lane..lane + W];
            for f in 0..F {
                for w in 0..W {
                    sums[f][w] = x[f].mul_add(weighted[w], sums[f][w]);
                }
            }
        }
        for f in 0..F {
            out[f * stride + lane..][..W].copy_from_slice(&sums[f]);
        }
    }
}

/// gradient −= V·(X²ᵀa).
#[inline(always)]
fn subtract_own(shape: Shape, records: &[f32], own: &[f32], offset: usize, gradient: &mut [f32]) {
    let (d, stride) = (shape.factors, shape.stride());
    if d == 0 {
        return;
    }
    let records = records.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride));
    for (j, (record, gradient)) in records.enumerate() {
        let channels = record.chunks_exact(d + 1).zip(gradient.chunks_exact_mut(d + 1));
        for (own, (v, g)) in own.chunks_exact(FEATURE_BLOCK).zip(channels) {
            let own = own[offset + j];
            for (g, v) in g[..d].iter_mut().zip(v) {
                *g = v.mul_add(-own, *g);
            }
        }
    }
}

/// r = ‖v‖² of the tile's features.
#[inline(always)]
fn refresh_squares(shape: Shape, records: &[f32], offset: usize, squares: &mut [f32]) {
    let d = shape.factors;
    for (j, record) in records.chunks_exact(shape.stride()).enumerate() {
        let channels = record.chunks_exact(d + 1).zip(squares.chunks_exact_mut(FEATURE_BLOCK));
        for (v, squares) in channels {
            squares[offset + j] = squared_norm(&v[..d]);
        }
    }
}

/// Fills the squares of one anchor from its records.
pub(crate) fn fill_squares(shape: Shape, records: &[f32], squares: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            let blocks = records.chunks(FEATURE_BLOCK * shape.stride());
            for (records, squares) in
                blocks.zip(squares.chunks_exact_mut(shape.outputs * FEATURE_BLOCK))
            {
                refresh_squares(shape, records, 0, squares);
            }
        },
    );
}

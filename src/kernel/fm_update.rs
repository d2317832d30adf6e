//! Gradient and optimizer step of the local models, dense rows (paper, eq. 15 and 16, as descent).
//!
//! With a = γ·∂ℓ/∂ŷ / b per pair and channel: ∂b = Σ a, ∂w = Xᵀa, ∂V = Xᵀ(a·q) − V·(X²ᵀa).
//!
//! rows `[b, row_stride]` · weighted sums `[n, stride]` (per channel a·q and a) → records, squares.
//! One task a (anchor, block of features): the only writer of that block, it sums the anchor's rows
//! in order and takes the step while the gradient is in cache. O(n·p·C(d + 2)) and, whatever n,
//! O(p·C(d + 1)) for the step.

use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::Shape;
use crate::kernel::fm_score::{FEATURE_BLOCK, squared_norm};
use crate::optimizer::{MomentsMut, Update};
use crate::simd::{LANES, as_quads_mut, dispatch, vectorized, with_quads};
use pulp::{Simd, WithSimd};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "fm_update",
    "fm_update",
    ["step", "pair", "optimizer", "rows", "split"],
    |sizes, _, group| group.len()
        * workgroups(sizes.outputs * sizes.row_quads * sizes.tuning.model_splits)
);

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
    pub(crate) gradient: Vec<f32>,
    /// X²ᵀa `[C, FEATURE_BLOCK]`, or `[FEATURE_BLOCK, LANES]`.
    pub(crate) own: Vec<f32>,
    /// Σ[a·q | a] over the pairs, where the rows have a background `[stride]`.
    pub(crate) total: Vec<f32>,
}

/// How far apart outputs and features lie, in what a block keeps of each (output, feature).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelOrder {
    output: usize,
    feature: usize,
}

impl ChannelOrder {
    /// `[C, FEATURE_BLOCK]`.
    pub(crate) const FIRST: Self = Self { output: FEATURE_BLOCK, feature: 1 };
    /// `[FEATURE_BLOCK, LANES]`, for at most [`LANES`] outputs.
    pub(crate) const LAST: Self = Self { output: 1, feature: LANES };

    /// What a block keeps.
    pub(crate) fn block_len(self, shape: Shape) -> usize {
        (self.output * shape.outputs).max(self.feature * FEATURE_BLOCK)
    }

    /// What an anchor keeps.
    pub(crate) fn len(self, shape: Shape) -> usize {
        shape.features.div_ceil(FEATURE_BLOCK) * self.block_len(shape)
    }
}

/// Turns the sums q and w·x of one pair into a·q and a, channel by channel.
#[inline(always)]
pub(crate) fn weigh_sums(factors: usize, coefficients: &[f32], sums: &mut [f32]) {
    for (c, a) in coefficients.iter().enumerate() {
        let sums = &mut sums[c * (factors + 1)..][..=factors];
        sums[..factors].iter_mut().for_each(|q| *q *= a);
        sums[factors] = *a;
    }
}

/// The same for a run of pairs, `[n, stride]`; `coefficients` are those of the nth, `[C]`.
pub(crate) fn weigh_run<'c>(
    shape: Shape,
    coefficients: impl Fn(usize) -> &'c [f32],
    sums: &mut [f32],
) {
    let lanes = if shape.outputs == 1 { shape.stride } else { 0 };
    vectorized(
        #[inline(always)]
        || {
            with_quads!(
                lanes,
                weigh_quads(shape.factors, coefficients, sums),
                else for (n, sums) in sums.chunks_exact_mut(shape.stride).enumerate() {
                    weigh_sums(shape.factors, coefficients(n), sums);
                }
            );
        },
    );
}

/// One output, Q groups of lanes.
#[inline(always)]
fn weigh_quads<'c, const Q: usize>(
    factors: usize,
    coefficients: impl Fn(usize) -> &'c [f32],
    sums: &mut [f32],
) {
    for (n, sums) in as_quads_mut::<Q>(sums).iter_mut().enumerate() {
        let a = coefficients(n)[0];
        let sums = sums.as_flattened_mut();
        for q in &mut *sums {
            *q *= a;
        }
        sums[factors] = a;
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
    if !(pair_rows.is_empty() && update.skips_zero_gradient()) {
        let columns = Columns { shape, rows, pair_rows, weighted, first: block.first };
        dispatch(Kernel { columns, block, update, scratch });
    }
}

struct Kernel<'a> {
    columns: Columns<'a>,
    block: FmBlock<'a>,
    update: Update,
    scratch: &'a mut FmScratch,
}

/// Columns whose gradient is summed together, so that a weighted sum is read once for all.
pub(crate) const COLUMNS: usize = 8;

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, block, update, scratch } = self;
        let FmBlock { first, records, mut moments, squares } = block;
        let (shape, stride) = (columns.shape, columns.shape.stride);
        columns.own_products(simd, &mut scratch.own);
        scratch.gradient.resize(COLUMNS * stride, 0.0);
        for (t, tile) in records.chunks_mut(COLUMNS * stride).enumerate() {
            let offset = t * COLUMNS;
            let gradient = &mut scratch.gradient[..tile.len()];
            columns.starting_at(first + offset).gradient(simd, gradient);
            subtract_own(shape, tile, &scratch.own, ChannelOrder::FIRST, offset, gradient);
            update.apply(tile, gradient, moments.take(tile.len()));
            refresh_squares(shape, tile, ChannelOrder::FIRST, offset, squares);
        }
    }
}

/// Neighbouring columns of the rows of one anchor.
#[derive(Clone, Copy)]
struct Columns<'a> {
    shape: Shape,
    rows: &'a [f32],
    pair_rows: &'a [u32],
    weighted: &'a [f32],
    first: usize,
}

impl Columns<'_> {
    #[inline(always)]
    fn starting_at(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// X²ᵀa of a block of features, channel-major.
    #[inline(always)]
    fn own_products<S: Simd>(self, simd: S, out: &mut Vec<f32>) {
        let (shape, d) = (self.shape, self.shape.factors);
        let width = FEATURE_BLOCK.min(shape.row_stride() - self.first);
        out.clear();
        out.resize(shape.outputs * FEATURE_BLOCK, 0.0);
        if d == 0 {
            return;
        }
        let rows = self.pair_rows.iter().zip(self.weighted.chunks_exact(shape.stride));
        for (&r, weighted) in rows {
            let x = &self.rows[r as usize * shape.row_stride() + self.first..][..width];
            let x = S::as_simd_f32s(x).0;
            let channels = weighted.chunks_exact(d + 1).zip(out.chunks_exact_mut(FEATURE_BLOCK));
            for (weighted, out) in channels {
                let a = simd.splat_f32s(weighted[d]);
                for (out, x) in S::as_mut_simd_f32s(out).0.iter_mut().zip(x) {
                    *out = simd.mul_add_f32s(simd.mul_f32s(*x, *x), a, *out);
                }
            }
        }
    }

    /// Xᵀ[a·q | a] of `out.len() / stride` columns.
    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, out: &mut [f32]) {
        let stride = self.shape.stride;
        let mut offset = 0;
        // Where a record is one vector, there are registers for all columns of a tile.
        if stride == S::F32_LANES && out.len() == COLUMNS * stride {
            return self.columns::<S, COLUMNS>(simd, out);
        }
        let mut quads = out.chunks_exact_mut(4 * stride);
        for out in quads.by_ref() {
            self.starting_at(self.first + offset).columns::<S, 4>(simd, out);
            offset += 4;
        }
        for out in quads.into_remainder().chunks_exact_mut(stride) {
            self.starting_at(self.first + offset).columns::<S, 1>(simd, out);
            offset += 1;
        }
    }

    #[inline(always)]
    fn columns<S: Simd, const F: usize>(self, simd: S, out: &mut [f32]) {
        let mut lane = 0;
        while lane + 2 * S::F32_LANES <= self.shape.stride {
            self.tile::<S, F, 2>(simd, lane, out);
            lane += 2 * S::F32_LANES;
        }
        if lane < self.shape.stride {
            self.tile::<S, F, 1>(simd, lane, out);
        }
    }

    /// F columns by W vectors of the weighted sums, the sums held in registers.
    #[inline(always)]
    fn tile<S: Simd, const F: usize, const W: usize>(self, simd: S, lane: usize, out: &mut [f32]) {
        let (row_stride, stride) = (self.shape.row_stride(), self.shape.stride);
        let lanes = lane..lane + W * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); W]; F];
        for (&r, weighted) in self.pair_rows.iter().zip(self.weighted.chunks_exact(stride)) {
            let x = &self.rows[r as usize * row_stride + self.first..][..F];
            let weighted = &S::as_simd_f32s(&weighted[lanes.clone()]).0[..W];
            for f in 0..F {
                let value = simd.splat_f32s(x[f]);
                for w in 0..W {
                    sums[f][w] = simd.mul_add_f32s(value, weighted[w], sums[f][w]);
                }
            }
        }
        for f in 0..F {
            S::as_mut_simd_f32s(&mut out[f * stride..][lanes.clone()]).0.copy_from_slice(&sums[f]);
        }
    }
}

/// gradient −= V·(X²ᵀa), for features from the one at `offset` in the block on.
#[inline(always)]
pub(crate) fn subtract_own(
    shape: Shape,
    records: &[f32],
    own: &[f32],
    order: ChannelOrder,
    offset: usize,
    gradient: &mut [f32],
) {
    let (d, stride) = (shape.factors, shape.stride);
    if d == 0 {
        return;
    }
    let records = records.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride));
    for (j, (record, gradient)) in records.enumerate() {
        let channels = record.chunks_exact(d + 1).zip(gradient.chunks_exact_mut(d + 1));
        for (c, (v, g)) in channels.take(shape.outputs).enumerate() {
            let own = own[c * order.output + (offset + j) * order.feature];
            for (g, v) in g[..d].iter_mut().zip(v) {
                *g = v.mul_add(-own, *g);
            }
        }
    }
}

/// r = ‖v‖² of some features, from the one at `offset` in the block on.
#[inline(always)]
pub(crate) fn refresh_squares(
    shape: Shape,
    records: &[f32],
    order: ChannelOrder,
    offset: usize,
    squares: &mut [f32],
) {
    let d = shape.factors;
    for (j, record) in records.chunks_exact(shape.stride).enumerate() {
        for (c, v) in record.chunks_exact(d + 1).take(shape.outputs).enumerate() {
            squares[c * order.output + (offset + j) * order.feature] = squared_norm(&v[..d]);
        }
    }
}

/// Fills the squares of one anchor from its records.
pub(crate) fn fill_squares(
    shape: Shape,
    records: &[f32],
    order: ChannelOrder,
    squares: &mut [f32],
) {
    vectorized(
        #[inline(always)]
        || {
            let blocks = records.chunks(FEATURE_BLOCK * shape.stride);
            for (records, squares) in blocks.zip(squares.chunks_exact_mut(order.block_len(shape))) {
                refresh_squares(shape, records, order, 0, squares);
            }
        },
    );
}

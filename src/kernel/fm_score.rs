//! Score of each pair's local factorization machine, dense rows (paper, eq. 1, with a bias).
//!
//! f = b + w·x + ½(‖q‖² − Σⱼ xⱼ² rⱼ), q = Vᵀx, rⱼ = ‖vⱼ‖².
//!
//! rows `[b, row_stride]` · records `[p, stride]` of one anchor → sums `[n, stride]` (per channel q
//! and w·x) and scores `[n, C]` for n pairs of that anchor. One task a run of pairs, the writer of
//! their cells; products of a few rows with a few vectors of the records. O(n·p·C(d + 2)).

use crate::gpu::shaders::{self, Shader, shader};
use crate::kernel::Shape;
use crate::simd::{LANES, dispatch};
use pulp::{Simd, WithSimd};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("fm_score", "fm_score", ["step", "pair"], shaders::pair_channels);

/// Features whose ‖v‖² lie together, so that one update task owns them.
pub(crate) const FEATURE_BLOCK: usize = 64;

/// One anchor's local model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalModel<'a> {
    /// b `[C]`.
    pub(crate) bias: &'a [f32],
    /// `[p, stride]`: per channel v₀ … v_{d−1}, w.
    pub(crate) records: &'a [f32],
    /// r `[blocks, C, FEATURE_BLOCK]`.
    pub(crate) squares: &'a [f32],
}

/// Length of one anchor's `squares`.
pub(crate) fn squares_len(shape: Shape) -> usize {
    shape.features.div_ceil(FEATURE_BLOCK) * shape.outputs * FEATURE_BLOCK
}

/// Fills `sums` and `scores` for the pairs of one anchor with the batch rows `pair_rows`.
pub(crate) fn fm_score(
    shape: Shape,
    model: LocalModel<'_>,
    rows: &[f32],
    pair_rows: &[u32],
    sums: &mut [f32],
    scores: &mut [f32],
) {
    dispatch(Kernel { shape, model, rows, pair_rows, sums, scores });
}

struct Kernel<'a> {
    shape: Shape,
    model: LocalModel<'a>,
    rows: &'a [f32],
    pair_rows: &'a [u32],
    sums: &'a mut [f32],
    scores: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, model, rows, pair_rows, sums, scores } = self;
        let (row_stride, stride) = (shape.row_stride(), shape.stride);
        let row = |r: u32| &rows[r as usize * row_stride..][..row_stride];
        let mut blocks = pair_rows.chunks_exact(ROWS);
        let mut cells = sums.chunks_exact_mut(ROWS * stride);
        for (block, cell) in blocks.by_ref().zip(cells.by_ref()) {
            let rows: [&[f32]; ROWS] = std::array::from_fn(|r| row(block[r]));
            products(simd, shape, rows, model.records, cell);
        }
        let cells = cells.into_remainder().chunks_exact_mut(stride);
        for (&r, cell) in blocks.remainder().iter().zip(cells) {
            products(simd, shape, [row(r)], model.records, cell);
        }
        let cells = sums.chunks_exact(stride).zip(scores.chunks_exact_mut(shape.outputs));
        for (&r, (sums, scores)) in pair_rows.iter().zip(cells) {
            finish(simd, shape, model, row(r), sums, scores);
        }
    }
}

/// Rows multiplied together, so that a record is read once for all of them.
const ROWS: usize = 6;

/// R rows times the records: q and w·x of every channel.
#[inline(always)]
fn products<S: Simd, const R: usize>(
    simd: S,
    shape: Shape,
    rows: [&[f32]; R],
    records: &[f32],
    out: &mut [f32],
) {
    let stride = shape.stride;
    let x = rows.map(|row| &row[..shape.features]);
    let mut lane = 0;
    while lane + 2 * S::F32_LANES <= stride {
        tile::<S, R, 2>(simd, x, records, stride, lane, out);
        lane += 2 * S::F32_LANES;
    }
    if lane < stride {
        tile::<S, R, 1>(simd, x, records, stride, lane, out);
    }
}

/// R rows times W vectors of the records, the sums held in registers.
#[inline(always)]
fn tile<S: Simd, const R: usize, const W: usize>(
    simd: S,
    x: [&[f32]; R],
    records: &[f32],
    stride: usize,
    lane: usize,
    out: &mut [f32],
) {
    let p = x[0].len();
    let x: [&[f32]; R] = x.map(|row| &row[..p]);
    let lanes = lane..lane + W * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    for (j, record) in (0..p).zip(records.chunks_exact(stride)) {
        let record = &S::as_simd_f32s(&record[lanes.clone()]).0[..W];
        for r in 0..R {
            let value = simd.splat_f32s(x[r][j]);
            for w in 0..W {
                sums[r][w] = simd.mul_add_f32s(value, record[w], sums[r][w]);
            }
        }
    }
    for r in 0..R {
        S::as_mut_simd_f32s(&mut out[r * stride..][lanes.clone()]).0.copy_from_slice(&sums[r]);
    }
}

/// Scores of one pair from its sums.
#[inline(always)]
fn finish<S: Simd>(
    simd: S,
    shape: Shape,
    model: LocalModel<'_>,
    row: &[f32],
    sums: &[f32],
    scores: &mut [f32],
) {
    let d = shape.factors;
    for (c, score) in scores.iter_mut().enumerate() {
        let (q, linear) = sums[c * (d + 1)..][..=d].split_at(d);
        let squared = squared_norm(q);
        let own = if d == 0 { 0.0 } else { own_products(simd, shape, row, model.squares, c) };
        *score = model.bias[c] + linear[0] + 0.5 * (squared - own);
    }
}

/// Σⱼ xⱼ² rⱼ of one channel, in sixteen partial sums whatever the width of a vector.
#[inline(always)]
fn own_products<S: Simd>(
    simd: S,
    shape: Shape,
    row: &[f32],
    squares: &[f32],
    channel: usize,
) -> f32 {
    let vectors = LANES / S::F32_LANES;
    let mut sums = [simd.splat_f32s(0.0); LANES];
    let sums = &mut sums[..vectors];
    let blocks = squares.chunks_exact(shape.outputs * FEATURE_BLOCK);
    for (x, block) in row.chunks(FEATURE_BLOCK).zip(blocks) {
        let block = &block[channel * FEATURE_BLOCK..][..FEATURE_BLOCK];
        for (x, r) in x.chunks_exact(LANES).zip(block.chunks_exact(LANES)) {
            let (x, r) = (S::as_simd_f32s(x).0, S::as_simd_f32s(r).0);
            for v in 0..vectors {
                sums[v] = simd.mul_add_f32s(simd.mul_f32s(x[v], x[v]), r[v], sums[v]);
            }
        }
    }
    let mut lanes = [0.0; LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(sums);
    sum_lanes(lanes)
}

/// ‖v‖².
#[inline(always)]
pub(crate) fn squared_norm(v: &[f32]) -> f32 {
    let mut sum = 0.0_f32;
    for v in v {
        sum = v.mul_add(*v, sum);
    }
    sum
}

/// The sum of sixteen lanes, pairwise.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

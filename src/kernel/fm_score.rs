//! Score of each pair's local factorization machine, dense rows (paper, eq. 1, with a bias).
//!
//! f = b + w·x + ½(‖q‖² − Σⱼ xⱼ² rⱼ), q = Vᵀx, rⱼ = ‖vⱼ‖².
//!
//! rows `[b, row_stride]` · records `[p, stride]` of one anchor → sums `[n, stride]` (per channel q
//! and w·x) and scores `[n, C]` for n pairs of that anchor. One task a run of pairs, the writer of
//! their cells; products of a few rows with a few vectors of the records. O(n·p·C(d + 2)).

use crate::gpu::shaders::{self, Shader, shader};
use crate::kernel::Shape;
use crate::simd::{LANES, dispatch, fold_lanes};
use pulp::{Simd, WithSimd};

/// The shader, and its workgroups: tiles of an anchor's pairs.
pub(crate) const SHADER: Shader = shader!(
    "fm_score",
    "fm_score",
    ["step", "pair", "rows", "score", "split"],
    |sizes, _, group| { group.len() * sizes.outputs * sizes.tuning.score_shares }
);

/// The same pair by pair, an invocation each.
pub(crate) const PAIRS_SHADER: Shader = shader!(
    "fm_score",
    "fm_score_pairs",
    ["step", "pair", "rows", "score"],
    shaders::pair_channels
);

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
        // Few pairs are left where anchors are many: these go together as well.
        let rest = self.by_rows::<S, ROWS>(simd);
        let rest = rest.by_rows::<S, 4>(simd);
        rest.by_rows::<S, 2>(simd).by_rows::<S, 1>(simd);
    }
}

impl Kernel<'_> {
    /// Scores R pairs at a time; returns those that are left.
    #[inline(always)]
    fn by_rows<S: Simd, const R: usize>(self, simd: S) -> Self {
        let Self { shape, model, rows, pair_rows, sums, scores } = self;
        let row_stride = shape.row_stride();
        let row = |r: u32| &rows[r as usize * row_stride..][..row_stride];
        let (blocks, pair_rows) = pair_rows.as_chunks::<R>();
        let (done, sums) = sums.split_at_mut(blocks.len() * R * shape.stride);
        let (done_scores, scores) = scores.split_at_mut(blocks.len() * R * shape.outputs);
        let cells = done.chunks_exact_mut(R * shape.stride);
        let cells = cells.zip(done_scores.chunks_exact_mut(R * shape.outputs));
        for (block, (sums, scores)) in blocks.iter().zip(cells) {
            let rows: [&[f32]; R] = std::array::from_fn(|r| row(block[r]));
            products(simd, shape, rows, model.records, sums);
            finish(simd, shape, model, rows, sums, scores);
        }
        Self { shape, model, rows, pair_rows, sums, scores }
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
    let rows = rows.map(|row| row.as_chunks().0);
    let mut lane = 0;
    while lane + 2 * S::F32_LANES <= stride {
        tile::<S, R, 2>(simd, rows, records, stride, lane, out);
        lane += 2 * S::F32_LANES;
    }
    if lane < stride {
        tile::<S, R, 1>(simd, rows, records, stride, lane, out);
    }
}

/// R rows times W vectors of the records, the sums held in registers.
#[inline(always)]
fn tile<S: Simd, const R: usize, const W: usize>(
    simd: S,
    rows: [&[[f32; LANES]]; R],
    records: &[f32],
    stride: usize,
    lane: usize,
    out: &mut [f32],
) {
    let lanes = lane..lane + W * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    // Features in blocks of known length: an index into a row is then known to be in it.
    for (block, records) in records.chunks(LANES * stride).enumerate() {
        let x: [&[f32; LANES]; R] = std::array::from_fn(|r| &rows[r][block]);
        for (j, record) in (0..LANES).zip(records.chunks_exact(stride)) {
            let record = &S::as_simd_f32s(&record[lanes.clone()]).0[..W];
            for r in 0..R {
                let value = simd.splat_f32s(x[r][j]);
                for w in 0..W {
                    sums[r][w] = simd.mul_add_f32s(value, record[w], sums[r][w]);
                }
            }
        }
    }
    for r in 0..R {
        S::as_mut_simd_f32s(&mut out[r * stride..][lanes.clone()]).0.copy_from_slice(&sums[r]);
    }
}

/// Scores of R pairs from their sums.
#[inline(always)]
fn finish<S: Simd, const R: usize>(
    simd: S,
    shape: Shape,
    model: LocalModel<'_>,
    rows: [&[f32]; R],
    sums: &[f32],
    scores: &mut [f32],
) {
    let Shape { factors: d, outputs, stride, .. } = shape;
    for c in 0..outputs {
        let sums: [&[f32]; R] = std::array::from_fn(|r| &sums[r * stride + c * (d + 1)..][..=d]);
        let own = if d == 0 { [0.0; R] } else { own_products(simd, shape, rows, model.squares, c) };
        for r in 0..R {
            scores[r * outputs + c] =
                model.bias[c] + sums[r][d] + 0.5 * (squared_norm(&sums[r][..d]) - own[r]);
        }
    }
}

/// Σⱼ xⱼ² rⱼ of one channel, in sixteen partial sums whatever the width of a vector.
#[inline(always)]
fn own_products<S: Simd, const R: usize>(
    simd: S,
    shape: Shape,
    rows: [&[f32]; R],
    squares: &[f32],
    channel: usize,
) -> [f32; R] {
    let vectors = LANES / S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); LANES]; R];
    let width = shape.row_stride();
    let blocks = squares.chunks_exact(shape.outputs * FEATURE_BLOCK);
    for (first, block) in (0..width).step_by(FEATURE_BLOCK).zip(blocks) {
        let block = &block[channel * FEATURE_BLOCK..][..FEATURE_BLOCK.min(width - first)];
        for (j, squares) in block.chunks_exact(LANES).enumerate() {
            let squares = S::as_simd_f32s(squares).0;
            for r in 0..R {
                let x = S::as_simd_f32s(&rows[r][first + j * LANES..][..LANES]).0;
                for v in 0..vectors {
                    sums[r][v] =
                        simd.mul_add_f32s(simd.mul_f32s(x[v], x[v]), squares[v], sums[r][v]);
                }
            }
        }
    }
    let mut own = [0.0; R];
    for r in 0..R {
        let mut lanes = [0.0; LANES];
        S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&sums[r][..vectors]);
        own[r] = fold_lanes(lanes, |a, b| a + b);
    }
    own
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

//! Score of each pair's local factorization machine, dense rows (paper, eq. 1, with a bias).
//!
//! f = b + w·x + ½(‖q‖² − Σⱼ xⱼ² rⱼ), q = Vᵀx, rⱼ = ‖vⱼ‖².
//!
//! rows `[b, row_stride]` · records `[p, stride]` of one anchor → sums `[n, stride]` (per channel q
//! and w·x) and scores `[n, C]` for n pairs of that anchor. One task a run of pairs, the writer of
//! their cells; a product of four rows with a block of the record's lanes. O(n·p·C(d + 2)).

use crate::kernel::Shape;
use crate::simd::{LANES, vectorized};

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
    let (row_stride, stride) = (shape.row_stride(), shape.stride());
    let row = |r: u32| &rows[r as usize * row_stride..][..row_stride];
    vectorized(
        #[inline(always)]
        || {
            let mut quads = pair_rows.chunks_exact(4);
            let mut cells = sums.chunks_exact_mut(4 * stride);
            for (quad, cell) in quads.by_ref().zip(cells.by_ref()) {
                products(shape, std::array::from_fn::<_, 4, _>(|r| row(quad[r])), model, cell);
            }
            let cells = cells.into_remainder().chunks_exact_mut(stride);
            for (&r, cell) in quads.remainder().iter().zip(cells) {
                products(shape, [row(r)], model, cell);
            }
            let cells = sums.chunks_exact(stride).zip(scores.chunks_exact_mut(shape.outputs));
            for (&r, (sums, scores)) in pair_rows.iter().zip(cells) {
                finish(shape, model, row(r), sums, scores);
            }
        },
    );
}

/// R rows times the records: q and w·x of every channel.
#[inline(always)]
fn products<const R: usize>(
    shape: Shape,
    rows: [&[f32]; R],
    model: LocalModel<'_>,
    out: &mut [f32],
) {
    let (p, stride) = (shape.features, shape.stride());
    let x: [&[f32]; R] = rows.map(|row| &row[..p]);
    let mut lane = 0;
    while lane + 32 <= stride {
        tile::<R, 32>(x, model.records, stride, lane, out);
        lane += 32;
    }
    while lane + 16 <= stride {
        tile::<R, 16>(x, model.records, stride, lane, out);
        lane += 16;
    }
    match stride - lane {
        12 => tile::<R, 12>(x, model.records, stride, lane, out),
        8 => tile::<R, 8>(x, model.records, stride, lane, out),
        4 => tile::<R, 4>(x, model.records, stride, lane, out),
        _ => {}
    }
}

#[inline(always)]
fn tile<const R: usize, const W: usize>(
    x: [&[f32]; R],
    records: &[f32],
    stride: usize,
    lane: usize,
    out: &mut [f32],
) {
    let p = x[0].len();
    let x: [&[f32]; R] = x.map(|row| &row[..p]);
    let mut sums = [[0.0_f32; W]; R];
    for (j, record) in (0..p).zip(records.chunks_exact(stride)) {
        let record = &record[lane..lane + W];
        for r in 0..R {
            let value = x[r][j];
            for w in 0..W {
                sums[r][w] = value.mul_add(record[w], sums[r][w]);
            }
        }
    }
    for r in 0..R {
        out[r * stride + lane..][..W].copy_from_slice(&sums[r]);
    }
}

/// Scores of one pair from its sums.
#[inline(always)]
fn finish(shape: Shape, model: LocalModel<'_>, row: &[f32], sums: &[f32], scores: &mut [f32]) {
    let d = shape.factors;
    for (c, score) in scores.iter_mut().enumerate() {
        let (q, linear) = sums[c * (d + 1)..][..=d].split_at(d);
        let squared = squared_norm(q);
        let own = if d == 0 { 0.0 } else { own_products(shape, row, model.squares, c) };
        *score = model.bias[c] + linear[0] + 0.5 * (squared - own);
    }
}

/// Σⱼ xⱼ² rⱼ of one channel, in sixteen partial sums.
#[inline(always)]
fn own_products(shape: Shape, row: &[f32], squares: &[f32], channel: usize) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let blocks = squares.chunks_exact(shape.outputs * FEATURE_BLOCK);
    for (x, block) in row.chunks(FEATURE_BLOCK).zip(blocks) {
        let block = &block[channel * FEATURE_BLOCK..][..FEATURE_BLOCK];
        for (x, r) in x.chunks_exact(LANES).zip(block.chunks_exact(LANES)) {
            for l in 0..LANES {
                sums[l] = (x[l] * x[l]).mul_add(r[l], sums[l]);
            }
        }
    }
    sum_lanes(sums)
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

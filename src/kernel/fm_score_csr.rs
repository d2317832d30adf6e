//! Score of each pair's local factorization machine, sparse rows.
//!
//! f = b + w·x + ½ Σ_f (q_f² − Σⱼ (xⱼV_jf)²), over the row's non-zeros.
//!
//! records `[p, m, stride]`, feature-major so that a column's anchors lie together. One task a
//! run of pairs of one anchor, the writer of their cells. O(n·nz·C(d + 1)).

use crate::gpu::shaders::{self, Shader, shader};
use crate::kernel::Shape;
use crate::simd::{as_quads, as_quads_mut, mask, sum_quad, vectorized, with_quads};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("fm_score_csr", "fm_score_csr", ["step", "pair"], shaders::pair_channels);

/// Fills `sums` (q and w·x per channel) and `scores` for pairs of anchor `anchor`.
pub(crate) fn fm_score_csr<'r>(
    shape: Shape,
    anchor: usize,
    bias: &[f32],
    records: &[f32],
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
    sums: &mut [f32],
    scores: &mut [f32],
) {
    let model = Model { shape, anchor, bias, records };
    let lanes = if shape.outputs == 1 { shape.stride } else { 0 };
    vectorized(
        #[inline(always)]
        || {
            with_quads!(
                lanes,
                one_output(model, rows, sums, scores),
                else any(model, rows, sums, scores)
            );
        },
    );
}

/// One anchor's local model among all of them.
#[derive(Clone, Copy)]
struct Model<'a> {
    shape: Shape,
    anchor: usize,
    bias: &'a [f32],
    records: &'a [f32],
}

/// One output, records of Q groups of lanes.
#[inline(always)]
fn one_output<'r, const Q: usize>(
    model: Model<'_>,
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
    sums: &mut [f32],
    scores: &mut [f32],
) {
    let Shape { anchors: m, factors: d, .. } = model.shape;
    let (records, bias) = (as_quads::<Q>(model.records), model.bias[0]);
    // What a lane's q² − own and its sum count for in the score.
    let (half, linear) = (mask::<Q>(d, 0.5, 0.0), mask::<Q>(d, 0.0, 1.0));
    let cells = as_quads_mut::<Q>(sums).iter_mut().zip(scores);
    for ((columns, values), (sums, score)) in rows.zip(cells) {
        let (mut sum, mut own) = ([[0.0_f32; 4]; Q], [[0.0_f32; 4]; Q]);
        for (&j, &x) in columns.iter().zip(values) {
            let record = &records[j as usize * m + model.anchor];
            for q in 0..Q {
                for l in 0..4 {
                    let term = x * record[q][l];
                    sum[q][l] += term;
                    own[q][l] = term.mul_add(term, own[q][l]);
                }
            }
        }
        *sums = sum;
        let mut parts = [0.0_f32; 4];
        for q in 0..Q {
            for l in 0..4 {
                let cross = sum[q][l].mul_add(sum[q][l], -own[q][l]);
                parts[l] += half[q][l].mul_add(cross, linear[q][l] * sum[q][l]);
            }
        }
        *score = bias + sum_quad(parts);
    }
}

/// Any number of outputs and lanes.
#[inline(always)]
fn any<'r>(
    model: Model<'_>,
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
    sums: &mut [f32],
    scores: &mut [f32],
) {
    let Model { shape, anchor, bias, records } = model;
    let (stride, d) = (shape.stride, shape.factors);
    let column = shape.anchors * stride;
    let mut own = vec![0.0_f32; stride];
    let cells = sums.chunks_exact_mut(stride).zip(scores.chunks_exact_mut(shape.outputs));
    for ((columns, values), (sums, scores)) in rows.zip(cells) {
        sums.fill(0.0);
        own.fill(0.0);
        for (&j, &x) in columns.iter().zip(values) {
            let record = &records[j as usize * column + anchor * stride..][..stride];
            for ((sum, own), r) in sums.iter_mut().zip(&mut own).zip(record) {
                let term = x * r;
                *sum += term;
                *own = term.mul_add(term, *own);
            }
        }
        let channels = sums.chunks_exact(d + 1).zip(own.chunks_exact(d + 1));
        for ((score, bias), (q, own)) in scores.iter_mut().zip(bias).zip(channels) {
            let mut cross = 0.0_f32;
            for (q, own) in q[..d].iter().zip(own) {
                cross += q.mul_add(*q, -own);
            }
            *score = bias + q[d] + 0.5 * cross;
        }
    }
}

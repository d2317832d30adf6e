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
    model: Model<'_>,
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
    sums: &mut [f32],
    scores: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let lanes = if model.shape.outputs == 1 { model.shape.stride } else { 0 };
    vectorized(
        #[inline(always)]
        || {
            with_quads!(
                lanes,
                one_output(model, rows, sums, scores),
                else any(model, rows, sums, scores, scratch)
            );
        },
    );
}

/// One anchor's local model among all of them.
#[derive(Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) shape: Shape,
    pub(crate) anchor: usize,
    /// b of the anchor `[C]`.
    pub(crate) bias: &'a [f32],
    /// `[p, m, stride]`.
    pub(crate) records: &'a [f32],
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
    // What a lane's q² − own and its sum count for in the score. As products: of a w·x whose square
    // overflows they make no number, as the loss would.
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
    own: &mut Vec<f32>,
) {
    let Model { shape, anchor, bias, records } = model;
    let (stride, d) = (shape.stride, shape.factors);
    let column = shape.anchors * stride;
    own.resize(stride, 0.0);
    let cells = sums.chunks_exact_mut(stride).zip(scores.chunks_exact_mut(shape.outputs));
    for ((columns, values), (sums, scores)) in rows.zip(cells) {
        sums.fill(0.0);
        own.fill(0.0);
        for (&j, &x) in columns.iter().zip(values) {
            let record = &records[j as usize * column + anchor * stride..][..stride];
            for ((sum, own), r) in sums.iter_mut().zip(&mut *own).zip(record) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_lanes_give_the_scores_of_any() {
        let number = |i: usize| (i as f32 * 0.7).sin();
        let rows: [(&[u32], &[f32]); 4] =
            [(&[0, 4], &[1.0, 1.0]), (&[], &[]), (&[2], &[-0.5]), (&[0, 1, 3], &[2.0, 0.1, -1.0])];
        for factors in 0..32 {
            let stride = (factors + 1_usize).next_multiple_of(4);
            let shape = Shape { anchors: 2, features: 5, outputs: 1, factors, stride };
            let mut records: Vec<f32> = (0..5 * 2 * stride).map(number).collect();
            records.chunks_exact_mut(stride).for_each(|record| record[factors + 1..].fill(0.0));
            let (mut sums, mut scores) = (vec![0.0; 4 * stride], vec![0.0; 4]);
            let model = Model { shape, anchor: 1, bias: &[0.3], records: &records };
            fm_score_csr(model, rows.into_iter(), &mut sums, &mut scores, &mut Vec::new());
            let (mut all_sums, mut expected) = (vec![0.0; 4 * stride], vec![0.0; 4]);
            any(model, rows.into_iter(), &mut all_sums, &mut expected, &mut Vec::new());
            assert_eq!(sums, all_sums, "{factors} factors");
            // Crossed terms are summed in another order.
            for (score, expected) in scores.iter().zip(&expected) {
                assert!((score - expected).abs() < 1e-5, "{factors} factors");
            }
        }
    }
}

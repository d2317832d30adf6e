//! Gradient and optimizer step of anchors, log L, metric and scales, dense rows.
//!
//! Per pair κ = (∂ℓ/∂u)·L·h, h = 1 for squared and 1/(2d) for plain distances. With
//! A = Σ κ(z − x) and B = Σ κ(x − z)² over an anchor's rows:
//! ∂z = 2et²A, ∂t = 2etB, ∂τ = Σᵢ et²B, ∂l = Σ (∂ℓ/∂u)u.
//!
//! One task an anchor, the only writer of its row; the metric is stepped after all of them from
//! their parts, summed in the order of the anchors. O(n·p).

use crate::config::Learn;
use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::Shape;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::{dispatch, vectorized};
use pulp::{Simd, WithSimd};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "anchor_update",
    "anchor_update",
    ["step", "pair", "optimizer", "rows", "split"],
    |sizes, _, _| sizes.anchors * workgroups(sizes.row_quads * sizes.tuning.anchor_splits)
);

/// Below this a plain distance has no direction.
pub(crate) const PLAIN_FLOOR: f32 = 1e-6;

/// What moves the anchor side of a pair.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pull {
    /// Row of the batch.
    pub(crate) row: u32,
    /// κ.
    pub(crate) kappa: f32,
    /// (∂ℓ/∂u)·u.
    pub(crate) log_slope: f32,
}

/// One anchor, to be moved.
pub(crate) struct AnchorRow<'a> {
    /// z `[row_stride]`.
    pub(crate) anchor: &'a mut [f32],
    pub(crate) anchor_moments: MomentsMut<'a>,
    /// t `[row_stride]`, where scales are kept.
    pub(crate) scale: Option<&'a mut [f32]>,
    pub(crate) scale_moments: MomentsMut<'a>,
    /// This anchor's part of ∂τ `[row_stride]`, where the metric is learned.
    pub(crate) metric_gradient: Option<&'a mut [f32]>,
}

/// How the anchor side is stepped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnchorRates {
    pub(crate) learn: Learn,
    pub(crate) anchors: Update,
    pub(crate) rest: Update,
}

/// Scratch of one task: A and B, then gradients.
#[derive(Debug, Default)]
pub(crate) struct AnchorScratch {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Pull {
    /// From a pair's slope ∂ℓ/∂u, its u and d, and L of its anchor.
    pub(crate) fn new(row: u32, slope: f32, u: f32, distance: f32, l: f32, plain: bool) -> Self {
        let h = match plain {
            false => 1.0,
            true if distance < PLAIN_FLOOR => 0.0,
            true => 0.5 / distance,
        };
        Self { row, kappa: slope * l * h, log_slope: slope * u }
    }
}

/// Steps one anchor along the gradient of its pairs.
pub(crate) fn anchor_update(
    shape: Shape,
    rows: &[f32],
    pulls: &[Pull],
    root_metric: &[f32],
    mut row: AnchorRow<'_>,
    rates: AnchorRates,
    scratch: &mut AnchorScratch,
) {
    dispatch(MomentsOfRows { rows, pulls, anchor: row.anchor, scratch });
    vectorized(
        #[inline(always)]
        || {
            let stride = shape.row_stride();
            let AnchorScratch { first, second } = scratch;
            for j in 0..stride {
                let t = row.scale.as_ref().map_or(1.0, |t| t[j]);
                let weight = (root_metric[j] * root_metric[j]) * t;
                first[j] *= 2.0 * weight * t;
                if let Some(gradient) = &mut row.metric_gradient {
                    gradient[j] = weight * t * second[j];
                }
                second[j] *= 2.0 * weight;
            }
            if rates.learn.anchors {
                rates.anchors.apply(row.anchor, first, row.anchor_moments.reborrow());
            }
            if let (true, Some(scale)) = (rates.learn.scale, row.scale) {
                rates.rest.apply(scale, second, row.scale_moments.reborrow());
            }
        },
    );
}

/// A and B, a vector of features at a time.
struct MomentsOfRows<'a> {
    rows: &'a [f32],
    pulls: &'a [Pull],
    anchor: &'a [f32],
    scratch: &'a mut AnchorScratch,
}

impl WithSimd for MomentsOfRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.anchor.len();
        let AnchorScratch { first, second } = self.scratch;
        for sums in [&mut *first, &mut *second] {
            sums.clear();
            sums.resize(stride, 0.0);
        }
        let first = S::as_mut_simd_f32s(first).0;
        let second = S::as_mut_simd_f32s(second).0;
        let anchor = S::as_simd_f32s(self.anchor).0;
        for pull in self.pulls {
            let row = S::as_simd_f32s(&self.rows[pull.row as usize * stride..][..stride]).0;
            let kappa = simd.splat_f32s(pull.kappa);
            let sums = first.iter_mut().zip(second.iter_mut());
            for ((x, z), (first, second)) in row.iter().zip(anchor).zip(sums) {
                let away = simd.sub_f32s(*z, *x);
                let pulled = simd.mul_f32s(kappa, away);
                *first = simd.add_f32s(*first, pulled);
                *second = simd.mul_add_f32s(pulled, away, *second);
            }
        }
    }
}

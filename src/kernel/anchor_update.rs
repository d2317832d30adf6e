//! Gradient and optimizer step of anchors, log L, metric and scales, dense rows.
//!
//! Per pair κ = (∂ℓ/∂u)·L·h, h = 1 for squared and 1/(2d) for plain distances. With
//! A = Σ κ(z − x) and B = Σ κ(x − z)² over an anchor's rows:
//! ∂z = 2et²A, ∂t = 2etB, ∂τ = Σᵢ et²B, ∂l = Σ (∂ℓ/∂u)u.
//!
//! One task an anchor, the only writer of its row; the metric is stepped after all of them from
//! their parts, summed in the order of the anchors. O(n·p).

use crate::config::Learn;
use crate::kernel::Shape;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::{LANES, vectorized};

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
    vectorized(
        #[inline(always)]
        || {
            moments_of_rows(shape, rows, pulls, row.anchor, scratch);
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

/// A and B, sixteen features at a time.
#[inline(always)]
fn moments_of_rows(
    shape: Shape,
    rows: &[f32],
    pulls: &[Pull],
    anchor: &[f32],
    scratch: &mut AnchorScratch,
) {
    let stride = shape.row_stride();
    scratch.first.clear();
    scratch.first.resize(stride, 0.0);
    scratch.second.clear();
    scratch.second.resize(stride, 0.0);
    for pull in pulls {
        let x = rows[pull.row as usize * stride..][..stride].chunks_exact(LANES);
        let out = scratch.first.chunks_exact_mut(LANES).zip(scratch.second.chunks_exact_mut(LANES));
        for ((x, z), (first, second)) in x.zip(anchor.chunks_exact(LANES)).zip(out) {
            for l in 0..LANES {
                let away = z[l] - x[l];
                let pulled = pull.kappa * away;
                first[l] += pulled;
                second[l] = pulled.mul_add(away, second[l]);
            }
        }
    }
}

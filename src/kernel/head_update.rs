//! Gradient and optimizer step of the parameters that have no anchor and feature: bias, log L and the
//! metric.
//!
//! With a = γ·∂ℓ/∂ŷ / b per pair and channel: ∂b = Σ a and ∂ log L = Σ (∂ℓ/∂u)·u over an anchor's
//! pairs, in the order of their slots.
//!
//! weighted sums `[n_pairs, stride]`, pulls by slot → b `[m, C]`, log L and L `[m]`. O(n_pairs·C).
//! parts of ∂τ `[m, n]`, summed in the order of the anchors → τ `[n]`, and the weight it gives the
//! distance: exp(τ), or its root. O(m·n).

use crate::gpu::shaders::{Shader, shader};
use crate::kernel::Shape;
use crate::kernel::anchor_update::Pull;
use crate::kernel::pair_list::PairList;
use crate::math::exp;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::vectorized;

/// The shader, and its workgroups: heads, the loss, and the metric of dense rows.
pub(crate) const SHADER: Shader =
    shader!("head_update", "head_update", ["step", "math", "optimizer"], |sizes, _, _| {
        let of_metric = if sizes.slopes && !sizes.sparse { sizes.features.div_ceil(8) } else { 0 };
        sizes.anchors * (sizes.outputs + 1) + 1 + of_metric
    });

/// Steps the biases; `gradient` is scratch.
pub(crate) fn bias_update(
    shape: Shape,
    pairs: &PairList,
    weighted: &[f32],
    rule: Update,
    bias: &mut [f32],
    moments: MomentsMut<'_>,
    gradient: &mut Vec<f32>,
) {
    let (c, d, stride) = (shape.outputs, shape.factors, shape.stride);
    gradient.clear();
    gradient.resize(bias.len(), 0.0);
    for (i, gradient) in gradient.chunks_exact_mut(c).enumerate() {
        if let [g] = gradient {
            *g = pairs.span(i).fold(0.0, |sum, slot| sum + weighted[slot * stride + d]);
            continue;
        }
        for slot in pairs.span(i) {
            for (c, g) in gradient.iter_mut().enumerate() {
                *g += weighted[slot * stride + c * (d + 1) + d];
            }
        }
    }
    vectorized(
        #[inline(always)]
        || rule.apply(bias, gradient, moments),
    );
}

/// Steps log L, and L with it; `gradient` is scratch.
pub(crate) fn lipschitz_update(
    pairs: &PairList,
    pulls: &[Pull],
    rule: Update,
    log_lipschitz: &mut [f32],
    multipliers: &mut [f32],
    moments: MomentsMut<'_>,
    gradient: &mut Vec<f32>,
) {
    gradient.clear();
    gradient.extend(
        (0..log_lipschitz.len())
            .map(|i| pulls[pairs.span(i)].iter().fold(0.0, |sum: f32, pull| sum + pull.log_slope)),
    );
    vectorized(
        #[inline(always)]
        || {
            rule.apply(log_lipschitz, gradient, moments);
            for (multiplier, l) in multipliers.iter_mut().zip(&*log_lipschitz) {
                *multiplier = exp(*l);
            }
        },
    );
}

/// Steps τ; the weight becomes exp(`power`·τ). `gradient` is memory.
pub(crate) fn metric_update(
    parts: &[f32],
    rule: Update,
    power: f32,
    log_metric: &mut [f32],
    weight: &mut [f32],
    moments: MomentsMut<'_>,
    gradient: &mut Vec<f32>,
) {
    gradient.clear();
    gradient.resize(log_metric.len(), 0.0);
    vectorized(
        #[inline(always)]
        || {
            for part in parts.chunks_exact(log_metric.len()) {
                gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            rule.apply(log_metric, gradient, moments);
            for (weight, tau) in weight.iter_mut().zip(&*log_metric) {
                *weight = exp(power * tau);
            }
        },
    );
}

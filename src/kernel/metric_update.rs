//! Optimizer step of the metric: τ along the sum of the anchors' parts of its gradient.
//!
//! parts `[m, n]`, summed in the order of the anchors → τ `[n]`, and the weight it gives the
//! distance: exp(τ), or its root. O(m·n).

use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::math::exp;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::vectorized;

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("metric_update", "metric_update", ["step", "math", "optimizer"], |sizes, _, _| {
        workgroups(sizes.features)
    });

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

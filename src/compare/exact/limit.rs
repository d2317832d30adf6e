//! How far a kernel in f32 may be from the equations in f64.

use crate::backend::gpu::trace::Trace;
use crate::compare::Checked;

/// The largest error that passes, relative to the largest magnitude of the output.
///
/// Half a unit in the last place is 6·10⁻⁸. An element takes a few operations beside its sums; a sum
/// of n numbers in any order is off by √n units as a rule. Counts, places and what may not move are
/// exact.
pub(in crate::compare) fn limit(trace: &Trace, checked: &Checked) -> f64 {
    let (sizes, b) = (trace.sizes, trace.step.rows as usize);
    let (m, p, c, d) = (sizes.anchors, sizes.features, sizes.outputs, sizes.factors);
    let terms = match (checked.kernel, checked.output) {
        (_, "kept" | "count" | "rows" | "slots" | "starts" | "pairs" | "total pairs") => {
            return 0.0;
        }
        // One function of a number found.
        (_, "L" | "weight" | "u and pull" | "step") => 1,
        (_, "r") => d,
        ("anchor_distance" | "anchor_distance_csr" | "anchor_norm_csr", _) => p,
        ("anchor_coding", "distance") => p,
        ("local_coding" | "anchor_coding", _) => m,
        ("fm_score" | "fm_score_csr", _) => p + d,
        ("blend", _) => m + c,
        ("metric_update_csr", _) => m,
        // The update kernels and the totals sum over an anchor's pairs, the metric's over the anchors.
        _ => b.max(m),
    };
    4e-6 + 2e-7 * (terms as f64).sqrt()
}

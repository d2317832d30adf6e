// ∂τⱼ = Σᵢ of the anchors' parts; after the step √e = e^(τ/2).
//
// An invocation is the writer of one feature: it sums the parts in the order of the anchors.
// O(m·p).

override n_anchors: u32;
override n_features: u32;
override row_quads: u32;

@group(0) @binding(2) var<storage, read_write> metric: array<f32>;
@group(0) @binding(3) var<storage, read_write> metric_moments: array<vec2<f32>>;

const LANES: u32 = 64u;

@compute @workgroup_size(LANES)
fn metric_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let feature = flat_group(workgroup, workgroups) * LANES + lane;
    if feature >= n_features {
        return;
    }
    var gradient = 0.0;
    for (var i = 0u; i < n_anchors; i++) {
        gradient += metric[2u * n_features + i * 4u * row_quads + feature];
    }
    var old = Learned(metric[feature], 0.0, 0.0);
    if rule != SGD {
        old.first = metric_moments[feature].x;
        old.second = metric_moments[feature].y;
    }
    let moved = updated(old, gradient, step.rate);
    metric[feature] = moved.theta;
    metric[n_features + feature] = exp_f32(0.5 * moved.theta);
    if rule != SGD {
        metric_moments[feature] = vec2(moved.first, moved.second);
    }
}

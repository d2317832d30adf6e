// A = Σ κ(z − x) and B = Σ κ(x − z)² over an anchor's pairs, κ = (∂ℓ/∂u)·L·h / b: ∂z = 2et²A,
// ∂t = 2etB, and the anchor's part of ∂τ is et²B.
//
// An invocation is the writer of one (anchor, feature): it sums the anchor's pairs in their order
// and steps z and t. `metric_update` gathers the parts. O(n·p) for n pairs.

override n_anchors: u32;
override n_features: u32;
override has_scales: bool;
override learn_anchors: bool;
override learn_metric: bool;
override learn_scales: bool;

@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read> pulls: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> anchors: array<f32>;
@group(0) @binding(7) var<storage, read_write> anchor_moments: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> metric: array<f32>;

const LANES: u32 = 64u;

// Steps the z or t that stands at `at`.
fn step_anchor(at: u32, gradient: f32, rate: f32) {
    var old = Learned(anchors[at], 0.0, 0.0);
    if rule != SGD {
        old.first = anchor_moments[at].x;
        old.second = anchor_moments[at].y;
    }
    let moved = updated(old, gradient, rate);
    anchors[at] = moved.theta;
    if rule != SGD {
        anchor_moments[at] = vec2(moved.first, moved.second);
    }
}

@compute @workgroup_size(LANES)
fn anchor_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let per_anchor = (n_features + LANES - 1u) / LANES;
    let number = flat_group(workgroup, workgroups);
    let anchor = number / per_anchor;
    let feature = number % per_anchor * LANES + lane;
    if anchor >= n_anchors || feature >= n_features {
        return;
    }

    let pitch = 4u * row_quads;
    let at = anchor * pitch + feature;
    let scale_at = n_anchors * pitch + at;
    let z = anchors[at];
    var sum = 0.0;
    var spread = 0.0;
    let end = starts[anchor + 1u];
    for (var slot = starts[anchor]; slot < end; slot++) {
        let away = z - row_cell(pairs[slot].data_row, feature);
        let pulled = pulls[slot].x * away;
        sum += pulled;
        spread = fma(pulled, away, spread);
    }

    var t = 1.0;
    if has_scales {
        t = anchors[scale_at];
    }
    let root = metric[n_features + feature];
    let weight = root * root * t;
    if learn_metric {
        metric[2u * n_features + at] = weight * t * spread;
    }
    if learn_anchors {
        step_anchor(at, 2.0 * weight * t * sum, step.anchor_rate);
    }
    if learn_scales {
        step_anchor(scale_at, 2.0 * weight * spread, step.rate);
    }
}

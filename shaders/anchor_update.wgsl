// A = Σ κ(z − x) and B = Σ κ(x − z)² over an anchor's pairs, κ = (∂ℓ/∂u)·L·h / b: ∂z = 2et²A,
// ∂t = 2etB, and the anchor's part of ∂τ is et²B.
//
// A workgroup takes some features of one anchor. A lane sums every `anchor_splits`-th pair for four
// features; the lanes' sums are then added in order, and a lane steps z and t of each feature.
// `head_update` gathers the parts. O(n·p) for n pairs.

override n_anchors: u32;
override n_features: u32;
// Lanes that share four features.
override anchor_splits: u32;
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

// A and B of four features.
const PARTS: u32 = 2u;

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

// z of four features; beyond the last one zeros.
fn anchor_quad(at: u32) -> vec4<f32> {
    return vec4(anchors[at], anchors[at + 1u], anchors[at + 2u], anchors[at + 3u]);
}

// Steps a feature's z and t, and keeps its part of ∂τ; `at` is where its z stands.
fn step_feature(at: u32, feature: u32, sum: f32, spread: f32) {
    let scale_at = n_anchors * 4u * row_quads + at;
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

@compute @workgroup_size(LANES)
fn anchor_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // A cell is four features.
    let cells = LANES / anchor_splits;
    let per_anchor = (row_quads + cells - 1u) / cells;
    let number = flat_group(workgroup, workgroups);
    let anchor = number / per_anchor;
    let first_quad = number % per_anchor * cells;
    if anchor >= n_anchors {
        return;
    }

    let first_place = anchor * 4u * row_quads;
    let quad = min(first_quad + lane % cells, row_quads - 1u);
    let z = anchor_quad(first_place + 4u * quad);
    var sum = vec4<f32>();
    var spread = vec4<f32>();
    let end = starts[anchor + 1u];
    for (var slot = starts[anchor] + lane / cells; slot < end; slot += anchor_splits) {
        let away = z - row_quad(pairs[slot].data_row, quad);
        let pull = pulls[slot].x * away;
        sum += pull;
        spread = fma(pull, away, spread);
    }
    keep_part(0u, lane, sum);
    keep_part(1u, lane, spread);
    // Every lane has read z before one steps it.
    add_splits(lane, PARTS, cells);

    let feature = 4u * first_quad + lane;
    if lane < 4u * cells && feature < n_features {
        let sum_of = summed(0u, lane / 4u)[lane % 4u];
        let spread_of = summed(1u, lane / 4u)[lane % 4u];
        step_feature(first_place + feature, feature, sum_of, spread_of);
    }
}

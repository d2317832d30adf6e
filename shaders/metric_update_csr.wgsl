// Optimizer step of the metric, sparse rows: τ along ∂τ = Σᵢ of the anchors' parts, e = exp(τ).
//
// After `anchor_update_csr`, whose anchors all need the old weight. One invocation a column of the
// batch, the only writer of its τ and e, sums the anchors in order. O(m).

override n_anchors: u32;
override n_features: u32;

@group(0) @binding(2) var<storage, read> columns: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> metric: array<f32>;
@group(0) @binding(4) var<storage, read_write> metric_moments: array<vec2<f32>>;

@compute @workgroup_size(64)
fn metric_update_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = flat_group(workgroup, workgroups) * 64u + lane;
    if column >= step.n_columns {
        return;
    }
    let parts = 2u * n_features + column * n_anchors;
    var gradient = 0.0;
    for (var i = 0u; i < n_anchors; i++) {
        gradient += metric[parts + i];
    }

    let j = columns[step.first_column + column].x;
    var old: Learned;
    old.theta = metric[j];
    // SGD keeps no moments: their buffer may then be empty.
    if rule != SGD {
        let moments = metric_moments[j];
        old.first = moments.x;
        old.second = moments.y;
    }
    let moved = updated(old, gradient, step.rate);
    metric[j] = moved.theta;
    metric[n_features + j] = exp_f32(moved.theta);
    if rule != SGD {
        metric_moments[j] = vec2(moved.first, moved.second);
    }
}

// Gradient and optimizer step of anchors and scales, sparse rows; and the metric's gradient.
//
// Over an anchor's pairs κ sums to K, and over those of the rows that have column j, κx to M and
// κx² to N. Then A = Σ κ(z − x) = Kz − M and B = Σ κ(x − z)² = N − 2zM + Kz², whatever the zeros:
// ∂z = 2et²A, ∂t = 2etB, and this anchor's part of ∂τ is et²B. Absent columns keep their values.
//
// One invocation a (column of the batch, anchor), the only writer of its z, t and part, sums the
// rows in order; anchors fastest, as they lie. O(entries).

override n_anchors: u32;
override n_features: u32;
override capacity: u32;
override has_scales: bool;
override learn_anchors: bool;
override learn_scales: bool;
override learn_metric: bool;

@group(0) @binding(2) var<storage, read> columns: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> column_entries: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> row_sets: array<RowSet>;
@group(0) @binding(5) var<storage, read> pulls: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> kappa_totals: array<f32>;
@group(0) @binding(7) var<storage, read_write> anchors: array<f32>;
@group(0) @binding(8) var<storage, read_write> anchor_moments: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read_write> metric: array<f32>;

@compute @workgroup_size(64)
fn anchor_update_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = flat_group(workgroup, workgroups) * 64u + lane;
    let anchor = item % n_anchors;
    let column = item / n_anchors;
    if column >= step.n_columns {
        return;
    }
    let here = columns[step.first_column + column];
    let end = columns[step.first_column + column + 1u].y;
    let first_set = anchor * set_pitch(capacity);
    var first = 0.0;
    var second = 0.0;
    for (var e = here.y; e < end; e++) {
        let entry = column_entries[e];
        let slot = slot_in(row_sets[first_set + entry.x / 32u], entry.x);
        if slot != NO_SLOT {
            let x = bitcast<f32>(entry.y);
            let weighed = pulls[slot].x * x;
            first += weighed;
            second = fma(weighed, x, second);
        }
    }

    let anchor_place = here.x * n_anchors + anchor;
    let scale_place = n_features * n_anchors + anchor_place;
    let z = anchors[anchor_place];
    var t = 1.0;
    if has_scales {
        t = anchors[scale_place];
    }
    let total = kappa_totals[anchor];
    let away = fma(total, z, -first);
    let spread = fma(total, z * z, fma(-2.0 * z, first, second));
    let weight = metric[n_features + here.x] * t;
    if learn_anchors {
        move_parameter(anchor_place, 2.0 * weight * t * away, step.anchor_rate);
    }
    if learn_scales {
        move_parameter(scale_place, 2.0 * weight * spread, step.rate);
    }
    if learn_metric {
        metric[2u * n_features + column * n_anchors + anchor] = weight * t * spread;
    }
}

// SGD keeps no moments: their buffer may then be empty.
fn move_parameter(place: u32, gradient: f32, rate: f32) {
    var old: Learned;
    old.theta = anchors[place];
    if rule != SGD {
        let moments = anchor_moments[place];
        old.first = moments.x;
        old.second = moments.y;
    }
    let moved = updated(old, gradient, rate);
    anchors[place] = moved.theta;
    if rule != SGD {
        anchor_moments[place] = vec2(moved.first, moved.second);
    }
}

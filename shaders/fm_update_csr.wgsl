// Gradient and optimizer step of the local models, sparse rows.
//
// ∂w = Σ a·xⱼ, ∂V = Σ a·xⱼ·q − V·Σ a·xⱼ² over the pairs of the rows that have column j; then
// r = ‖v‖². Columns absent from the batch keep their values and moments; those present are stepped
// for every anchor, also where the gradient is zero (Adam and decay move it all the same).
//
// One invocation a (column of the batch, anchor of the group, channel), the only writer of that
// record, sums the rows in order; channels fastest, then anchors, as records lie. The column is
// read once for every four quads, which stay in registers. O(entries), and O(d + 2) for each of
// them that has a pair.

override n_anchors: u32;
override n_features: u32;
override n_outputs: u32;
override channel_quads: u32;
override capacity: u32;

@group(0) @binding(1) var<uniform> group: Group;
@group(0) @binding(2) var<storage, read> columns: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> column_entries: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> row_sets: array<RowSet>;
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read> scores: array<f32>;
@group(0) @binding(7) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> records: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> record_moments: array<vec4<f32>>;

@compute @workgroup_size(64)
fn fm_update_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = flat_group(workgroup, workgroups) * 64u + lane;
    let group_anchors = group.end_anchor - group.first_anchor;
    let channel = item % n_outputs;
    let anchor = group.first_anchor + item / n_outputs % group_anchors;
    let column = item / n_outputs / group_anchors;
    if column >= step.n_columns {
        return;
    }
    let here = columns[step.first_column + column];
    let end = columns[step.first_column + column + 1u].y;
    let first_set = anchor * set_pitch(capacity);
    let first_slot = starts[group.first_anchor];
    let record = ((here.x * n_anchors + anchor) * n_outputs + channel) * channel_quads;
    var r = 0.0;
    for (var quad = 0u; quad < channel_quads; quad += 4u) {
        // By name and not in an array, which a driver may move to memory.
        var slope_0 = vec4(0.0);
        var slope_1 = vec4(0.0);
        var slope_2 = vec4(0.0);
        var slope_3 = vec4(0.0);
        var own = 0.0;
        for (var e = here.y; e < end; e++) {
            let entry = column_entries[e];
            let slot = slot_in(row_sets[first_set + entry.x / 32u], entry.x);
            if slot == NO_SLOT {
                continue;
            }
            let x = bitcast<f32>(entry.y);
            let ax = scores[slot * n_outputs + channel] * x;
            let place = ((slot - first_slot) * n_outputs + channel) * channel_quads;
            own = fma(ax, x, own);
            slope_0 = add_quad(slope_0, ax, place, quad);
            slope_1 = add_quad(slope_1, ax, place, quad + 1u);
            slope_2 = add_quad(slope_2, ax, place, quad + 2u);
            slope_3 = add_quad(slope_3, ax, place, quad + 3u);
        }
        r = step_quad(slope_0, own, r, record, quad);
        r = step_quad(slope_1, own, r, record, quad + 1u);
        r = step_quad(slope_2, own, r, record, quad + 2u);
        r = step_quad(slope_3, own, r, record, quad + 3u);
    }
}

// The block of four may reach beyond the channel.
fn add_quad(slope: vec4<f32>, ax: f32, place: u32, quad: u32) -> vec4<f32> {
    if quad >= channel_quads {
        return slope;
    }
    var q = sums[place + quad];
    if quad + 1u == channel_quads {
        // The linear weight has the slope a·x, and r is no parameter.
        q.z = 1.0;
        q.w = 0.0;
    }
    return fma(vec4(ax), q, slope);
}

// Steps a quad, and returns `r` with the squares of its v; the last quad, stepped last, keeps it.
fn step_quad(slope: vec4<f32>, own: f32, r: f32, record: u32, quad: u32) -> f32 {
    if quad >= channel_quads {
        return r;
    }
    let place = record + quad;
    let first_moments = n_features * n_anchors * n_outputs * channel_quads;
    let last = quad + 1u == channel_quads;
    var old: Learned4;
    old.theta = records[place];
    if last {
        // With no gradient either, the lane of r stays 0 under every rule.
        old.theta.w = 0.0;
    }
    if rule != SGD {
        old.second = record_moments[place];
    }
    if rule == ADAM {
        old.first = record_moments[first_moments + place];
    }
    let gradient = fma(vec4(-own), only_v(old.theta, last), slope);
    let moved = updated_model(old, gradient);
    if rule != SGD {
        record_moments[place] = moved.second;
    }
    if rule == ADAM {
        record_moments[first_moments + place] = moved.first;
    }
    let v = only_v(moved.theta, last);
    let norm = r + dot(v, v);
    records[place] = vec4(moved.theta.xyz, select(moved.theta.w, norm, last));
    return norm;
}

// Without the lanes of w and r.
fn only_v(theta: vec4<f32>, last: bool) -> vec4<f32> {
    return select(theta, vec4(theta.xy, 0.0, 0.0), last);
}

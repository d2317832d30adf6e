// With a = γ·∂ℓ/∂ŷ / b per pair and channel, over an anchor's pairs: ∂w = Σ a·x and
// ∂v = Σ a·x·q − v·Σ a·x²; then the optimizer's step, and r = ‖v‖².
//
// `scores` holds a, and `sums` q, in the order of the slots.
//
// An invocation is the writer of one (anchor, channel, feature): it sums the anchor's pairs in
// their order and takes the step. O(n·C·p·(d + 2)) for n pairs, and O(m·C·p·(d + 2)) for the step.

override n_anchors: u32;
override n_features: u32;
override n_outputs: u32;
override channel_quads: u32;

@group(0) @binding(1) var<uniform> group: Group;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read> scores: array<f32>;
@group(0) @binding(6) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> records: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> record_moments: array<vec4<f32>>;

const LANES: u32 = 64u;
// Quads of a channel summed together.
const BLOCK: u32 = 4u;

// What the gradient of a quad sums: q, but 1 for w and nothing for r, the last lanes of a channel.
fn basis(q: vec4<f32>, quad: u32) -> vec4<f32> {
    return select(q, vec4(q.xy, 1.0, 0.0), quad + 1u == channel_quads);
}

// Steps the quad at `at`: `pulled` is Σ a·x·basis, `own` Σ a·x². `norm` is Σv² of the quads before;
// returned with this quad's, and written as r where it is the last.
fn step_quad(at: u32, quad: u32, pulled: vec4<f32>, own: f32, norm: f32) -> f32 {
    let n_records = n_anchors * n_features * n_outputs * channel_quads;
    let last = quad + 1u == channel_quads;
    var old = Learned4(records[at], vec4<f32>(), vec4<f32>());
    var own_quad = vec4(own);
    if last {
        // r is no parameter: from 0, without a gradient, neither it nor its memory moves.
        old.theta.w = 0.0;
        own_quad = vec4(own, own, 0.0, 0.0);
    }
    if rule != SGD {
        old.second = record_moments[at];
    }
    if rule == ADAM {
        old.first = record_moments[n_records + at];
    }
    let moved = updated_model(old, fma(-own_quad, old.theta, pulled));
    if rule != SGD {
        record_moments[at] = moved.second;
    }
    if rule == ADAM {
        record_moments[n_records + at] = moved.first;
    }
    if last {
        let r = norm + dot(moved.theta.xy, moved.theta.xy);
        records[at] = vec4(moved.theta.xyz, r);
        return r;
    }
    records[at] = moved.theta;
    return norm + dot(moved.theta, moved.theta);
}

@compute @workgroup_size(LANES)
fn fm_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let per_anchor = (n_outputs * n_features + LANES - 1u) / LANES;
    let number = flat_group(workgroup, workgroups);
    let anchor = group.first_anchor + number / per_anchor;
    let item = number % per_anchor * LANES + lane;
    if anchor >= group.end_anchor || item >= n_outputs * n_features {
        return;
    }
    let channel = item / n_features;
    let feature = item % n_features;
    let start = starts[anchor];
    let end = starts[anchor + 1u];
    // Without a gradient, memory that fades or a penalty nothing moves.
    if start == end && rule != ADAM && step.l2 == 0.0 && step.keep == 1.0 {
        return;
    }

    let group_start = starts[group.first_anchor];
    let record = ((anchor * n_features + feature) * n_outputs + channel) * channel_quads;
    var norm = 0.0;
    for (var first = 0u; first < channel_quads; first += BLOCK) {
        let n = min(BLOCK, channel_quads - first);
        var own = 0.0;
        var sum_0 = vec4<f32>();
        var sum_1 = vec4<f32>();
        var sum_2 = vec4<f32>();
        var sum_3 = vec4<f32>();
        for (var slot = start; slot < end; slot++) {
            let x = row_cell(pairs[slot].data_row, feature);
            let ax = scores[slot * n_outputs + channel] * x;
            let at = ((slot - group_start) * n_outputs + channel) * channel_quads + first;
            own = fma(ax, x, own);
            sum_0 = fma(vec4(ax), basis(sums[at], first), sum_0);
            if n > 1u {
                sum_1 = fma(vec4(ax), basis(sums[at + 1u], first + 1u), sum_1);
            }
            if n > 2u {
                sum_2 = fma(vec4(ax), basis(sums[at + 2u], first + 2u), sum_2);
            }
            if n > 3u {
                sum_3 = fma(vec4(ax), basis(sums[at + 3u], first + 3u), sum_3);
            }
        }
        let at = record + first;
        norm = step_quad(at, first, sum_0, own, norm);
        if n > 1u {
            norm = step_quad(at + 1u, first + 1u, sum_1, own, norm);
        }
        if n > 2u {
            norm = step_quad(at + 2u, first + 2u, sum_2, own, norm);
        }
        if n > 3u {
            norm = step_quad(at + 3u, first + 3u, sum_3, own, norm);
        }
    }
}

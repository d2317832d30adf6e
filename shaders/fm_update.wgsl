// With a = γ·∂ℓ/∂ŷ / b per pair and channel, over an anchor's pairs: ∂w = Σ a·x and
// ∂v = Σ a·x·q − v·Σ a·x²; then the optimizer's step, and r = ‖v‖².
//
// `scores` holds a, and `sums` q, in the order of the slots.
//
// A workgroup takes some features of one anchor and channel. A lane sums every `model_splits`-th
// pair for four features, which takes a row's four numbers and its sums once for all of them; the
// lanes' sums are then added in order, and a lane steps each feature.
// O(n·C·p·(d + 2)) for n pairs, and O(m·C·p·(d + 2)) for the step.

override n_anchors: u32;
override n_features: u32;
override n_outputs: u32;
override channel_quads: u32;
// Lanes that share four features.
override model_splits: u32;

@group(0) @binding(1) var<uniform> group: Group;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read> scores: array<f32>;
@group(0) @binding(6) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> records: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> record_moments: array<vec4<f32>>;

// Quads of a channel summed together, of four features each, and Σ a·x² of the four.
const BLOCK: u32 = 3u;
const OWN: u32 = 4u * BLOCK;
const PARTS: u32 = OWN + 1u;

// Sums of four features, a column each.
struct BlockSums {
    quad_0: mat4x4<f32>,
    quad_1: mat4x4<f32>,
    quad_2: mat4x4<f32>,
    own: vec4<f32>,
}

// What the gradient of a quad sums: q, but 1 for w and nothing for r, the last lanes of a channel.
fn basis(q: vec4<f32>, quad: u32) -> vec4<f32> {
    return select(q, vec4(q.xy, 1.0, 0.0), quad + 1u == channel_quads);
}

// Adds a·x of four features times a quad of the basis.
fn add_quad(sum: mat4x4<f32>, ax: vec4<f32>, at: u32, quad: u32) -> mat4x4<f32> {
    let q = basis(sums[at + quad], quad);
    return mat4x4<f32>(
        fma(vec4(ax.x), q, sum[0]),
        fma(vec4(ax.y), q, sum[1]),
        fma(vec4(ax.z), q, sum[2]),
        fma(vec4(ax.w), q, sum[3]),
    );
}

// A lane's share of the sums over the slots; `sums_start` is the slot whose sums are the first.
fn slot_sums(slots: vec2<u32>, sums_start: u32, channel: u32, quad: u32, first: u32) -> BlockSums {
    var block = BlockSums();
    for (var slot = slots.x; slot < slots.y; slot += model_splits) {
        let x = row_quad(pairs[slot].data_row, quad);
        let ax = scores[slot * n_outputs + channel] * x;
        let at = ((slot - sums_start) * n_outputs + channel) * channel_quads;
        block.own = fma(ax, x, block.own);
        block.quad_0 = add_quad(block.quad_0, ax, at, first);
        if first + 1u < channel_quads {
            block.quad_1 = add_quad(block.quad_1, ax, at, first + 1u);
        }
        if first + 2u < channel_quads {
            block.quad_2 = add_quad(block.quad_2, ax, at, first + 2u);
        }
    }
    return block;
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
    // A cell is four features of a channel.
    let cells = LANES / model_splits;
    let n_items = n_outputs * row_quads;
    let per_anchor = (n_items + cells - 1u) / cells;
    let number = flat_group(workgroup, workgroups);
    let anchor = group.first_anchor + number / per_anchor;
    let first_item = number % per_anchor * cells;
    if anchor >= group.end_anchor {
        return;
    }
    let start = starts[anchor];
    let end = starts[anchor + 1u];
    // Without a gradient, memory that fades or a penalty nothing moves.
    if start == end && rule != ADAM && step.l2 == 0.0 && step.keep == 1.0 {
        return;
    }

    let cell = lane % cells;
    let item = min(first_item + cell, n_items - 1u);
    let slots = vec2(start + lane / cells, end);
    // The feature that the lane steps.
    let own_item = first_item + lane / 4u;
    let channel = own_item / row_quads;
    let feature = 4u * (own_item % row_quads) + lane % 4u;
    let is_live = lane < 4u * cells && own_item < n_items && feature < n_features;
    let record = ((anchor * n_features + feature) * n_outputs + channel) * channel_quads;
    var norm = 0.0;
    for (var first = 0u; first < channel_quads; first += BLOCK) {
        let sums_start = starts[group.first_anchor];
        let block = slot_sums(slots, sums_start, item / row_quads, item % row_quads, first);
        keep_parts(0u, lane, block.quad_0);
        keep_parts(4u, lane, block.quad_1);
        keep_parts(8u, lane, block.quad_2);
        keep_part(OWN, lane, block.own);
        add_splits(lane, PARTS, cells);
        let n = min(BLOCK, channel_quads - first);
        for (var i = 0u; i < n && is_live; i++) {
            let sum = summed(4u * i + lane % 4u, lane / 4u);
            let own = summed(OWN, lane / 4u)[lane % 4u];
            norm = step_quad(record + first + i, first + i, sum, own, norm);
        }
        workgroupBarrier();
    }
}

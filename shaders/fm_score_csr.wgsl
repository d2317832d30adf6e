// Score of each pair's local factorization machine, sparse rows.
//
// f = b + w·x + ½(‖q‖² − Σⱼ xⱼ²rⱼ), q = Vᵀx, rⱼ = ‖vⱼ‖², over the row's non-zeros.
//
// A record's quads times x, and its r times x², are the pair's sums: q, zeros, w·x and Σⱼ xⱼ²rⱼ.
// One invocation a (slot of the group, channel), in strides, the writer of its sums and score;
// slots fastest, because those of an anchor read the same records. The row is read once for every
// four quads, which stay in registers. O(nz(d + 2)).

override n_anchors: u32;
override n_outputs: u32;
override channel_quads: u32;
override write_sums: bool;
override write_scores: bool;

@group(0) @binding(1) var<uniform> group: Group;
@group(0) @binding(2) var<storage, read> row_starts: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read> pairs: array<Pair>;
@group(0) @binding(6) var<storage, read> records: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> heads: array<f32>;
@group(0) @binding(8) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(64)
fn fm_score_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_slot = starts[group.first_anchor];
    let n_slots = starts[group.end_anchor] - first_slot;
    let stride = workgroups.x * workgroups.y * 64u;
    var item = flat_group(workgroup, workgroups) * 64u + lane;
    for (; item < n_slots * n_outputs; item += stride) {
        score_channel(first_slot, item % n_slots, item / n_slots);
    }
}

// `local_slot` counts from the group's first.
fn score_channel(first_slot: u32, local_slot: u32, channel: u32) {
    let slot = first_slot + local_slot;
    let pair = pairs[slot];
    let begin = row_starts[pair.data_row];
    let end = row_starts[pair.data_row + 1u];
    let place = (local_slot * n_outputs + channel) * channel_quads;
    var f = heads[pair.anchor * (n_outputs + 2u) + channel];
    for (var quad = 0u; quad < channel_quads; quad += 4u) {
        // By name and not in an array, which a driver may move to memory.
        var sum_0 = vec4(0.0);
        var sum_1 = vec4(0.0);
        var sum_2 = vec4(0.0);
        var sum_3 = vec4(0.0);
        for (var e = begin; e < end; e++) {
            let entry = entries[e];
            let x = bitcast<f32>(entry.y);
            let model = (entry.x * n_anchors + pair.anchor) * n_outputs + channel;
            let record = model * channel_quads;
            sum_0 = add_quad(sum_0, x, record, quad);
            sum_1 = add_quad(sum_1, x, record, quad + 1u);
            sum_2 = add_quad(sum_2, x, record, quad + 2u);
            sum_3 = add_quad(sum_3, x, record, quad + 3u);
        }
        f += finish_quad(sum_0, place, quad);
        f += finish_quad(sum_1, place, quad + 1u);
        f += finish_quad(sum_2, place, quad + 2u);
        f += finish_quad(sum_3, place, quad + 3u);
    }
    if write_scores {
        scores[slot * n_outputs + channel] = f;
    }
}

// The block of four may reach beyond the channel.
fn add_quad(sum: vec4<f32>, x: f32, record: u32, quad: u32) -> vec4<f32> {
    if quad >= channel_quads {
        return sum;
    }
    let factor = vec4(x, x, x, select(x, x * x, quad + 1u == channel_quads));
    return fma(factor, records[record + quad], sum);
}

// Writes a quad of the sums, and returns its share of the score.
fn finish_quad(sum: vec4<f32>, place: u32, quad: u32) -> f32 {
    if quad >= channel_quads {
        return 0.0;
    }
    if write_sums {
        sums[place + quad] = sum;
    }
    if quad + 1u < channel_quads {
        return 0.5 * dot(sum, sum);
    }
    return sum.z + 0.5 * (dot(sum.xy, sum.xy) - sum.w);
}

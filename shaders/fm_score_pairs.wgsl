// f = b + w·x + ½(‖q‖² − Σⱼ xⱼ² rⱼ) by fm_score.wgsl's product, pair by pair.
//
// An invocation is the writer of the score and the sums of one (slot, channel), and reads its row and
// records alone: no workgroup memory, for features so few that lanes could not share them.
// O(p·(d + 2)) a slot and channel.

const LANES: u32 = 64u;
// Quads of a channel summed together.
const BLOCK: u32 = 4u;

// Keeps the sums of one quad, and takes them into the score.
fn finish(score: f32, sum: vec4<f32>, quad: u32, first_sum: u32) -> f32 {
    if write_sums {
        sums[first_sum + quad] = sum;
    }
    return score + quad_score(sum, quad);
}

// Score of one pair in one channel; `first_sum` is where its sums go.
fn score_pair(pair: Pair, channel: u32, first_sum: u32) -> f32 {
    let first_record = (pair.anchor * n_features * n_outputs + channel) * channel_quads;
    let pitch = n_outputs * channel_quads;
    var score = heads[pair.anchor * (n_outputs + 2u) + channel];
    for (var first = 0u; first < channel_quads; first += BLOCK) {
        let n = min(BLOCK, channel_quads - first);
        var sum_0 = vec4<f32>();
        var sum_1 = vec4<f32>();
        var sum_2 = vec4<f32>();
        var sum_3 = vec4<f32>();
        var at = first_record + first;
        for (var feature = 0u; feature < n_features; feature += 4u) {
            let x_quad = row_quad(pair.data_row, feature / 4u);
            let end = min(4u, n_features - feature);
            for (var k = 0u; k < end; k++) {
                let x = x_quad[k];
                sum_0 = fma(factor(x, first), records[at], sum_0);
                if n > 1u {
                    sum_1 = fma(factor(x, first + 1u), records[at + 1u], sum_1);
                }
                if n > 2u {
                    sum_2 = fma(factor(x, first + 2u), records[at + 2u], sum_2);
                }
                if n > 3u {
                    sum_3 = fma(factor(x, first + 3u), records[at + 3u], sum_3);
                }
                at += pitch;
            }
        }
        score = finish(score, sum_0, first, first_sum);
        if n > 1u {
            score = finish(score, sum_1, first + 1u, first_sum);
        }
        if n > 2u {
            score = finish(score, sum_2, first + 2u, first_sum);
        }
        if n > 3u {
            score = finish(score, sum_3, first + 3u, first_sum);
        }
    }
    return score;
}

@compute @workgroup_size(LANES)
fn fm_score(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_slot = starts[group.first_anchor];
    let n_slots = starts[group.end_anchor] - first_slot;
    // The host does not know how many pairs there are: its grid walks over them in strides.
    let stride = workgroups.x * workgroups.y * LANES;
    var item = flat_group(workgroup, workgroups) * LANES + lane;
    for (; item < n_slots * n_outputs; item += stride) {
        let channel = item / n_slots;
        let s = item % n_slots;
        let slot = first_slot + s;
        let first_sum = (s * n_outputs + channel) * channel_quads;
        let score = score_pair(pairs[slot], channel, first_sum);
        if write_scores {
            scores[slot * n_outputs + channel] = score;
        }
    }
}

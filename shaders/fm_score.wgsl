// f = b + w·x + ½(‖q‖² − Σⱼ xⱼ² rⱼ), q = Vᵀx, rⱼ = ‖vⱼ‖².
//
// One product of the row with its anchor's records gives it all: q from the lanes of v, w·x from
// the lane of w, and Σ x²r from the lane of r, which takes x² for x.
//
// A workgroup takes tiles of one anchor's slots in one channel. A lane multiplies four rows with every
// `score_splits`-th quad of features, so that a record is read once for the four; the sums of a
// slot's lanes are then added in order, and a lane finishes each. The training pass may come in
// groups of anchors, whose `sums` fit a binding. O(p·(d + 2)) a slot and channel.

// Lanes that share a slot, and workgroups that share an anchor and channel.
override score_splits: u32;
override score_shares: u32;

// Quads of a channel summed together, of four rows each.
const BLOCK: u32 = 3u;
const PARTS: u32 = 4u * BLOCK;

// Sums of four rows, a column each.
struct BlockSums {
    quad_0: mat4x4<f32>,
    quad_1: mat4x4<f32>,
    quad_2: mat4x4<f32>,
}

// Adds a feature of four rows times a quad of its record.
fn add_record(sum: mat4x4<f32>, x: vec4<f32>, at: u32, quad: u32) -> mat4x4<f32> {
    let record = records[at + quad];
    return mat4x4<f32>(
        fma(factor(x.x, quad), record, sum[0]),
        fma(factor(x.y, quad), record, sum[1]),
        fma(factor(x.z, quad), record, sum[2]),
        fma(factor(x.w, quad), record, sum[3]),
    );
}

// Adds a feature of four rows; `at` is where its channel's record begins.
fn add_feature(old: BlockSums, x: vec4<f32>, at: u32, first: u32) -> BlockSums {
    var block = old;
    block.quad_0 = add_record(block.quad_0, x, at, first);
    if first + 1u < channel_quads {
        block.quad_1 = add_record(block.quad_1, x, at, first + 1u);
    }
    if first + 2u < channel_quads {
        block.quad_2 = add_record(block.quad_2, x, at, first + 2u);
    }
    return block;
}

// A lane's share of the products of four rows with the records of a channel, those of the first
// feature at `record`.
fn products(data_rows: vec4<u32>, record: u32, split: u32, first: u32) -> BlockSums {
    let pitch = n_outputs * channel_quads;
    var block = BlockSums();
    for (var quad = split; quad < row_quads; quad += score_splits) {
        let x = transpose(mat4x4<f32>(
            row_quad(data_rows.x, quad),
            row_quad(data_rows.y, quad),
            row_quad(data_rows.z, quad),
            row_quad(data_rows.w, quad),
        ));
        let feature = 4u * quad;
        let at = record + feature * pitch;
        block = add_feature(block, x[0], at, first);
        if feature + 1u < n_features {
            block = add_feature(block, x[1], at + pitch, first);
        }
        if feature + 2u < n_features {
            block = add_feature(block, x[2], at + 2u * pitch, first);
        }
        if feature + 3u < n_features {
            block = add_feature(block, x[3], at + 3u * pitch, first);
        }
    }
    return block;
}

// Rows of the data of four slots; beyond the tail the last one again.
fn rows_of_slots(first: u32, end: u32) -> vec4<u32> {
    let last = end - 1u;
    return vec4(
        pairs[min(first, last)].data_row,
        pairs[min(first + 1u, last)].data_row,
        pairs[min(first + 2u, last)].data_row,
        pairs[min(first + 3u, last)].data_row,
    );
}

@compute @workgroup_size(LANES)
fn fm_score(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = flat_group(workgroup, workgroups);
    let share = number % score_shares;
    let channel = number / score_shares % n_outputs;
    let anchor = group.first_anchor + number / score_shares / n_outputs;
    if anchor >= group.end_anchor {
        return;
    }
    let group_start = starts[group.first_anchor];
    let end = starts[anchor + 1u];
    let record = (anchor * n_features * n_outputs + channel) * channel_quads;
    let bias = heads[anchor * (n_outputs + 2u) + channel];
    // A cell is four slots.
    let cells = LANES / score_splits;
    let cell = lane / score_splits;
    let split = lane % score_splits;
    // How many pairs there are only the device knows: shares walk over them in strides.
    let stride = 4u * cells * score_shares;
    for (var tile = starts[anchor] + 4u * cells * share; tile < end; tile += stride) {
        let first_slot = tile + 4u * cell;
        let data_rows = rows_of_slots(first_slot, end);
        let slot = tile + lane;
        let is_live = lane < 4u * cells && slot < end;
        var score = bias;
        for (var first = 0u; first < channel_quads; first += BLOCK) {
            var block = BlockSums();
            if first_slot < end {
                block = products(data_rows, record, split, first);
            }
            let place = split * cells + cell;
            keep_parts(0u, place, block.quad_0);
            keep_parts(4u, place, block.quad_1);
            keep_parts(8u, place, block.quad_2);
            let n = min(BLOCK, channel_quads - first);
            add_splits(lane, 4u * n, cells);
            for (var i = 0u; i < n && is_live; i++) {
                let sum = summed(4u * i + lane % 4u, lane / 4u);
                score += quad_score(sum, first + i);
                if write_sums {
                    let at = ((slot - group_start) * n_outputs + channel) * channel_quads;
                    sums[at + first + i] = sum;
                }
            }
            workgroupBarrier();
        }
        if write_scores && is_live {
            scores[slot * n_outputs + channel] = score;
        }
    }
}

// starts(i) = Σ of the counts before i; anchor i's pairs follow from there, rows rising.
//
// `slots` holds the rank of each used (anchor, row) and afterwards the slot. The order of the
// slots is the one every later sum over an anchor's rows follows.
//
// A workgroup takes one anchor: `pair_count` writes its count and adds to its totals, `pair_fill`
// writes its pairs and the slots of its row of `slots`. O(m·b + m²) in all.

override n_anchors: u32;
override capacity: u32;

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> active_anchors: array<Active>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<u32>;
@group(0) @binding(6) var<storage, read_write> anchor_totals: array<AnchorTotal>;
@group(0) @binding(7) var<storage, read_write> starts: array<u32>;
@group(0) @binding(8) var<storage, read_write> pairs: array<Pair>;

const LANES: u32 = 64u;

var<workgroup> sh_total: array<AnchorTotal, LANES>;
var<workgroup> sh_count: array<u32, LANES>;

// The sum of a number of every lane, pairwise. In uniform control flow.
fn sum_over_lanes(lane: u32, count: u32) -> u32 {
    sh_count[lane] = count;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_count[lane] += sh_count[lane + width];
        }
    }
    return workgroupUniformLoad(&sh_count[0]);
}

// The sum of the numbers of the lanes before this one. In uniform control flow.
fn sum_before(lane: u32, count: u32) -> u32 {
    var sum = count;
    for (var reach = 1u; reach < LANES; reach *= 2u) {
        sh_count[lane] = sum;
        workgroupBarrier();
        if lane >= reach {
            sum += sh_count[lane - reach];
        }
        workgroupBarrier();
    }
    return sum - count;
}

@compute @workgroup_size(LANES)
fn pair_count(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let anchor = flat_group(workgroup, workgroups);
    if anchor >= n_anchors {
        return;
    }
    var part = AnchorTotal(0u, 0.0);
    for (var row = lane; row < step.rows; row += LANES) {
        let rank = slots[anchor * capacity + row];
        if rank != NO_SLOT {
            part.pairs += 1u;
            part.gamma += active_anchors[rank * capacity + row].gamma;
        }
    }
    sh_total[lane] = part;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_total[lane].pairs += sh_total[lane + width].pairs;
            sh_total[lane].gamma += sh_total[lane + width].gamma;
        }
    }
    if lane == 0u {
        counts[anchor] = sh_total[0].pairs;
        anchor_totals[anchor].pairs += sh_total[0].pairs;
        anchor_totals[anchor].gamma += sh_total[0].gamma;
    }
}

@compute @workgroup_size(LANES)
fn pair_fill(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let anchor = flat_group(workgroup, workgroups);
    if anchor >= n_anchors {
        return;
    }
    var before = 0u;
    for (var i = lane; i < anchor; i += LANES) {
        before += counts[i];
    }
    let start = sum_over_lanes(lane, before);
    if lane == 0u {
        starts[anchor] = start;
        if anchor + 1u == n_anchors {
            starts[n_anchors] = start + counts[anchor];
        }
    }

    // A run of neighbouring rows a lane: one scan over the lanes places them all.
    let run = (step.rows + LANES - 1u) / LANES;
    let first_row = min(lane * run, step.rows);
    let end_row = min(first_row + run, step.rows);
    var count = 0u;
    for (var row = first_row; row < end_row; row++) {
        count += select(0u, 1u, slots[anchor * capacity + row] != NO_SLOT);
    }
    var slot = start + sum_before(lane, count);
    for (var row = first_row; row < end_row; row++) {
        let at = anchor * capacity + row;
        let rank = slots[at];
        if rank != NO_SLOT {
            active_anchors[rank * capacity + row].slot = slot;
            pairs[slot] = Pair(row, order[step.first_row + row], anchor);
            slots[at] = slot;
            slot += 1u;
        }
    }
}

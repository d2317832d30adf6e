// starts(i) = Σ of the counts before i; anchor i's pairs follow from there, rows rising.
//
// The order of the slots is the one every later sum over an anchor's rows follows. Counts are those
// of the bits of `row_sets`: 32 rows a number, so that each workgroup can count for itself what
// comes before its anchors, and none waits for another.
//
// A workgroup takes a 64th of the anchors, and writes their pairs, slots and totals.
// O(m·b/32) a workgroup, and O(m·b/32 + n_pairs·k) in all.

override n_anchors: u32;
override capacity: u32;

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> row_codes: array<RowCode>;
@group(0) @binding(4) var<storage, read_write> active_anchors: array<Active>;
@group(0) @binding(5) var<storage, read_write> row_sets: array<RowSet>;
@group(0) @binding(6) var<storage, read_write> anchor_totals: array<AnchorTotal>;
@group(0) @binding(7) var<storage, read_write> starts: array<u32>;
@group(0) @binding(8) var<storage, read_write> pairs: array<Pair>;

const LANES: u32 = 64u;
// Most workgroups. As in src/kernel/pair_list.rs.
const MOST_GROUPS: u32 = 64u;

var<workgroup> sh_count: array<u32, LANES>;
var<workgroup> sh_gamma: array<f32, LANES>;

// The sum of the counts of the lanes before this one, and of all. In uniform control flow.
fn scan(lane: u32, count: u32) -> vec2<u32> {
    var sum = count;
    for (var reach = 1u; reach < LANES; reach *= 2u) {
        sh_count[lane] = sum;
        workgroupBarrier();
        if lane >= reach {
            sum += sh_count[lane - reach];
        }
        workgroupBarrier();
    }
    sh_count[lane] = sum;
    let all = workgroupUniformLoad(&sh_count[LANES - 1u]);
    return vec2(sum - count, all);
}

// The sum of a number of every lane, pairwise. In uniform control flow.
fn sum_over_lanes(lane: u32, part: f32) -> f32 {
    sh_gamma[lane] = part;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_gamma[lane] += sh_gamma[lane + width];
        }
    }
    return workgroupUniformLoad(&sh_gamma[0]);
}

// Rank of an anchor that the row uses.
fn rank_of(anchor: u32, row: u32) -> u32 {
    let last = row_codes[row].count - 1u;
    var rank = 0u;
    while rank < last && active_anchors[rank * capacity + row].anchor != anchor {
        rank += 1u;
    }
    return rank;
}

// Writes the pairs of a set of rows; returns their Σγ.
fn place(anchor: u32, word: u32, found: RowSet) -> f32 {
    var gamma = 0.0;
    var left = found.rows;
    var slot = found.first_slot;
    while left != 0u {
        let row = 32u * word + firstTrailingBit(left);
        let at = rank_of(anchor, row) * capacity + row;
        gamma += active_anchors[at].gamma;
        active_anchors[at].slot = slot;
        pairs[slot] = Pair(row, order[step.first_row + row], anchor);
        slot += 1u;
        left &= left - 1u;
    }
    return gamma;
}

@compute @workgroup_size(LANES)
fn pair_list(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let share = (n_anchors + MOST_GROUPS - 1u) / MOST_GROUPS;
    let first_anchor = flat_group(workgroup, workgroups) * share;
    if first_anchor >= n_anchors {
        return;
    }
    let pitch = set_pitch(capacity);
    let n_words = set_pitch(step.rows);
    var before = 0u;
    for (var i = lane; i < first_anchor * n_words; i += LANES) {
        before += countOneBits(row_sets[i / n_words * pitch + i % n_words].rows);
    }
    var slot = scan(lane, before).y;

    let end_anchor = min(first_anchor + share, n_anchors);
    for (var anchor = first_anchor; anchor < end_anchor; anchor++) {
        let start = slot;
        var gamma = 0.0;
        for (var first_word = 0u; first_word < n_words; first_word += LANES) {
            let word = first_word + lane;
            let at = anchor * pitch + word;
            var found = RowSet();
            if word < n_words {
                found.rows = row_sets[at].rows;
            }
            let counted = scan(lane, countOneBits(found.rows));
            found.first_slot = slot + counted.x;
            slot += counted.y;
            if word < n_words {
                row_sets[at].first_slot = found.first_slot;
                gamma += place(anchor, word, found);
            }
        }
        let total = sum_over_lanes(lane, gamma);
        if lane == 0u {
            starts[anchor] = start;
            anchor_totals[anchor].pairs += slot - start;
            anchor_totals[anchor].gamma += total;
        }
    }
    if lane == 0u && end_anchor == n_anchors {
        starts[n_anchors] = slot;
    }
}

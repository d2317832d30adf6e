// u = L·d, t = u − min u. Adaptive: the k nearest with γ = max(0, μ − t)/S, S = Σ(μ − t), where k
// grows as long as k(t − mean)² + M₂ < 1, and μ = mean + √((1 − M₂)/k). Soft: γ ∝ e^−t; inverse:
// γ ∝ 1/(u + 10⁻⁶), both over the `neighbors` nearest. Single: γ = 1. All of them over the anchors
// that dropout leaves the row.
//
// An invocation codes one row and writes all that belongs to it; the bits of 32 rows lie in one
// number, set in any order. Its anchors come by repeated minimum scans in the order of (t, anchor):
// no barriers, and k is small. O(m·k) a row.

override n_anchors: u32;
override n_outputs: u32;
override capacity: u32;
override neighbors: u32;
override coding: u32;
override plain_distance: bool;

@group(0) @binding(2) var<storage, read> distance: array<f32>;
@group(0) @binding(3) var<storage, read> heads: array<f32>;
@group(0) @binding(4) var<storage, read_write> active_anchors: array<Active>;
@group(0) @binding(5) var<storage, read_write> row_codes: array<RowCode>;
// `RowSet`s: bits of the rows and first slot in turn.
@group(0) @binding(6) var<storage, read_write> row_sets: array<atomic<u32>>;

const LANES: u32 = 64u;

const SINGLE: u32 = 0u;
const ADAPTIVE: u32 = 1u;
const SOFT: u32 = 2u;

// Keeps 1/u finite for a row that lies on an anchor.
const INVERSE_FLOOR: f32 = 1e-6;
// Below this a plain distance has no direction.
const PLAIN_FLOOR: f32 = 1e-6;
// From here on a u counts as overflown, infinite or not: WGSL need not have an infinity.
const OVERFLOW: f32 = 3e38;
// Above every t, so that a scan without a limit finds all anchors.
const NO_LIMIT: f32 = 3.4e38;
// Only nearer anchors can be active: Σ(μ − t)² = 1 keeps μ ≤ 1.
const ADAPTIVE_LIMIT: f32 = 1.0;

// An anchor and its t. `anchor` is NO_SLOT where there is none.
struct Candidate {
    t: f32,
    anchor: u32,
}

// Before every candidate.
const BEFORE_ALL: Candidate = Candidate(-1.0, 0u);

// Of the row: whether dropout is off, or would hide all anchors; and its key.
var<private> sees_all: bool;
var<private> row_key: u32;

// Whether the row is coded with an anchor.
fn is_seen(anchor: u32) -> bool {
    return sees_all || dropout_leaves(row_key, anchor);
}

fn begin_dropout(row: u32) {
    row_key = dropout_row_key(row);
    sees_all = true;
    if step.dropout_threshold > 0u {
        for (var i = 0u; i < n_anchors && sees_all; i++) {
            sees_all = !dropout_leaves(row_key, i);
        }
    }
}

// Where the bits of 32 rows stand.
fn row_set(anchor: u32, word: u32) -> u32 {
    return 2u * (anchor * set_pitch(capacity) + word);
}

// Empties the sets of the workgroup's rows, which no other writes.
fn clear_row_sets(first_row: u32, lane: u32) {
    let first_word = first_row / 32u;
    let n_words = set_pitch(min(LANES, step.rows - first_row));
    for (var i = lane; i < n_anchors * n_words; i += LANES) {
        atomicStore(&row_sets[row_set(i / n_words, first_word + i % n_words)], 0u);
    }
}

fn multiplier(anchor: u32) -> f32 {
    return heads[anchor * (n_outputs + 2u) + n_outputs + 1u];
}

fn scaled_distance(anchor: u32, row: u32) -> f32 {
    return distance[anchor * capacity + row] * multiplier(anchor);
}

// min u; OVERFLOW where all of them are above.
fn least_distance(row: u32) -> f32 {
    var least = OVERFLOW;
    for (var i = 0u; i < n_anchors; i++) {
        let u = scaled_distance(i, row);
        if u < least && is_seen(i) {
            least = u;
        }
    }
    return least;
}

// t ≥ 0; 0 for all where all distances overflowed, and nothing tells the anchors apart. The test
// u > least keeps the nearest at 0 even where the difference is fused with the product in u.
fn shifted_distance(u: f32, least: f32) -> f32 {
    return select(0.0, min(u - least, OVERFLOW), u > least && least < OVERFLOW);
}

// The first candidate after `last` with t < `limit`, in the order of (t, anchor).
fn next_nearest(row: u32, least: f32, limit: f32, last: Candidate) -> Candidate {
    var best = Candidate(limit, NO_SLOT);
    for (var i = 0u; i < n_anchors; i++) {
        let t = shifted_distance(scaled_distance(i, row), least);
        let after = t > last.t || (t == last.t && i > last.anchor);
        if after && t < best.t && is_seen(i) {
            best = Candidate(t, i);
        }
    }
    return best;
}

// Makes an anchor the row's active one of that rank; returns its u.
fn activate(row: u32, rank: u32, anchor: u32, gamma: f32) -> f32 {
    let d = distance[anchor * capacity + row];
    let l = multiplier(anchor);
    var pull = l;
    if plain_distance {
        pull = select(l * (0.5 / max(d, PLAIN_FLOOR)), 0.0, d < PLAIN_FLOOR);
    }
    atomicOr(&row_sets[row_set(anchor, row / 32u)], 1u << (row % 32u));
    active_anchors[rank * capacity + row] = Active(anchor, NO_SLOT, gamma, l * d, pull);
    return l * d;
}

// The greedy λ solver. γ holds t until μ is known.
fn code_adaptive(row: u32) -> RowCode {
    let least = least_distance(row);
    var last = BEFORE_ALL;
    var count = 0u;
    var k = 0.0;
    var mean = 0.0;
    var m2 = 0.0;
    while count < n_anchors {
        let next = next_nearest(row, least, ADAPTIVE_LIMIT, last);
        let ahead = next.t - mean;
        // λₖ ≤ u₍ₖ₊₁₎, without a root.
        if next.anchor == NO_SLOT || k * ahead * ahead + m2 >= 1.0 {
            break;
        }
        activate(row, count, next.anchor, next.t);
        count += 1u;
        k += 1.0;
        mean += ahead / k;
        m2 += ahead * (next.t - mean);
        last = next;
    }
    let root = sqrt(max(1.0 - m2, 0.0) / k);
    let mu = mean + root;
    let normalizer = k * root;
    for (var rank = 0u; rank < count; rank++) {
        let at = rank * capacity + row;
        active_anchors[at].gamma = max(mu - active_anchors[at].gamma, 0.0) / normalizer;
    }
    return RowCode(count, normalizer);
}

// γ proportional to a weight of the distance, over the nearest.
fn code_nearest(row: u32) -> RowCode {
    let least = least_distance(row);
    let wanted = min(neighbors, n_anchors);
    var last = BEFORE_ALL;
    var count = 0u;
    var sum = 0.0;
    while count < wanted {
        let next = next_nearest(row, least, NO_LIMIT, last);
        if next.anchor == NO_SLOT {
            break;
        }
        let u = activate(row, count, next.anchor, 0.0);
        let weight = select(1.0 / (u + INVERSE_FLOOR), exp_f32(-next.t), coding == SOFT);
        active_anchors[count * capacity + row].gamma = weight;
        sum += weight;
        count += 1u;
        last = next;
    }
    // Every weight may be 0: equal shares.
    let all_zero = !(sum > 0.0);
    for (var rank = 0u; rank < count; rank++) {
        let at = rank * capacity + row;
        if all_zero {
            active_anchors[at].gamma = 1.0 / f32(count);
        } else {
            active_anchors[at].gamma /= sum;
        }
    }
    return RowCode(count, select(sum, 1.0, all_zero));
}

@compute @workgroup_size(LANES)
fn local_coding(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = flat_group(workgroup, workgroups) * LANES;
    if first_row >= step.rows {
        return;
    }
    clear_row_sets(first_row, lane);
    storageBarrier();
    let row = first_row + lane;
    if row >= step.rows {
        return;
    }
    begin_dropout(row);
    switch coding {
        case SINGLE: {
            // The distances were not computed.
            atomicOr(&row_sets[row_set(0u, row / 32u)], 1u << (row % 32u));
            active_anchors[row] = Active(0u, NO_SLOT, 1.0, 0.0, 0.0);
            row_codes[row] = RowCode(1u, 1.0);
        }
        case ADAPTIVE: {
            row_codes[row] = code_adaptive(row);
        }
        default: {
            row_codes[row] = code_nearest(row);
        }
    }
}

// u = L·d, t = u − min u. Adaptive: the k nearest with γ = max(0, μ − t)/S, S = Σ(μ − t), where k
// grows as long as k(t − mean)² + M₂ < 1, and μ = mean + √((1 − M₂)/k). Soft: γ ∝ e^−t; inverse:
// γ ∝ 1/(u + 10⁻⁶), both over the `neighbors` nearest. Single: γ = 1. All of them over the anchors
// that dropout leaves the row.
//
// A row's anchors come by repeated minimum scans in the order of (t, anchor): k is small. How the scans
// are shared by lanes is the matter of scan_lane.wgsl or scan_subgroup.wgsl, which find the same. The
// bits of 32 rows lie in one number, set in any order. `ROWS` is the file's: rows of a workgroup, a
// multiple of 32. O(m·k) a row.

override n_outputs: u32;
override capacity: u32;
override neighbors: u32;
override coding: u32;
override plain_distance: bool;

@group(0) @binding(6) var<storage, read_write> distance: array<f32>;
@group(0) @binding(3) var<storage, read> heads: array<f32>;
@group(0) @binding(7) var<storage, read_write> active_anchors: array<Active>;
@group(0) @binding(8) var<storage, read_write> row_codes: array<RowCode>;
// `RowSet`s: bits of the rows and first slot in turn.
@group(0) @binding(9) var<storage, read_write> row_sets: array<atomic<u32>>;

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

// Empties the sets of the workgroup's rows, which no other writes. In uniform control flow.
fn clear_row_sets(first_row: u32, lane: u32) {
    let first_word = first_row / 32u;
    let n_words = set_pitch(min(ROWS, step.rows - first_row));
    for (var i = lane; i < n_anchors * n_words; i += LANES) {
        atomicStore(&row_sets[row_set(i / n_words, first_word + i % n_words)], 0u);
    }
    storageBarrier();
}

fn multiplier(anchor: u32) -> f32 {
    return heads[anchor * (n_outputs + 2u) + n_outputs + 1u];
}

fn scaled_distance(anchor: u32, row: u32) -> f32 {
    return distance[anchor * capacity + row] * multiplier(anchor);
}

// t ≥ 0; 0 for all where all distances overflowed, and nothing tells the anchors apart. The test
// u > least keeps the nearest at 0 even where the difference is fused with the product in u.
fn shifted_distance(u: f32, least: f32) -> f32 {
    return select(0.0, min(u - least, OVERFLOW), u > least && least < OVERFLOW);
}

// An anchor or the best so far, whichever comes first after `last` in the order of (t, anchor).
fn nearer(best: Candidate, row: u32, anchor: u32, least: f32, last: Candidate) -> Candidate {
    let t = shifted_distance(scaled_distance(anchor, row), least);
    let after = t > last.t || (t == last.t && anchor > last.anchor);
    if after && t < best.t && is_seen(anchor) {
        return Candidate(t, anchor);
    }
    return best;
}

// Makes an anchor the row's active one of that rank.
fn activate(row: u32, rank: u32, anchor: u32, gamma: f32) {
    let d = distance[anchor * capacity + row];
    let l = multiplier(anchor);
    var pull = l;
    if plain_distance {
        pull = select(l * (0.5 / max(d, PLAIN_FLOOR)), 0.0, d < PLAIN_FLOOR);
    }
    atomicOr(&row_sets[row_set(anchor, row / 32u)], 1u << (row % 32u));
    active_anchors[rank * capacity + row] = Active(anchor, NO_SLOT, gamma, l * d, pull);
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
        if writes_row() {
            activate(row, count, next.anchor, next.t);
        }
        count += 1u;
        k += 1.0;
        mean += ahead / k;
        m2 += ahead * (next.t - mean);
        last = next;
    }
    let root = sqrt(max(1.0 - m2, 0.0) / k);
    let mu = mean + root;
    let normalizer = k * root;
    for (var rank = 0u; rank < count && writes_row(); rank++) {
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
        let u = scaled_distance(next.anchor, row);
        let weight = select(1.0 / (u + INVERSE_FLOOR), exp_f32(-next.t), coding == SOFT);
        if writes_row() {
            activate(row, count, next.anchor, weight);
        }
        sum += weight;
        count += 1u;
        last = next;
    }
    // Every weight may be 0: equal shares.
    let all_zero = !(sum > 0.0);
    for (var rank = 0u; rank < count && writes_row(); rank++) {
        let at = rank * capacity + row;
        if all_zero {
            active_anchors[at].gamma = 1.0 / f32(count);
        } else {
            active_anchors[at].gamma /= sum;
        }
    }
    return RowCode(count, select(sum, 1.0, all_zero));
}

// Codes one row.
fn code_row(row: u32) {
    begin_dropout(row);
    var code = RowCode(1u, 1.0);
    switch coding {
        case SINGLE: {
            // The distances were not computed.
            if writes_row() {
                atomicOr(&row_sets[row_set(0u, row / 32u)], 1u << (row % 32u));
                active_anchors[row] = Active(0u, NO_SLOT, 1.0, 0.0, 0.0);
            }
        }
        case ADAPTIVE: {
            code = code_adaptive(row);
        }
        default: {
            code = code_nearest(row);
        }
    }
    if writes_row() {
        row_codes[row] = code;
    }
}

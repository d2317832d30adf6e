// Scans over the anchors of a row by a subgroup: each lane takes every n-th anchor of n lanes, and the
// least of what they find is the least of all.

const LANES: u32 = 256u;

// Lanes of the subgroup, and this one's number.
var<private> team_size: u32;
var<private> team_lane: u32;

// Takes up the lanes of a subgroup.
fn begin_team(size: u32, lane: u32) {
    team_size = size;
    team_lane = lane;
}

// Codes every n-th of the workgroup's rows, of n subgroups.
fn code_rows(first_row: u32, subgroup: u32, subgroups: u32) {
    let end_row = min(first_row + ROWS, step.rows);
    for (var row = first_row + subgroup; row < end_row; row += subgroups) {
        code_row(row);
    }
}

// Whether the lane writes what is found of its row.
fn writes_row() -> bool {
    return team_lane == 0u;
}

// min u; OVERFLOW where all of them are above. All lanes go round as often.
fn least_distance(row: u32) -> f32 {
    var least = OVERFLOW;
    for (var first = 0u; first < n_anchors; first += team_size) {
        let i = first + team_lane;
        if i < n_anchors {
            let u = scaled_distance(i, row);
            if u < least && is_seen(i) {
                least = u;
            }
        }
    }
    return subgroupMin(least);
}

// The first candidate after `last` with t < `limit`, in the order of (t, anchor).
fn next_nearest(row: u32, least: f32, limit: f32, last: Candidate) -> Candidate {
    var best = Candidate(limit, NO_SLOT);
    for (var first = 0u; first < n_anchors; first += team_size) {
        let i = first + team_lane;
        if i < n_anchors {
            best = nearer(best, row, i, least, last);
        }
    }
    let t = subgroupMin(best.t);
    return Candidate(t, subgroupMin(select(NO_SLOT, best.anchor, best.t == t)));
}

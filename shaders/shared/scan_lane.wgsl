// Scans over the anchors of a row by one lane.

const LANES: u32 = 64u;

// Whether the lane writes what is found of its row.
fn writes_row() -> bool {
    return true;
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

// The first candidate after `last` with t < `limit`, in the order of (t, anchor).
fn next_nearest(row: u32, least: f32, limit: f32, last: Candidate) -> Candidate {
    var best = Candidate(limit, NO_SLOT);
    for (var i = 0u; i < n_anchors; i++) {
        best = nearer(best, row, i, least, last);
    }
    return best;
}

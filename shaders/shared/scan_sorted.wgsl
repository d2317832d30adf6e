// The anchors of a row in their sorted order: a workgroup sorts them (bitonic, Batcher 1968) before one
// lane codes the row. For rows that use most anchors, where a scan for each would take longer.

// m, rounded up to a power of two.
override sort_size: u32;

const LANES: u32 = 256u;

// In the order of (t, anchor); those that the row does not see come last.
var<workgroup> sh_sorted: array<Candidate, sort_size>;
var<workgroup> sh_least: array<f32, LANES>;

// Place of the next anchor.
var<private> next_place: u32;

// Whether the lane writes what is found of its row: none but one codes it.
fn writes_row() -> bool {
    return true;
}

// min u, found before.
fn least_distance(row: u32) -> f32 {
    next_place = 0u;
    return sh_least[0];
}

// The next candidate in order, if its t < `limit`.
fn next_nearest(row: u32, least: f32, limit: f32, last: Candidate) -> Candidate {
    let found = sh_sorted[next_place];
    next_place += 1u;
    if found.t < limit {
        return found;
    }
    return Candidate(limit, NO_SLOT);
}

fn comes_before(a: Candidate, b: Candidate) -> bool {
    return a.t < b.t || (a.t == b.t && a.anchor < b.anchor);
}

// Finds min u of the row. In uniform control flow.
fn find_least(row: u32, lane: u32) {
    var least = OVERFLOW;
    for (var i = lane; i < n_anchors; i += LANES) {
        let u = scaled_distance(i, row);
        if u < least && is_seen(i) {
            least = u;
        }
    }
    sh_least[lane] = least;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_least[lane] = min(sh_least[lane], sh_least[lane + width]);
        }
    }
    workgroupBarrier();
}

// Sorts the anchors of a row. In uniform control flow.
fn sort_anchors(row: u32, lane: u32) {
    begin_dropout(row);
    find_least(row, lane);
    for (var i = lane; i < sort_size; i += LANES) {
        var it = Candidate(NO_LIMIT, NO_SLOT);
        if i < n_anchors && is_seen(i) {
            it = Candidate(shifted_distance(scaled_distance(i, row), sh_least[0]), i);
        }
        sh_sorted[i] = it;
    }
    workgroupBarrier();
    for (var size = 2u; size <= sort_size; size *= 2u) {
        for (var reach = size / 2u; reach > 0u; reach /= 2u) {
            for (var i = lane; i < sort_size; i += LANES) {
                let other = i ^ reach;
                let rises = (i & size) == 0u;
                if other > i && comes_before(sh_sorted[other], sh_sorted[i]) == rises {
                    let it = sh_sorted[i];
                    sh_sorted[i] = sh_sorted[other];
                    sh_sorted[other] = it;
                }
            }
            workgroupBarrier();
        }
    }
}

// The (row, anchor) pairs of a batch.

// Where a row does not use an anchor.
const NO_SLOT: u32 = 0xffffffffu;

// Of 32 rows that follow each other, those that use an anchor.
struct RowSet {
    // A bit a row.
    rows: u32,
    // Slot of the first of them, set by `pair_list`.
    first_slot: u32,
}

// Sets of an anchor.
fn set_pitch(rows: u32) -> u32 {
    return (rows + 31u) / 32u;
}

// The row's slot.
fn slot_in(found: RowSet, row: u32) -> u32 {
    let bit = 1u << (row % 32u);
    let before = countOneBits(found.rows & (bit - 1u));
    return select(NO_SLOT, found.first_slot + before, (found.rows & bit) != 0u);
}

// How many anchors a row uses, and the normaliser S its gradient needs.
struct RowCode {
    count: u32,
    normalizer: f32,
}

// One active anchor of a row.
struct Active {
    anchor: u32,
    // Place in the list of pairs, set by `pair_list`.
    slot: u32,
    gamma: f32,
    // L·d.
    u: f32,
    // L·h, h = 1 for squared and 1/(2d) for plain distances: ∂u/∂(squared distance).
    pull: f32,
}

// One element of the list of pairs.
struct Pair {
    // Row of the batch, and of the data it was taken from.
    row: u32,
    data_row: u32,
    anchor: u32,
}

// Running sums over the steps: pairs of an anchor, and their γ.
struct AnchorTotal {
    pairs: u32,
    gamma: f32,
}

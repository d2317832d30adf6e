// The (row, anchor) pairs of a batch.

// What `slots` holds where a row does not use an anchor.
const NO_SLOT: u32 = 0xffffffffu;

// How many anchors a row uses, and the normaliser S its gradient needs.
struct RowCode {
    count: u32,
    normalizer: f32,
}

// One active anchor of a row.
struct Active {
    anchor: u32,
    // Place in the list of pairs, set by `pair_fill`.
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

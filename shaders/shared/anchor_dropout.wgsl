// Which anchors a training step hides from each row: u32 arithmetic, so that every device hides the
// same. Rust twin: src/anchor_dropout.rs.

// A hash: lowbias32 of Wellons' hash-prospector.
fn mixed(word: u32) -> u32 {
    var x = word;
    x = (x ^ (x >> 16u)) * 0x7feb352du;
    x = (x ^ (x >> 15u)) * 0x846ca68bu;
    return x ^ (x >> 16u);
}

// What sets a row of the batch apart from others in this step.
fn dropout_row_key(row: u32) -> u32 {
    return mixed(step.dropout_key ^ row);
}

// Whether an anchor is left to the row of that key; a row that none is left to keeps them all.
fn dropout_leaves(row_key: u32, anchor: u32) -> bool {
    return mixed(row_key ^ anchor) >= step.dropout_threshold;
}

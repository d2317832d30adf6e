// What changes from step to step, and the grid.

// Rust twin: `Step` in src/backend/gpu/step.rs; a test there compares the two, and `Group`.
struct Step {
    // Rows of the batch b.
    rows: u32,
    // Where the batch begins in `order`.
    first_row: u32,
    // Sparse rows: where the batch's columns begin in `columns`, and how many there are.
    first_column: u32,
    n_columns: u32,
    // Where the step's loss goes in `step_losses`.
    loss_slot: u32,
    // Step size of every parameter but the anchors.
    rate: f32,
    anchor_rate: f32,
    // L2 of linear weights and factors, and what decay leaves of them: 1 - rate * weight_decay.
    l2: f32,
    keep: f32,
    // Adam: 1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    first_up: f32,
    second_up: f32,
    // 1 / b.
    inverse_batch: f32,
    // What part of a label is spread over the classes alike.
    label_smoothing: f32,
    // Anchor dropout: hashes below are hidden, 0 hides none; and what sets the step apart.
    dropout_threshold: u32,
    dropout_key: u32,
}

// The anchors whose pairs a dispatch works on: all of them, unless their sums exceed a binding.
struct Group {
    first_anchor: u32,
    end_anchor: u32,
}

@group(0) @binding(0) var<uniform> step: Step;

// The number of a workgroup in a grid folded into two dimensions.
fn flat_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

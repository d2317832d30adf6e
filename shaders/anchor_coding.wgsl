// Distances of dense rows, and the anchors they use: shared/measure.wgsl and shared/coding.wgsl. An
// invocation codes one row.

@compute @workgroup_size(LANES)
fn anchor_coding(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = flat_group(workgroup, workgroups) * ROWS;
    if first_row >= step.rows {
        return;
    }
    measure(first_row, lane);
    clear_row_sets(first_row, lane);
    if lane < ROWS && first_row + lane < step.rows {
        code_row(first_row + lane);
    }
}

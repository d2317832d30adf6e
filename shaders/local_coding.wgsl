// The anchors that each row uses, and their weights: shared/coding.wgsl. An invocation codes one row.

override n_anchors: u32;

const ROWS: u32 = 64u;

@compute @workgroup_size(LANES)
fn local_coding(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = flat_group(workgroup, workgroups) * ROWS;
    if first_row >= step.rows {
        return;
    }
    clear_row_sets(first_row, lane);
    if first_row + lane < step.rows {
        code_row(first_row + lane);
    }
}

// The anchors that each row uses, and their weights: shared/coding.wgsl. A workgroup sorts the anchors of
// one row after the other.

override n_anchors: u32;

const ROWS: u32 = 32u;

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
    let end_row = min(first_row + ROWS, step.rows);
    for (var row = first_row; row < end_row; row++) {
        sort_anchors(row, lane);
        if lane == 0u {
            code_row(row);
        }
        workgroupBarrier();
    }
}

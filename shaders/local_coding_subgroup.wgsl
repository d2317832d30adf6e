// The anchors that each row uses, and their weights: shared/coding.wgsl. A subgroup codes one row after
// the other.

override n_anchors: u32;

const ROWS: u32 = 32u;

@compute @workgroup_size(LANES)
fn local_coding(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let first_row = flat_group(workgroup, workgroups) * ROWS;
    if first_row >= step.rows {
        return;
    }
    clear_row_sets(first_row, lane);
    begin_team(subgroup_size, subgroup_lane);
    code_rows(first_row, subgroup, subgroups);
}

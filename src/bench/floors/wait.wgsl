// Next to nothing, that waits for the dispatch before.

@group(0) @binding(0) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(64)
fn wait_floor(@builtin(local_invocation_index) lane: u32) {
    counts[lane] += 1u;
}

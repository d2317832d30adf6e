// Copies blocks of 16 KiB, a workgroup each; from the start again where there are more workgroups.

// Blocks of a buffer.
override blocks: u32 = 1u;

@group(0) @binding(0) var<storage, read> from_here: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> to_there: array<vec4<f32>>;

const LANES: u32 = 256u;
const BLOCK: u32 = 4u * LANES;

@compute @workgroup_size(LANES)
fn copy_floor(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup.y * workgroups.x + workgroup.x;
    let first = number % blocks * BLOCK + lane;
    let a = from_here[first];
    let b = from_here[first + LANES];
    let c = from_here[first + 2u * LANES];
    let d = from_here[first + 3u * LANES];
    to_there[first] = a;
    to_there[first + LANES] = b;
    to_there[first + 2u * LANES] = c;
    to_there[first + 3u * LANES] = d;
}

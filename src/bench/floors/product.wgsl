// A tile of 128 × 128 of the product of two matrices, again and again: `left` and `right` are
// feature-major, [depth, 128 · tiles].
//
// An invocation sums 8 × 8 cells in registers, of 8 features in workgroup memory at a time.

@group(0) @binding(0) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> right: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> product: array<vec4<f32>>;

const LANES: u32 = 256u;
const TILES: u32 = 8u;
const DEPTH: u32 = 512u;
const BLOCK: u32 = 8u;
// A line of a tile, and of a matrix, in vectors of four.
const TILE_QUADS: u32 = 32u;
const LINE_QUADS: u32 = TILES * TILE_QUADS;

var<workgroup> sh_left: array<vec4<f32>, LANES>;
var<workgroup> sh_right: array<vec4<f32>, LANES>;

@compute @workgroup_size(LANES)
fn product_floor(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = (workgroup.y * workgroups.x + workgroup.x) % (TILES * TILES);
    let first_left = tile / TILES * TILE_QUADS;
    let first_right = tile % TILES * TILE_QUADS;
    let row = lane / 16u;
    let column = lane % 16u;
    // Rows of four cells by the left quad's component, and of four more by the second quad's.
    var s_00 = vec4<f32>(); var s_01 = vec4<f32>();
    var s_10 = vec4<f32>(); var s_11 = vec4<f32>();
    var s_20 = vec4<f32>(); var s_21 = vec4<f32>();
    var s_30 = vec4<f32>(); var s_31 = vec4<f32>();
    var s_40 = vec4<f32>(); var s_41 = vec4<f32>();
    var s_50 = vec4<f32>(); var s_51 = vec4<f32>();
    var s_60 = vec4<f32>(); var s_61 = vec4<f32>();
    var s_70 = vec4<f32>(); var s_71 = vec4<f32>();
    for (var first = 0u; first < DEPTH; first += BLOCK) {
        let line = (first + lane / TILE_QUADS) * LINE_QUADS + lane % TILE_QUADS;
        sh_left[lane] = left[line + first_left];
        sh_right[lane] = right[line + first_right];
        workgroupBarrier();
        for (var depth = 0u; depth < BLOCK; depth++) {
            let a_0 = sh_left[depth * TILE_QUADS + row];
            let a_1 = sh_left[depth * TILE_QUADS + 16u + row];
            let b_0 = sh_right[depth * TILE_QUADS + column];
            let b_1 = sh_right[depth * TILE_QUADS + 16u + column];
            s_00 = fma(a_0.xxxx, b_0, s_00); s_01 = fma(a_0.xxxx, b_1, s_01);
            s_10 = fma(a_0.yyyy, b_0, s_10); s_11 = fma(a_0.yyyy, b_1, s_11);
            s_20 = fma(a_0.zzzz, b_0, s_20); s_21 = fma(a_0.zzzz, b_1, s_21);
            s_30 = fma(a_0.wwww, b_0, s_30); s_31 = fma(a_0.wwww, b_1, s_31);
            s_40 = fma(a_1.xxxx, b_0, s_40); s_41 = fma(a_1.xxxx, b_1, s_41);
            s_50 = fma(a_1.yyyy, b_0, s_50); s_51 = fma(a_1.yyyy, b_1, s_51);
            s_60 = fma(a_1.zzzz, b_0, s_60); s_61 = fma(a_1.zzzz, b_1, s_61);
            s_70 = fma(a_1.wwww, b_0, s_70); s_71 = fma(a_1.wwww, b_1, s_71);
        }
        workgroupBarrier();
    }
    // A quad a lane: what the cells are is no matter, but that all of them are needed.
    let all = ((s_00 + s_01) + (s_10 + s_11)) + ((s_20 + s_21) + (s_30 + s_31))
        + ((s_40 + s_41) + (s_50 + s_51)) + ((s_60 + s_61) + (s_70 + s_71));
    product[tile * LANES + lane] = all;
}

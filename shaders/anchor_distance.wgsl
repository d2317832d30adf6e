// D(x, i) = Σⱼ (sᵢⱼ xⱼ − sᵢⱼ zᵢⱼ)², s = t·√e; the distance is D, or √D where it is plain.
//
// Two fused operations an element, and no cancellation as in ‖x‖² − 2x·z + ‖z‖².
//
// A workgroup is the writer of a tile of 32 rows × 32 anchors, each invocation of 4 × 4 cells; the
// tiles of the same rows follow each other. Features are summed in their order. O(b·m·p).

override capacity: u32;
override plain_distance: bool;

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(6) var<storage, read_write> distance: array<f32>;

const LANES: u32 = 64u;
// Rows of a tile, and its anchors.
const TILE: u32 = 32u;
const TILE_QUADS: u32 = TILE / 4u;
// Features in workgroup memory at a time.
const DEPTH: u32 = 16u;
const DEPTH_QUADS: u32 = DEPTH / 4u;
// Each loads 4 lines × 4 features: half of the workgroup the rows, the other half the anchors.
const LOADERS: u32 = TILE_QUADS * DEPTH_QUADS;

// Feature-major, so that one load brings a feature of four rows or anchors: x, s and −s·z.
var<workgroup> sh_row: array<vec4<f32>, DEPTH * TILE_QUADS>;
var<workgroup> sh_scale: array<vec4<f32>, DEPTH * TILE_QUADS>;
var<workgroup> sh_center: array<vec4<f32>, DEPTH * TILE_QUADS>;

// Loads four features of four rows of the data.
fn load_rows(lines: vec4<u32>, quad: u32, place: u32) {
    var block = mat4x4<f32>();
    if quad < row_quads {
        block = transpose(mat4x4<f32>(
            row_quad(lines.x, quad),
            row_quad(lines.y, quad),
            row_quad(lines.z, quad),
            row_quad(lines.w, quad),
        ));
    }
    sh_row[place] = block[0];
    sh_row[place + TILE_QUADS] = block[1];
    sh_row[place + 2u * TILE_QUADS] = block[2];
    sh_row[place + 3u * TILE_QUADS] = block[3];
}

// The same of four anchors, the metric and their scales worked in.
fn load_anchors(lines: vec4<u32>, quad: u32, place: u32) {
    var scale = mat4x4<f32>();
    var center = mat4x4<f32>();
    if quad < row_quads {
        let root = root_metric(quad);
        let s_0 = root * scale_quad(lines.x + quad);
        let s_1 = root * scale_quad(lines.y + quad);
        let s_2 = root * scale_quad(lines.z + quad);
        let s_3 = root * scale_quad(lines.w + quad);
        scale = transpose(mat4x4<f32>(s_0, s_1, s_2, s_3));
        center = transpose(mat4x4<f32>(
            -s_0 * anchors[lines.x + quad],
            -s_1 * anchors[lines.y + quad],
            -s_2 * anchors[lines.z + quad],
            -s_3 * anchors[lines.w + quad],
        ));
    }
    sh_scale[place] = scale[0];
    sh_scale[place + TILE_QUADS] = scale[1];
    sh_scale[place + 2u * TILE_QUADS] = scale[2];
    sh_scale[place + 3u * TILE_QUADS] = scale[3];
    sh_center[place] = center[0];
    sh_center[place + TILE_QUADS] = center[1];
    sh_center[place + 2u * TILE_QUADS] = center[2];
    sh_center[place + 3u * TILE_QUADS] = center[3];
}

// Writes the sums of one anchor and four rows, those of them that exist.
fn write(anchor: u32, row: u32, sums: vec4<f32>) {
    if anchor >= n_anchors {
        return;
    }
    let cells = select(sums, sqrt(sums), plain_distance);
    for (var k = 0u; k < 4u; k++) {
        if row + k < step.rows {
            distance[anchor * capacity + row + k] = cells[k];
        }
    }
}

// The four rows of the data, or where the four anchors begin, that a lane loads. Beyond the tail the
// last one is loaded again.
fn line_starts(loads_rows: bool, first: u32) -> vec4<u32> {
    var lines = vec4<u32>();
    for (var k = 0u; k < 4u; k++) {
        if loads_rows {
            let row = min(first + k, step.rows - 1u);
            lines[k] = order[step.first_row + row];
        } else {
            lines[k] = min(first + k, n_anchors - 1u) * row_quads;
        }
    }
    return lines;
}

@compute @workgroup_size(LANES)
fn anchor_distance(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let anchor_tiles = (n_anchors + TILE - 1u) / TILE;
    let tile = flat_group(workgroup, workgroups);
    let first_row = tile / anchor_tiles * TILE;
    let first_anchor = tile % anchor_tiles * TILE;
    if first_row >= step.rows {
        return;
    }

    let loads_rows = lane < LOADERS;
    let load_group = lane % TILE_QUADS;
    let load_quad = lane % LOADERS / TILE_QUADS;
    let place = 4u * load_quad * TILE_QUADS + load_group;
    let first_line = select(first_anchor, first_row, loads_rows) + 4u * load_group;
    let lines = line_starts(loads_rows, first_line);

    // Of each of four anchors, the sums of four rows.
    let row_group = lane % TILE_QUADS;
    let anchor_group = lane / TILE_QUADS;
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var first_quad = 0u; first_quad < row_quads; first_quad += DEPTH_QUADS) {
        if loads_rows {
            load_rows(lines, first_quad + load_quad, place);
        } else {
            load_anchors(lines, first_quad + load_quad, place);
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth++) {
            let x = sh_row[depth * TILE_QUADS + row_group];
            let scale = sh_scale[depth * TILE_QUADS + anchor_group];
            let center = sh_center[depth * TILE_QUADS + anchor_group];
            let away_0 = fma(x, scale.xxxx, center.xxxx);
            let away_1 = fma(x, scale.yyyy, center.yyyy);
            let away_2 = fma(x, scale.zzzz, center.zzzz);
            let away_3 = fma(x, scale.wwww, center.wwww);
            sum_0 = fma(away_0, away_0, sum_0);
            sum_1 = fma(away_1, away_1, sum_1);
            sum_2 = fma(away_2, away_2, sum_2);
            sum_3 = fma(away_3, away_3, sum_3);
        }
        workgroupBarrier();
    }

    let row = first_row + 4u * row_group;
    let anchor = first_anchor + 4u * anchor_group;
    write(anchor, row, sum_0);
    write(anchor + 1u, row, sum_1);
    write(anchor + 2u, row, sum_2);
    write(anchor + 3u, row, sum_3);
}

// Distance of each sparse row to each anchor.
//
// D(x, i) = Σⱼ eⱼtᵢⱼ²zᵢⱼ² + Σ_{j in row} eⱼtᵢⱼ²xⱼ(xⱼ − 2zᵢⱼ), d = D or √D: a row costs its
// non-zeros and not p.
//
// One invocation a (row, anchor), the writer of its element; anchors fastest, because a column's
// anchors lie together. O(m(nz + 64)) a row.

override n_anchors: u32;
override n_features: u32;
override capacity: u32;
override plain_distance: bool;
override has_scales: bool;

// Of the 64 parts of an anchor's norm.
const PART_QUADS: u32 = 16u;

@group(0) @binding(2) var<storage, read> row_starts: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read> anchors: array<f32>;
@group(0) @binding(6) var<storage, read> metric: array<f32>;
@group(0) @binding(7) var<storage, read> norm_parts: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> distance: array<f32>;

@compute @workgroup_size(64)
fn anchor_distance_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = flat_group(workgroup, workgroups) * 64u + lane;
    let anchor = item % n_anchors;
    let row = item / n_anchors;
    if row >= step.rows {
        return;
    }
    let data_row = order[step.first_row + row];
    let end = row_starts[data_row + 1u];
    // Apart from the norm, which may be far larger than what the row takes off it.
    var correction = 0.0;
    for (var e = row_starts[data_row]; e < end; e++) {
        let entry = entries[e];
        let x = bitcast<f32>(entry.y);
        let place = entry.x * n_anchors + anchor;
        var weight = metric[n_features + entry.x] * x;
        if has_scales {
            let t = anchors[n_features * n_anchors + place];
            weight *= t * t;
        }
        correction = fma(weight, fma(-2.0, anchors[place], x), correction);
    }
    // Rounding may leave less than nothing of a row that lies on an anchor.
    var d = max(anchor_norm(anchor) + correction, 0.0);
    if plain_distance {
        d = sqrt(d);
    }
    distance[anchor * capacity + row] = d;
}

fn anchor_norm(anchor: u32) -> f32 {
    var sums = vec4(0.0);
    for (var quad = 0u; quad < PART_QUADS; quad++) {
        sums += norm_parts[anchor * PART_QUADS + quad];
    }
    return (sums.x + sums.z) + (sums.y + sums.w);
}

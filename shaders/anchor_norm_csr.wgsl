// Distance of an empty sparse row to each anchor, in parts: Σⱼ eⱼtᵢⱼ²zᵢⱼ².
//
// norm_parts[i, part] sums the columns 64(part + 64k) + lane, so that `anchor_distance_csr` has
// only 64 numbers to add. Summed anew each step: corrected as columns move, it would need f64.
//
// One workgroup an (anchor, part), its first invocation the writer. O(m·p).

override n_anchors: u32;
override n_features: u32;
override has_scales: bool;

const PARTS: u32 = 64u;
const LANES: u32 = 64u;

@group(0) @binding(2) var<storage, read> anchors: array<f32>;
@group(0) @binding(3) var<storage, read> metric: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm_parts: array<f32>;

var<workgroup> sh_sums: array<f32, LANES>;

@compute @workgroup_size(64)
fn anchor_norm_csr(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Anchors fastest: neighbouring workgroups then read the same cache lines.
    let number = flat_group(workgroup, workgroups);
    let anchor = number % n_anchors;
    let part = number / n_anchors;
    if part >= PARTS {
        return;
    }
    var sum = 0.0;
    for (var j = part * LANES + lane; j < n_features; j += PARTS * LANES) {
        let place = j * n_anchors + anchor;
        var tz = anchors[place];
        if has_scales {
            tz *= anchors[n_features * n_anchors + place];
        }
        sum = fma(metric[n_features + j] * tz, tz, sum);
    }
    sh_sums[lane] = sum;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_sums[lane] += sh_sums[lane + width];
        }
    }
    if lane == 0u {
        norm_parts[anchor * PARTS + part] = sh_sums[0];
    }
}

// What the forms of `fm_score` share, dense rows.

override n_features: u32;
override n_outputs: u32;
override channel_quads: u32;
override write_sums: bool;
override write_scores: bool;

@group(0) @binding(1) var<uniform> group: Group;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read> records: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> heads: array<f32>;
@group(0) @binding(7) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> scores: array<f32>;

// What a quad of a record is multiplied by: x, but x² for r in the last lane of the channel.
fn factor(x: f32, quad: u32) -> vec4<f32> {
    return vec4(x, x, x, select(x, x * x, quad + 1u == channel_quads));
}

// What a quad of the sums adds to the score.
fn quad_score(sum: vec4<f32>, quad: u32) -> f32 {
    if quad + 1u == channel_quads {
        return sum.z + 0.5 * (dot(sum.xy, sum.xy) - sum.w);
    }
    return 0.5 * dot(sum, sum);
}

// What dense anchors do to a row: sⱼxⱼ − sⱼzⱼ, s = t·√e.

override n_anchors: u32;
override n_features: u32;
override has_scales: bool;

@group(0) @binding(4) var<storage, read> anchors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> metric: array<f32>;

// t of four features of an anchor, whose z stands at `at`.
fn scale_quad(at: u32) -> vec4<f32> {
    if has_scales {
        return anchors[n_anchors * row_quads + at];
    }
    return vec4(1.0);
}

// √e of four features. The metric is not padded: beyond its end a feature weighs nothing.
fn root_metric(quad: u32) -> vec4<f32> {
    var root = vec4<f32>();
    for (var k = 0u; k < 4u; k++) {
        let feature = 4u * quad + k;
        if feature < n_features {
            root[k] = metric[n_features + feature];
        }
    }
    return root;
}

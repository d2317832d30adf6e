// Dense rows of half precision, each padded with zeros to whole vectors of four: stands for rows.wgsl
// with --row-storage f16.

override row_quads: u32;

@group(0) @binding(10) var<storage, read> rows: array<vec2<u32>>;

// Four features of a row of the data.
fn row_quad(data_row: u32, quad: u32) -> vec4<f32> {
    let words = rows[data_row * row_quads + quad];
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Dense rows, each padded with zeros to whole vectors of four.

override row_quads: u32;

@group(0) @binding(10) var<storage, read> rows: array<vec4<f32>>;

// Four features of a row of the data.
fn row_quad(data_row: u32, quad: u32) -> vec4<f32> {
    return rows[data_row * row_quads + quad];
}

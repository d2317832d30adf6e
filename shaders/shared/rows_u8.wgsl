// Dense rows of a byte a feature, each padded to whole words: stands for rows.wgsl with --row-storage
// u8. A byte counts the steps from its column's least value; the least values of all columns stand
// before the rows, and then the steps, padded with zeros.

override row_quads: u32;

@group(0) @binding(10) var<storage, read> rows: array<vec4<u32>>;

// Four features of a row of the data.
fn row_quad(data_row: u32, quad: u32) -> vec4<f32> {
    let at = data_row * row_quads + quad;
    let counts = vec4<f32>(unpack4xU8(rows[2u * row_quads + at / 4u][at % 4u]));
    return fma(counts, bitcast<vec4<f32>>(rows[row_quads + quad]), bitcast<vec4<f32>>(rows[quad]));
}

// Dense rows of a byte a feature, each padded to whole words: stands for rows.wgsl with --row-storage
// u8. A byte counts the steps from its column's least value; the least values of all columns stand
// before the rows, and then the steps, padded with zeros.

override row_quads: u32;

@group(0) @binding(10) var<storage, read> rows: array<vec4<u32>>;

// The bytes of four features of a row.
fn row_bytes(data_row: u32, quad: u32) -> u32 {
    let at = data_row * row_quads + quad;
    return rows[2u * row_quads + at / 4u][at % 4u];
}

// Four features of a row of the data.
fn row_quad(data_row: u32, quad: u32) -> vec4<f32> {
    let counts = vec4<f32>(unpack4xU8(row_bytes(data_row, quad)));
    return fma(counts, bitcast<vec4<f32>>(rows[row_quads + quad]), bitcast<vec4<f32>>(rows[quad]));
}

// One of them.
fn row_cell(data_row: u32, feature: u32) -> f32 {
    let quad = feature / 4u;
    let lane = feature % 4u;
    let count = f32(row_bytes(data_row, quad) >> (8u * lane) & 255u);
    return fma(count, bitcast<f32>(rows[row_quads + quad][lane]), bitcast<f32>(rows[quad][lane]));
}

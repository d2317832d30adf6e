// Distances of a workgroup's rows to all anchors, before it codes them: for anchors and features so
// few that a launch would cost more. The bits are those of `anchor_distance`.

const ROWS: u32 = 32u;
const ROW_QUADS: u32 = ROWS / 4u;

@group(0) @binding(2) var<storage, read> order: array<u32>;

// Adds a quad of features of four rows, a column of `x` each, away from an anchor.
fn add_features(old: vec4<f32>, x: mat4x4<f32>, anchor: u32, quad: u32, root: vec4<f32>) -> vec4<f32> {
    let at = min(anchor, n_anchors - 1u) * row_quads + quad;
    let scale = root * scale_quad(at);
    let center = -scale * anchors[at];
    let away_0 = fma(x[0], scale.xxxx, center.xxxx);
    let away_1 = fma(x[1], scale.yyyy, center.yyyy);
    let away_2 = fma(x[2], scale.zzzz, center.zzzz);
    let away_3 = fma(x[3], scale.wwww, center.wwww);
    var sum = fma(away_0, away_0, old);
    sum = fma(away_1, away_1, sum);
    sum = fma(away_2, away_2, sum);
    return fma(away_3, away_3, sum);
}

// Of each of four anchors, the distances of four rows of the data.
fn distances(data_rows: vec4<u32>, anchor: u32) -> mat4x4<f32> {
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var quad = 0u; quad < row_quads; quad++) {
        let x = transpose(mat4x4<f32>(
            row_quad(data_rows.x, quad),
            row_quad(data_rows.y, quad),
            row_quad(data_rows.z, quad),
            row_quad(data_rows.w, quad),
        ));
        let root = root_metric(quad);
        sum_0 = add_features(sum_0, x, anchor, quad, root);
        sum_1 = add_features(sum_1, x, anchor + 1u, quad, root);
        sum_2 = add_features(sum_2, x, anchor + 2u, quad, root);
        sum_3 = add_features(sum_3, x, anchor + 3u, quad, root);
    }
    return mat4x4<f32>(sum_0, sum_1, sum_2, sum_3);
}

// The row of the data that is the r-th of the batch; beyond the tail the last one again.
fn data_row(row: u32) -> u32 {
    return order[step.first_row + min(row, step.rows - 1u)];
}

// Writes the distances of an anchor to four rows, if there is such an anchor.
fn write_distances(anchor: u32, row: u32, sums: vec4<f32>) {
    if anchor >= n_anchors {
        return;
    }
    let found = select(sums, sqrt(sums), plain_distance);
    for (var k = 0u; k < 4u; k++) {
        if row + k < step.rows {
            distance[anchor * capacity + row + k] = found[k];
        }
    }
}

// Measures the workgroup's rows, four of them and four anchors at a time. In uniform control flow.
fn measure(first_row: u32, lane: u32) {
    let items = ROW_QUADS * ((n_anchors + 3u) / 4u);
    for (var item = lane; item < items; item += LANES) {
        let row = first_row + 4u * (item % ROW_QUADS);
        let anchor = 4u * (item / ROW_QUADS);
        let data_rows =
            vec4(data_row(row), data_row(row + 1u), data_row(row + 2u), data_row(row + 3u));
        let found = distances(data_rows, anchor);
        write_distances(anchor, row, found[0]);
        write_distances(anchor + 1u, row, found[1]);
        write_distances(anchor + 2u, row, found[2]);
        write_distances(anchor + 3u, row, found[3]);
    }
    storageBarrier();
}

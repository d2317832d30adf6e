// Sums that several lanes of a workgroup share. Each lane has a cell of the tile and sums every
// `splits`-th term of it; `add_splits` then adds what the lanes of a cell have, in their order.

const LANES: u32 = 64u;

// Part p of cell c, of split s, at p·LANES + s·cells + c. `PARTS` is the file's.
var<workgroup> sh_parts: array<vec4<f32>, LANES * PARTS>;

// Keeps a lane's part of its cell.
fn keep_part(part: u32, place: u32, sum: vec4<f32>) {
    sh_parts[part * LANES + place] = sum;
}

// The same of four parts that follow each other.
fn keep_parts(first_part: u32, place: u32, sums: mat4x4<f32>) {
    keep_part(first_part, place, sums[0]);
    keep_part(first_part + 1u, place, sums[1]);
    keep_part(first_part + 2u, place, sums[2]);
    keep_part(first_part + 3u, place, sums[3]);
}

// Adds up the splits of the first parts of all cells. In uniform control flow; what was kept is
// lost.
fn add_splits(lane: u32, n_parts: u32, cells: u32) {
    workgroupBarrier();
    for (var item = lane; item < n_parts * cells; item += LANES) {
        let first = item / cells * LANES + item % cells;
        var sum = sh_parts[first];
        for (var place = first + cells; place < first / LANES * LANES + LANES; place += cells) {
            sum += sh_parts[place];
        }
        sh_parts[first] = sum;
    }
    workgroupBarrier();
}

// A cell's sum, until the next part is kept.
fn summed(part: u32, cell: u32) -> vec4<f32> {
    return sh_parts[part * LANES + cell];
}

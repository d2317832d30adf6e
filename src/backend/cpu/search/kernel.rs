//! The search for the rows of one chunk.
//!
//! u(x, i) ≥ minᵢ Lᵢ · √Σⱼ max(x′ⱼ − hⱼ, lⱼ − x′ⱼ, 0)² over the anchors i of a group, with x′ = √e·x and
//! l, h the sides of its box; without the root where the distance is squared. An anchor is not active
//! where u − u₁ ≥ μ, with u₁ the least and μ the λ of the shifted u of some anchors.
//!
//! rows `[n, row_stride]`, L `[m]` → distance `[n, anchor_stride]`. One task a chunk of rows, the writer
//! of their cells. O(n·p·m / 16) for the boxes, O(n·p) for each anchor that is left, and O(n·m) to
//! write what the coding reads.

use pulp::{Simd, WithSimd};

use super::Search;
use crate::kernel::ROW_CHUNK;
use crate::kernel::local_coding::{Numbers64, Reach};
use crate::simd::LANES;

/// Boxes whose anchors bound λ first.
const FIRST: usize = 4;

/// Rows against a group at a time.
const ROWS: usize = 8;

/// Memory of one chunk's search.
#[derive(Debug, Default)]
pub(crate) struct SearchScratch {
    /// Least L of each group.
    multipliers: Vec<f32>,
    /// Lower bounds of u `[n, groups]`, in whole vectors.
    bounds: Vec<f32>,
    /// The rows for which a group cannot be passed over, a bit each.
    wanted: Vec<u64>,
}

const _: () = assert!(ROW_CHUNK <= u64::BITS as usize);

/// Fills `out` for the rows, and returns how many groups were not passed over.
pub(super) struct Kernel<'a> {
    pub(super) search: &'a Search,
    pub(super) rows: &'a [f32],
    pub(super) plain: bool,
    pub(super) multipliers: &'a [f32],
    pub(super) scratch: &'a mut SearchScratch,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let Self { search, rows, plain, multipliers, scratch, out } = self;
        let SearchScratch { multipliers: least, bounds, wanted } = scratch;
        search.least_multipliers(multipliers, least);
        let stride = least.len().next_multiple_of(LANES);
        bounds.resize(rows.len() / search.shape.row_stride() * stride, 0.0);
        search.outside_boxes(simd, rows, bounds);
        wanted.clear();
        wanted.resize(least.len(), 0);
        out.fill(f32::INFINITY);
        let members = Members { search, rows, plain };
        let mut kept = 0;
        for (r, bounds) in bounds.chunks_exact_mut(stride).enumerate() {
            let bounds = &mut bounds[..least.len()];
            for (bound, l) in bounds.iter_mut().zip(&*least) {
                *bound = if plain { bound.sqrt() } else { *bound } * l;
            }
            let first = nearest(bounds);
            let reach = Reach::new(simd, &members.first(simd, r, first, multipliers, out));
            for (wanted, bound) in wanted.iter_mut().zip(&*bounds) {
                *wanted |= u64::from(!reach.is_short_of(*bound)) << r;
            }
            for g in first {
                wanted[g] &= !(1 << r);
            }
            kept += FIRST;
        }
        for (g, &wanted) in wanted.iter().enumerate() {
            members.others(simd, g, wanted, out);
            kept += wanted.count_ones() as usize;
        }
        kept
    }
}

impl Search {
    /// Squares of what rows are outside of each box `[n, groups]`, in whole vectors.
    #[inline(always)]
    fn outside_boxes<S: Simd>(&self, simd: S, rows: &[f32], out: &mut [f32]) {
        let (p, row) = (self.shape.features, self.shape.row_stride());
        let width = out.len() / (rows.len() / row);
        for (b, sides) in
            self.minus_upper.chunks_exact(p).zip(self.lower.chunks_exact(p)).enumerate()
        {
            let mut tiles = rows.chunks_exact(ROWS * row);
            let mut cells = out.chunks_exact_mut(ROWS * width);
            for (rows, out) in tiles.by_ref().zip(cells.by_ref()) {
                self.outside_tile::<S, ROWS>(simd, sides, rows, &mut out[b * LANES..], width);
            }
            let cells = cells.into_remainder().chunks_exact_mut(width);
            for (row, out) in tiles.remainder().chunks_exact(row).zip(cells) {
                self.outside_tile::<S, 1>(simd, sides, row, &mut out[b * LANES..], width);
            }
        }
    }

    /// R rows and a block of boxes.
    #[inline(always)]
    fn outside_tile<S: Simd, const R: usize>(
        &self,
        simd: S,
        (minus_upper, lower): (&[[f32; LANES]], &[[f32; LANES]]),
        rows: &[f32],
        out: &mut [f32],
        width: usize,
    ) {
        let p = self.shape.features;
        let x: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &rows[r * self.shape.row_stride()..][..p],
        );
        let (minus_upper, lower) = (&minus_upper[..p], &lower[..p]);
        let zero = simd.splat_f32s(0.0);
        for part in 0..LANES / S::F32_LANES {
            let mut sums = [zero; R];
            for j in 0..p {
                let minus_upper = S::as_simd_f32s(&minus_upper[j]).0[part];
                let lower = S::as_simd_f32s(&lower[j]).0[part];
                for r in 0..R {
                    let value = simd.splat_f32s(x[r][j]);
                    let above = simd.add_f32s(value, minus_upper);
                    let below = simd.sub_f32s(lower, value);
                    let outside = simd.max_f32s(simd.max_f32s(above, below), zero);
                    sums[r] = simd.mul_add_f32s(outside, outside, sums[r]);
                }
            }
            for r in 0..R {
                let out = &mut out[r * width..][..LANES];
                S::as_mut_simd_f32s(out).0[part] = sums[r];
            }
        }
    }
}

/// The boxes that are nearest by their bounds.
#[inline(always)]
fn nearest(bounds: &[f32]) -> [usize; FIRST] {
    let farthest_of = |first: &[usize; FIRST]| {
        (1..FIRST).fold(0, |f, i| if bounds[first[i]] > bounds[first[f]] { i } else { f })
    };
    let mut first = std::array::from_fn(|g| g);
    let mut farthest = farthest_of(&first);
    for g in FIRST..bounds.len() {
        if bounds[g] < bounds[first[farthest]] {
            first[farthest] = g;
            farthest = farthest_of(&first);
        }
    }
    first
}

/// Distances of rows to groups of anchors, written where the anchors belong.
struct Members<'a> {
    search: &'a Search,
    /// `[n, row_stride]`.
    rows: &'a [f32],
    plain: bool,
}

impl Members<'_> {
    /// Distances of row `r` to its nearest groups; returns their u, infinite in lanes without anchor.
    #[inline(always)]
    fn first<S: Simd>(
        &self,
        simd: S,
        r: usize,
        first: [usize; FIRST],
        multipliers: &[f32],
        out: &mut [f32],
    ) -> Numbers64 {
        let [distances] = self.sums(simd, [r], first);
        let mut u = [[f32::INFINITY; LANES]; FIRST];
        for ((g, distances), u) in first.into_iter().zip(distances).zip(&mut u) {
            let distances = self.write(r, g, distances, out);
            let anchors = &self.search.order[g * LANES..][..LANES];
            let present = self.search.shape.anchors - g * LANES;
            for (l, &i) in anchors.iter().enumerate().take(present) {
                u[l] = distances[l] * multipliers[i as usize];
            }
        }
        u
    }

    /// Distances of the rows of a set of bits to a group.
    #[inline(always)]
    fn others<S: Simd>(&self, simd: S, group: usize, mut rows: u64, out: &mut [f32]) {
        while rows != 0 {
            let (mut some, mut n) = ([0; ROWS], 0);
            while n < ROWS && rows != 0 {
                some[n] = rows.trailing_zeros() as usize;
                rows &= rows - 1;
                n += 1;
            }
            // In the place of rows that lack, the last again.
            let last = some[n - 1];
            some[n..].fill(last);
            if n > ROWS / 2 {
                self.tile::<S, ROWS>(simd, group, some, out);
            } else {
                let [a, b, c, d, ..] = some;
                self.tile::<S, { ROWS / 2 }>(simd, group, [a, b, c, d], out);
            }
        }
    }

    /// R rows and a group.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(
        &self,
        simd: S,
        group: usize,
        rows: [usize; R],
        out: &mut [f32],
    ) {
        let distances = self.sums(simd, rows, [group]).map(
            #[inline(always)]
            |[sums]| sums,
        );
        for (r, distances) in rows.into_iter().zip(distances) {
            self.write(r, group, distances, out);
        }
    }

    /// Sums of squares of R rows and G groups: those of
    /// [`anchor_distance`](crate::kernel::anchor_distance), to the bit.
    #[inline(always)]
    fn sums<S: Simd, const R: usize, const G: usize>(
        &self,
        simd: S,
        rows: [usize; R],
        groups: [usize; G],
    ) -> [[[f32; LANES]; G]; R] {
        let (p, row) = (self.search.shape.features, self.search.shape.row_stride());
        let x: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &self.rows[rows[r] * row..][..p],
        );
        let centers: [&[[f32; LANES]]; G] = std::array::from_fn(
            #[inline(always)]
            |g| &self.search.centers[groups[g] * p..][..p],
        );
        let mut out = [[[0.0; LANES]; G]; R];
        for part in 0..LANES / S::F32_LANES {
            let mut sums = [[simd.splat_f32s(0.0); G]; R];
            for j in 0..p {
                for r in 0..R {
                    let value = simd.splat_f32s(x[r][j]);
                    for g in 0..G {
                        let center = S::as_simd_f32s(&centers[g][j]).0[part];
                        let difference = simd.add_f32s(value, center);
                        sums[r][g] = simd.mul_add_f32s(difference, difference, sums[r][g]);
                    }
                }
            }
            for r in 0..R {
                for g in 0..G {
                    S::as_mut_simd_f32s(&mut out[r][g]).0[part] = sums[r][g];
                }
            }
        }
        out
    }

    /// Writes the sums of a row and a group as distances, and returns them.
    #[inline(always)]
    fn write(&self, r: usize, group: usize, sums: [f32; LANES], out: &mut [f32]) -> [f32; LANES] {
        let distances = if self.plain { sums.map(f32::sqrt) } else { sums };
        let out = &mut out[r * self.width()..][..self.width()];
        let anchors = &self.search.order[group * LANES..][..LANES];
        for (&i, distance) in anchors.iter().zip(distances) {
            out[i as usize] = distance;
        }
        distances
    }

    #[inline(always)]
    fn width(&self) -> usize {
        self.search.shape.anchor_stride()
    }
}

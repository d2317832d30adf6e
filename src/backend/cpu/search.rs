//! Distances to the anchors that may be active in a row, without those to the others.
//!
//! With many anchors most are far from a row. Anchors lie in groups of [`LANES`], each in a box: the
//! least and the largest of its anchors in each feature. What a row is outside of the box is a lower
//! bound of its distances; λ of the nearest groups alone is an upper bound of the row's λ, as more
//! anchors only lower it. A group past that has no active anchor. (Bounds as in Elkan, ICML 2003, by
//! boxes in place of triangles: they follow the drift of the anchors at every step.)
//!
//! The result is exact to the bit: a box is kept in the numbers that the distance is summed from, in
//! the same order, and as rounding keeps order, no bound is above a distance that it bounds.
//! Where too few groups are passed over, as in rows spread evenly over many features, the search
//! rests.

mod groups;
mod kernel;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kernel::Shape;
use crate::kernel::anchor_distance::scale_rows;
use crate::simd::{LANES, dispatch, fold_lanes, vectorized};

use super::DistanceScratch;
use super::runs::{TaskMemory, run_tasks};
use kernel::Kernel;
pub(crate) use kernel::SearchScratch;

/// Fewest anchors among which to search.
pub(super) const LEAST_ANCHORS: usize = 256;

/// Share of the groups past which it takes longer than the distances to all.
const MOST_KEPT: f64 = 0.4;

/// Rows after which the share is looked at.
const TRIAL_ROWS: usize = 4096;

/// The anchors in groups, and their boxes, [`LANES`] groups a block.
pub(crate) struct Search {
    shape: Shape,
    /// Anchor of each lane `[anchor_stride]`; the last again in lanes that have none.
    order: Vec<u32>,
    /// √e `[row_stride]`.
    root_metric: Vec<f32>,
    /// −√e·z of each group `[groups, p]` of `[LANES]`.
    centers: Vec<[f32; LANES]>,
    /// −h, h the largest √e·z of each group `[blocks, p]` of `[LANES]`.
    minus_upper: Vec<[f32; LANES]>,
    /// l, the least √e·z of each group `[blocks, p]` of `[LANES]`.
    lower: Vec<[f32; LANES]>,
    /// Groups with a number that is not finite, which no box holds `[groups]`.
    broken: Vec<bool>,
    /// Groups that were not passed over, of the rows on trial, and how many rows these are.
    kept: AtomicUsize,
    rows: usize,
    /// How many groupings to sit out, and how many the next time that it does not pay.
    rest: u32,
    next_rest: u32,
}

impl Search {
    /// A search among anchors that are not worked in yet.
    pub(crate) fn new(shape: Shape) -> Self {
        let groups = shape.anchor_stride() / LANES;
        let boxes = vec![[0.0; LANES]; groups.div_ceil(LANES) * shape.features];
        Self {
            shape,
            order: Vec::new(),
            root_metric: vec![0.0; shape.row_stride()],
            centers: vec![[0.0; LANES]; groups * shape.features],
            minus_upper: boxes.clone(),
            lower: boxes,
            broken: vec![false; groups],
            kept: AtomicUsize::new(0),
            rows: 0,
            rest: 0,
            next_rest: 1,
        }
    }

    /// Numbers of centers and boxes.
    pub(crate) fn numbers(shape: Shape) -> u64 {
        let groups = shape.anchor_stride() / LANES;
        let boxes = 2 * groups.div_ceil(LANES);
        ((groups + boxes) as u64).saturating_mul((LANES * shape.features) as u64)
    }

    /// Whether it is worth its cost.
    pub(crate) fn pays(&self) -> bool {
        self.rest == 0
    }

    /// Groups the anchors z `[m, row_stride]` anew under the metric √e, or sits that out; true where
    /// they are to be worked in again.
    pub(crate) fn regroup(&mut self, anchors: &[f32], root_metric: &[f32]) -> bool {
        self.rest = self.rest.saturating_sub(1);
        if !self.pays() {
            return false;
        }
        if self.rows >= TRIAL_ROWS {
            self.forget_trial();
        }
        let stride = self.shape.row_stride();
        let rows = anchors.chunks_exact(stride);
        let scaled = rows.flat_map(|z| z.iter().zip(root_metric).map(|(z, s)| z * s));
        self.order = groups::close_together(&scaled.collect::<Vec<_>>(), stride);
        let last = self.order[self.order.len() - 1];
        self.order.resize(self.shape.anchor_stride(), last);
        true
    }

    fn forget_trial(&mut self) {
        (*self.kept.get_mut(), self.rows) = (0, 0);
    }

    /// Works in the anchors and the metric as they are now.
    pub(crate) fn refresh(
        &mut self,
        anchors: &[f32],
        root_metric: &[f32],
        parallel: bool,
        memory: &TaskMemory,
    ) {
        let (p, stride) = (self.shape.features, self.shape.row_stride());
        self.root_metric.copy_from_slice(root_metric);
        let centers = self.centers.chunks_mut(LANES * p).zip(self.order.chunks(LANES * LANES));
        let boxes = self.minus_upper.chunks_exact_mut(p).zip(self.lower.chunks_exact_mut(p));
        let blocks = centers.zip(self.broken.chunks_mut(LANES)).zip(boxes);
        run_tasks(memory.list(blocks), parallel, |(((centers, order), broken), sides)| {
            let groups = centers.chunks_exact_mut(p).zip(order.chunks_exact(LANES));
            for (g, ((centers, order), broken)) in groups.zip(broken).enumerate() {
                let rows: [&[f32]; LANES] =
                    std::array::from_fn(|l| &anchors[order[l] as usize * stride..][..stride]);
                *broken = !rows.iter().all(|row| all_finite(row));
                enclose(rows, root_metric, centers, |j, minus_upper, lower| {
                    (sides.0[j][g], sides.1[j][g]) = (minus_upper, lower);
                });
            }
        });
    }

    /// Distances of `rows` `[n, row_stride]`, n at most a chunk, to the anchors that may be active with
    /// L `[m]`; infinite to the others. `out` is `[n, anchor_stride]`.
    pub(crate) fn distances(
        &self,
        rows: &[f32],
        plain: bool,
        multipliers: &[f32],
        scratch: &mut DistanceScratch,
        out: &mut [f32],
    ) {
        let DistanceScratch { scaled: rows_scaled, search: scratch } = scratch;
        scale_rows(&self.root_metric, rows, rows_scaled);
        let rows = &rows_scaled[..];
        let kept = dispatch(Kernel { search: self, rows, plain, multipliers, scratch, out });
        self.kept.fetch_add(kept, Ordering::Relaxed);
    }

    /// Counts the rows of a batch, and rests where too many groups were kept; true where it now does.
    pub(crate) fn look_back(&mut self, rows: usize) -> bool {
        self.rows += rows;
        let most = MOST_KEPT * (self.rows * self.n_groups()) as f64;
        if !self.pays() || self.rows < TRIAL_ROWS || *self.kept.get_mut() as f64 <= most {
            return false;
        }
        self.forget_trial();
        self.rest = self.next_rest;
        self.next_rest = self.next_rest.saturating_mul(2);
        true
    }

    fn n_groups(&self) -> usize {
        self.broken.len()
    }

    /// The least L of each group; not a number where no box holds it.
    fn least_multipliers(&self, multipliers: &[f32], least: &mut Vec<f32>) {
        least.clear();
        let groups = self.order.chunks_exact(LANES).zip(&self.broken);
        least.extend(groups.map(|(group, &broken)| {
            let all = group.iter().map(|&i| multipliers[i as usize]);
            let least = |least: f32, l: f32| if l.is_nan() || l < least { l } else { least };
            if broken { f32::NAN } else { all.fold(f32::INFINITY, least) }
        }));
    }
}

/// Centers of a group from its anchors, and −h and l of its box, feature by feature.
fn enclose(
    rows: [&[f32]; LANES],
    scale: &[f32],
    centers: &mut [[f32; LANES]],
    mut sides: impl FnMut(usize, f32, f32),
) {
    vectorized(
        #[inline(always)]
        || {
            for (j, (center, scale)) in centers.iter_mut().zip(scale).enumerate() {
                for l in 0..LANES {
                    center[l] = -scale * rows[l][j];
                }
                let least = fold_lanes(*center, |a, b| if b < a { b } else { a });
                let largest = fold_lanes(*center, |a, b| if b > a { b } else { a });
                sides(j, least, -largest);
            }
        },
    );
}

fn all_finite(numbers: &[f32]) -> bool {
    // The bits of a number that is not finite are above those of all that are.
    let most = vectorized(
        #[inline(always)]
        || numbers.iter().fold(0, |most, x| most.max(x.abs().to_bits())),
    );
    most < f32::INFINITY.to_bits()
}

#[cfg(test)]
mod tests;

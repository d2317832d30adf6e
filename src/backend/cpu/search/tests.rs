//! The search beside the distances to all anchors.

use rand::RngExt;

use super::*;
use crate::config::Coding;
use crate::kernel::ROW_CHUNK;
use crate::kernel::anchor_distance::{Lenses, anchor_distance};
use crate::kernel::local_coding::{Coder, Scratch};
use crate::random::plain;
use crate::simd::tests::without_vectors;

const FEATURES: usize = 21;

/// Anchors, a metric and L, and rows of which each is near some anchors.
struct Case {
    shape: Shape,
    anchors: Vec<f32>,
    root_metric: Vec<f32>,
    multipliers: Vec<f32>,
    rows: Vec<f32>,
}

impl Case {
    /// Points lie in clouds `spread` wide around the corners of a cube of width 8.
    fn new(m: usize, n: usize, spread: f32) -> Self {
        let shape = Shape { anchors: m, features: FEATURES, outputs: 1, factors: 0, stride: LANES };
        let mut random = plain(4);
        let mut points = |count: usize| {
            let mut points = vec![0.0; count * shape.row_stride()];
            for (i, point) in points.chunks_exact_mut(shape.row_stride()).enumerate() {
                for (j, x) in point[..FEATURES].iter_mut().enumerate() {
                    let corner = if (i >> (j % 5)) & 1 == 1 { 8.0 } else { 0.0 };
                    *x = corner + random.random_range(-spread..spread);
                }
            }
            points
        };
        let (anchors, rows) = (points(m), points(n));
        let mut metric = points(1);
        metric.iter_mut().for_each(|s| *s = 0.1 * s.abs() + 0.2);
        let multipliers = (0..m).map(|i| 0.5 + (i % 7) as f32 * 0.1).collect();
        Self { shape, anchors, root_metric: metric, multipliers, rows }
    }

    fn all(&self, plain: bool) -> Vec<f32> {
        let mut lenses = Lenses::new(self.shape, false);
        for block in lenses.blocks(self.shape) {
            block.refresh(self.shape, &self.anchors, &self.root_metric, None);
        }
        let mut out = vec![0.0; self.n_rows() * self.shape.anchor_stride()];
        anchor_distance(self.shape, &lenses, &self.rows, plain, &mut Vec::new(), &mut out);
        out
    }

    fn search(&self) -> Search {
        let mut search = Search::new(self.shape);
        search.regroup(&self.anchors, &self.root_metric);
        search.refresh(&self.anchors, &self.root_metric, false, &TaskMemory::default());
        search
    }

    fn near(&self, search: &Search, plain: bool) -> Vec<f32> {
        let (stride, width) = (self.shape.row_stride(), self.shape.anchor_stride());
        let mut out = vec![0.0; self.n_rows() * width];
        let mut scratch = DistanceScratch::default();
        let chunks = self.rows.chunks(ROW_CHUNK * stride).zip(out.chunks_mut(ROW_CHUNK * width));
        for (rows, out) in chunks {
            search.distances(rows, plain, &self.multipliers, &mut scratch, out);
        }
        out
    }

    fn n_rows(&self) -> usize {
        self.rows.len() / self.shape.row_stride()
    }

    /// Pairs and normaliser of each row by its distances.
    fn code(&self, distances: &[f32]) -> Vec<String> {
        let coder = Coder { coding: Coding::Adaptive, neighbors: 0 };
        let code = |row: &[f32]| {
            let (mut scratch, mut pairs) = (Scratch::default(), Vec::new());
            let distances = &row[..self.shape.anchors];
            let s = coder.code(distances, &self.multipliers, &mut scratch, &mut pairs);
            format!("{s} {pairs:?}")
        };
        distances.chunks_exact(self.shape.anchor_stride()).map(code).collect()
    }

    /// Checks the search of every row, and returns the share of the groups that it kept.
    fn check(&self, plain: bool) -> f64 {
        let (all, search) = (self.all(plain), self.search());
        let near = self.near(&search, plain);
        for (all, near) in all
            .chunks_exact(self.shape.anchor_stride())
            .zip(near.chunks_exact(self.shape.anchor_stride()))
        {
            for (a, n) in all.iter().zip(near).take(self.shape.anchors) {
                assert!(a.to_bits() == n.to_bits() || *n == f32::INFINITY, "{n} for {a}");
            }
        }
        assert_eq!(self.code(&near), self.code(&all));
        let scalar = without_vectors(|| self.near(&search, plain));
        assert!(near.iter().zip(&scalar).all(|(n, s)| n.to_bits() == s.to_bits()));
        let groups = self.n_rows() * search.n_groups();
        // Searched twice.
        search.kept.into_inner() as f64 / (2 * groups) as f64
    }
}

#[test]
fn rows_are_coded_as_by_all_distances() {
    for (m, n, spread) in [(256, 64, 0.5), (300, 150, 2.0), (1000, 131, 1.0), (1000, 7, 6.0)] {
        for plain in [true, false] {
            let kept = Case::new(m, n, spread).check(plain);
            // The nearest four groups are always kept.
            assert!(spread > 1.0 || kept < 4.0 * 16.0 / m as f64 + 0.1, "{m} {spread}: {kept}");
        }
    }
}

#[test]
fn anchors_that_are_equal_or_no_numbers_are_none_the_less_exact() {
    let mut equal = Case::new(300, 70, 1.0);
    let first = equal.anchors[..equal.shape.row_stride()].to_vec();
    equal.anchors.chunks_exact_mut(first.len()).step_by(2).for_each(|z| z.copy_from_slice(&first));
    equal.check(true);
    for odd in [f32::NAN, f32::INFINITY, 1e30] {
        let mut case = Case::new(300, 70, 1.0);
        case.anchors[40 * case.shape.row_stride() + 3] = odd;
        case.check(true);
        case.multipliers[7] = odd;
        case.check(false);
        case.rows[5 * case.shape.row_stride()] = odd;
        case.check(true);
    }
}

#[test]
fn the_boxes_follow_the_anchors() {
    let mut case = Case::new(400, 64, 0.5);
    let mut search = case.search();
    for z in case.anchors.chunks_exact_mut(case.shape.row_stride()) {
        z[..FEATURES].rotate_left(1);
    }
    search.refresh(&case.anchors, &case.root_metric, true, &TaskMemory::default());
    assert_eq!(case.code(&case.near(&search, true)), case.code(&case.all(true)));
}

#[test]
fn a_search_that_does_not_pay_rests_longer_each_time() {
    let case = Case::new(256, TRIAL_ROWS, 40.0);
    let mut search = case.search();
    for rest in [1, 2, 4] {
        assert!(search.pays() && !search.look_back(0));
        case.near(&search, true);
        assert!(search.look_back(TRIAL_ROWS) && !search.look_back(TRIAL_ROWS));
        for _ in 0..rest {
            assert!(!search.pays());
            search.regroup(&case.anchors, &case.root_metric);
        }
    }
    // However few rows lie between two groupings.
    let mut search = case.search();
    for _ in 0..TRIAL_ROWS / 1000 {
        case.near(&search, true);
        assert!(!search.look_back(1000) && search.regroup(&case.anchors, &case.root_metric));
    }
    assert!(search.look_back(1000));
    let near = Case::new(256, TRIAL_ROWS, 0.1);
    let mut search = near.search();
    near.near(&search, true);
    assert!(!search.look_back(TRIAL_ROWS) && search.pays());
}

//! What each kernel of a GPU's step has to compute and move, by the name of its entry point.
//!
//! In the letters and by the rules of [`Work`], whose formulas hold for the kernels that are a phase of
//! the CPU, too: `fm_score…` and `fm_update…`, and for the distances. What differs are the arrays that lie between
//! kernels: a kernel reads and writes each of its own once. Arrays of m or p numbers are left out
//! but where they are all that a kernel has.
//!
//! | kernel | flops | numbers moved |
//! |---|---|---|
//! | `anchor_distance` | 3bzm, scales 4bzm | bz + um + bm; scales bz + 2um + bm |
//! | `anchor_norm_csr` | 3pm, scales 4pm | pm + 64m; scales 2pm + 64m |
//! | `anchor_distance_csr` | 4bzm + 64bm, scales 6bzm + 64bm | 2bz + um + 64m + bm, scales um more |
//! | `anchor_coding` | both | both, where p and m are small |
//! | `local_coding` | 6bm | bm + bm/32 + 5P + 2b; a lone anchor b/32 + 5P + 2b |
//! | `pair_list` | P | bm/16 + 6P + 2b |
//! | `fm_score…` | score | score + 2P |
//! | `blend` | 3PC, with slopes 5PC + 8P | 2PC + bC + 5P + 6b, with slopes 2P more |
//! | `fm_update…` | models | models + PC + P; sparse models + PC + bm/16 + 2u |
//! | `head_update` | PC + b + mCr, with slopes 2P, with log L mr more | PC + b + 2(1+o)mC, with slopes 2P, with log L 2(1+o)m more |
//! | `anchor_update` | 5Pz + um·own | bz + 2P + um·cells |
//! | `anchor_update_csr` | 4Pz + um(own + 7) | 2bz + P + bm/16 + 2u + um·cells |
//! | `metric_update_csr`, dense in `head_update` | um + ur | um + u(3 + 2o); sparse 2u more |
//!
//! `own` is 2, and 2 where the metric is learned, 3 + r where anchors are, 2 + r where scales are;
//! `cells` is 1, and 1 with scales, 1 where the metric is learned, 1 + 2o for each tensor that is.

use serde::Serialize;

use super::cost::{Cost, NUMBER, Work};
use crate::backend::gpu::sizes::NORM_PARTS;
use crate::backend::gpu::step::STEP_PITCH;
use crate::backend::gpu::tuning::fuses_coding;
use crate::kernel::SHADERS;

/// What a kernel takes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelCost {
    /// Entry point.
    pub name: &'static str,
    /// Dispatches, each of which waits for the one before; 0 where the step does without the kernel.
    pub dispatches: f64,
    /// Floating-point operations, a fused one counting two.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl KernelCost {
    /// Operations and bytes.
    pub fn cost(&self) -> Cost {
        Cost { flops: self.flops, bytes: self.bytes }
    }
}

impl Work {
    /// The kernels of a step on a GPU, in their order; the sums of all its pairs fit one buffer.
    pub fn kernels(&self) -> Vec<KernelCost> {
        let mut names: Vec<&str> = SHADERS.iter().map(|shader| shader.name).collect();
        // Forms of a kernel share its name.
        names.dedup();
        let costs = names.into_iter().filter_map(|name| self.kernel(name));
        costs.filter(|kernel| kernel.dispatches > 0.0).collect()
    }

    /// Bytes that the host sends for a step: its uniform, the order or the rows themselves, and the
    /// columns of sparse rows.
    pub fn uploaded_bytes(&self, resident: bool) -> f64 {
        let Self { rows, nonzeros, columns, features, .. } = *self;
        let row = match (resident, self.sparse) {
            (true, _) => 1.0,
            // Padded to vectors of four, or its start and entries; and the target with its weight.
            (false, false) => 4.0 * (features / 4.0).ceil() + 2.0,
            (false, true) => 1.0 + 2.0 * nonzeros + 2.0,
        };
        let by_column =
            if self.sparse { 2.0 * (columns + 1.0) + 2.0 * rows * nonzeros } else { 0.0 };
        STEP_PITCH as f64 + NUMBER * (rows * row + by_column)
    }

    /// What a kernel takes; none for one that is not known.
    pub(super) fn kernel(&self, name: &'static str) -> Option<KernelCost> {
        let (b, m, u, c) = (self.rows, self.anchors, self.columns, self.outputs);
        let (pairs, cells, many) = (self.pairs(), self.pairs() * self.outputs, m > 1.0);
        let (memory, operations) = self.rule();
        let (dense, slopes) = (!self.sparse, self.learns());
        let if_slopes = |amount| if slopes { amount } else { 0.0 };
        let fused = fuses_coding(self.features as usize, m as usize);
        // A bit a row and anchor; then the active anchors, and what belongs to the row.
        let row_sets = b * m / 32.0;
        let codes = row_sets + 5.0 * pairs + 2.0 * b;
        let and = |(flops, numbers): (f64, f64), more: f64| (flops, numbers + more);
        let (runs, (flops, numbers)) = match name {
            "anchor_distance" => (dense && many && !fused, and(self.distances(), b * m)),
            "anchor_norm_csr" => (self.sparse && many, self.norms()),
            "anchor_distance_csr" => {
                let (flops, numbers) = self.distances();
                let (parts, scales) = (NORM_PARTS as f64, self.scales());
                let flops = flops + 2.0 * scales * b * self.nonzeros * m + parts * b * m;
                (self.sparse && many, (flops, numbers + scales * u * m + parts * m + b * m))
            }
            "anchor_coding" => {
                let (flops, numbers) = self.distances();
                (dense && many && fused, (flops + self.solving(), numbers + b * m + codes))
            }
            "local_coding" => {
                let flops = if many { self.solving() } else { 0.0 };
                let distances = if many { b * m } else { 0.0 };
                (!(dense && many && fused), (flops, distances + codes))
            }
            "pair_list" => (true, (pairs, 2.0 * row_sets + 6.0 * pairs + 2.0 * b)),
            "fm_score" => (dense, and(self.score(), 2.0 * pairs)),
            "fm_score_csr" => (self.sparse, and(self.score(), 2.0 * pairs)),
            "blend" => {
                let flops = 3.0 * cells + if_slopes(2.0 * cells + 8.0 * pairs);
                let numbers = 2.0 * cells + b * c + 5.0 * pairs + 6.0 * b;
                (true, (flops, numbers + if_slopes(2.0 * pairs)))
            }
            "fm_update" => (dense, and(self.models(), cells + pairs)),
            "fm_update_csr" => (self.sparse, and(self.models(), cells + 2.0 * row_sets + 2.0 * u)),
            "head_update" => {
                let learns = self.learn.lipschitz && many;
                let heads = m * (c + if learns { 1.0 } else { 0.0 });
                let sums = cells + b + if_slopes(2.0 * pairs);
                let metric = dense && slopes && self.learn.metric;
                let metric = if metric { self.metric() } else { (0.0, 0.0) };
                let numbers = sums + heads * 2.0 * (1.0 + memory) + metric.1;
                (true, (sums + heads * operations + metric.0, numbers))
            }
            "anchor_update" => {
                let (own, moved) = self.anchor_cells();
                let flops = 5.0 * pairs * self.nonzeros + u * m * own;
                (dense && slopes, (flops, self.batch() + 2.0 * pairs + u * m * moved))
            }
            "anchor_update_csr" => {
                let (own, moved) = self.anchor_cells();
                let flops = 4.0 * pairs * self.nonzeros + u * m * (own + 7.0);
                let places = pairs + 2.0 * row_sets + 2.0 * u;
                (self.sparse && slopes, (flops, self.batch() + places + u * m * moved))
            }
            "metric_update_csr" => {
                (self.sparse && slopes && self.learn.metric, and(self.metric(), 2.0 * u))
            }
            _ => return None,
        };
        let dispatches = if runs { 1.0 } else { 0.0 };
        Some(KernelCost { name, dispatches, flops, bytes: NUMBER * numbers })
    }

    /// Norms of the anchors over all features.
    fn norms(&self) -> (f64, f64) {
        let (cells, scales) = (self.features * self.anchors, self.scales());
        ((3.0 + scales) * cells, (1.0 + scales) * cells + NORM_PARTS as f64 * self.anchors)
    }

    /// Operations and numbers of an (anchor, feature) whose pairs are summed.
    fn anchor_cells(&self) -> (f64, f64) {
        let (memory, operations) = self.rule();
        let flag = |on: bool| f64::from(u8::from(on));
        let (anchors, metric) = (flag(self.learn.anchors), flag(self.learn.metric));
        let own = 2.0 + 2.0 * metric + 3.0 * anchors + 2.0 * self.scales();
        let moved = 1.0 + self.scales() + metric + self.learned() * (1.0 + 2.0 * memory);
        (own + operations * self.learned(), moved)
    }

    /// The anchors' parts of the metric's gradient, and its step.
    fn metric(&self) -> (f64, f64) {
        let (memory, operations) = self.rule();
        let (parts, u) = (self.columns * self.anchors, self.columns);
        (parts + u * operations, parts + u * (3.0 + 2.0 * memory))
    }

    fn scales(&self) -> f64 {
        f64::from(u8::from(self.learn.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cost::tests::{fm, jo};
    use crate::config::{Learn, Optimizer};

    #[track_caller]
    fn takes(work: &Work, name: &'static str, flops: f64, numbers: f64) {
        let expected = KernelCost { name, dispatches: 1.0, flops, bytes: 4.0 * numbers };
        assert_eq!(work.kernel(name), Some(expected));
    }

    fn names(work: &Work) -> Vec<&'static str> {
        work.kernels().iter().map(|kernel| kernel.name).collect()
    }

    #[test]
    fn every_shader_has_a_cost() {
        for shader in SHADERS {
            for work in [fm(), jo(), sparse()] {
                let kernel = work.kernel(shader.name);
                let kernel = kernel.unwrap_or_else(|| panic!("no cost of `{}`", shader.name));
                assert!(kernel.flops >= 0.0 && kernel.bytes > 0.0, "{kernel:?}");
            }
        }
        assert_eq!(fm().kernel("gather"), None);
    }

    #[test]
    fn a_factorization_machine_counted_by_hand() {
        let work = fm();
        let expected =
            ["local_coding", "pair_list", "fm_score", "blend", "fm_update", "head_update"];
        assert_eq!(names(&work), expected);
        // A row: its slot, its only pair, its code.
        takes(&work, "local_coding", 0.0, 2.0 * (1.0 / 32.0 + 5.0 + 2.0));
        takes(&work, "pair_list", 2.0, 2.0 * (1.0 / 16.0 + 6.0 + 2.0));
        // As the CPU's, and where the row and the model are.
        takes(&work, "fm_score", 46.0, 21.0 + 4.0);
        // A row: γf fused, γ·g. Score in and out, ŷ, pair, 6 of the row.
        takes(&work, "blend", 2.0 * 3.0, 2.0 * (2.0 + 1.0 + 5.0 + 6.0));
        // As the CPU's, and each pair's a and row.
        takes(&work, "fm_update", 42.0 + 42.0, 25.0 + 2.0 + 2.0);
        takes(&work, "head_update", 2.0 + 2.0 + 5.0, 2.0 + 2.0 + 2.0);
        assert_eq!(work.uploaded_bytes(true), 256.0 + 4.0 * 2.0);
        // Three features are a vector of four; the target and its weight.
        assert_eq!(work.uploaded_bytes(false), 256.0 + 4.0 * 2.0 * (4.0 + 2.0));
    }

    #[test]
    fn a_joint_model_counted_by_hand() {
        let work = jo();
        assert_eq!(names(&work).len(), 7);
        assert_eq!((names(&work)[0], names(&work)[6]), ("anchor_coding", "head_update"));
        // 8 distances are written and, by a kernel of its own, read; 8 bits of rows.
        takes(&work, "anchor_coding", 72.0 + 48.0, 6.0 + 12.0 + 8.0 + 0.25 + 20.0 + 4.0);
        takes(&work, "pair_list", 4.0, 0.5 + 24.0 + 4.0);
        let wide = Work { features: 9000.0, ..work };
        assert_eq!((names(&wide)[0], names(&wide)[1]), ("anchor_distance", "local_coding"));
        takes(&wide, "anchor_distance", 72.0, 6.0 + 12.0 + 8.0);
        takes(&wide, "local_coding", 48.0, 8.0 + 0.25 + 20.0 + 4.0);
        takes(&work, "blend", 24.0 + 16.0 + 32.0, 16.0 + 4.0 + 20.0 + 12.0 + 8.0);
        takes(&work, "fm_update", 1080.0, 334.0 + 8.0 + 4.0);
        // 4 pairs have 8 of a and of κ and u·∂ℓ/∂u each; 8 biases and 4 log L with two moments.
        // Parts of 3 features; τ in and out, weight, moments in and out.
        let metric = (12.0 + 51.0, 12.0 + 3.0 * 7.0);
        let numbers = 8.0 + 2.0 + 8.0 + 12.0 * 6.0 + metric.1;
        takes(&work, "head_update", 8.0 + 2.0 + 8.0 + 12.0 * 17.0 + metric.0, numbers);
        // 12 cells: weight 2, part 2, slope 3 and the rule; z in and out, its moments in and out, part.
        takes(&work, "anchor_update", 60.0 + 12.0 * 24.0, 6.0 + 8.0 + 12.0 * 7.0);
    }

    /// 2 rows of 2 entries in 3 of 10 columns, 4 anchors all active.
    fn sparse() -> Work {
        Work {
            nonzeros: 2.0,
            features: 10.0,
            sparse: true,
            anchors: 4.0,
            active: 4.0,
            learn: Learn { anchors: true, ..Learn::default() },
            optimizer: Optimizer::AdaGrad,
            ..fm()
        }
    }

    #[test]
    fn sparse_rows_counted_by_hand() {
        let work = sparse();
        let has = |name| names(&work).contains(&name);
        assert!(has("anchor_norm_csr") && has("anchor_update_csr"), "{:?}", names(&work));
        assert!(!has("anchor_distance") && !has("metric_update_csr"), "{:?}", names(&work));
        takes(&work, "anchor_norm_csr", 120.0, 40.0 + 256.0);
        takes(&work, "anchor_distance_csr", 64.0 + 512.0, 8.0 + 12.0 + 256.0 + 8.0);
        takes(&work, "fm_score_csr", 112.0, 56.0 + 16.0);
        takes(&work, "fm_update_csr", 360.0, 120.0 + 8.0 + 0.5 + 6.0);
        let scaled = Work { learn: Learn { scale: true, ..work.learn }, ..work };
        takes(&scaled, "anchor_norm_csr", 160.0, 80.0 + 256.0);
        takes(&scaled, "anchor_distance_csr", 96.0 + 512.0, 8.0 + 24.0 + 256.0 + 8.0);
        // 12 cells: weight 2, slope 3, 10 of the rule, and 7 more; z in and out, memory in and out.
        takes(&work, "anchor_update_csr", 64.0 + 12.0 * 22.0, 8.0 + 8.0 + 0.5 + 6.0 + 12.0 * 4.0);
        // Two numbers of 3 columns and an end, and of 4 entries; two of order.
        assert_eq!(work.uploaded_bytes(true), 256.0 + 4.0 * (8.0 + 8.0 + 2.0));
        // The rows' starts, entries and targets instead of their order.
        assert_eq!(work.uploaded_bytes(false), 256.0 + 4.0 * (8.0 + 8.0 + 2.0 + 8.0 + 4.0));
    }
}

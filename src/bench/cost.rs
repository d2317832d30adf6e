//! What a step has to compute and move, phase by phase, as a function of its sizes alone.
//!
//! b rows with z stored entries each, u columns present in the batch (dense rows of p features: z and u
//! are p), m anchors, C outputs, d factors, k active anchors a row; P = b·k pairs, of which
//! a = min(m, P) anchors have any. o numbers of optimizer memory and r operations an updated
//! parameter: `sgd` 0 and 5, `adagrad` 1 and 10, `adam` 2 and 17.
//!
//! A sum or product is one flop, a fused one two, a root or quotient one; exp and log, of which a row
//! has C, are left out. Numbers are f32. Padding is no work. Of memory each array counts once for
//! every time a phase has to read or write it: what it takes where a phase finds nothing in the
//! caches that another one left, and nothing twice. Both are less than what any kernel does, but for those
//! that skip the background of dense rows, or anchors far from a row where there are many.
//!
//! | phase | flops | numbers moved |
//! |---|---|---|
//! | gather | 0 | 2bz; sparse 6bz (rows, rows by column) |
//! | coding | 3bzm + 6bm; scales or sparse 4bzm + 6bm | bz + um + 5P; scales bz + 2um + 5P; sparse 2bz + um + 5P |
//! | score | PC(2z(d+1) + 3z + 2d); sparse PC(4zd + 2z + 2d) | bz + azC(d+2) + PC(d+2); sparse 2bz + min(um, Pz)·C(d+1) + PC(d+2) |
//! | blend | PC(d+3), with slopes PC(d+5) + 8P | 2PC(d+1) + 3PC + 5P |
//! | models | PzC(2(d+1) + 3) + azC(4d + r(d+1)); sparse PzC(2(d+1) + 2) + umC(2d + r(d+1)) | bz + PC(d+1) + azC(2(1+o)(d+1) + 1); sparse 2bz + PC(d+1) + umC·2(1+o)(d+1) |
//! | anchors | 5Pz + um(9 + r·learned); sparse 4Pz + um(18 + r·learned) | bz + 3P + um(2(1+o)·learned + 4); sparse 2bz + P + um(2(1+o)·learned + 4) |
//! | heads | PC + mCr, with log L P + mr | PC + 3mC, with log L 3P |
//!
//! Where a parameter without gradient moves all the same (`adam`, or a penalty), models are stepped
//! with a = m. `learned` is the number of tensors `[m, p]` that are: anchors, scales.

use crate::backend::Phase;
use crate::config::{Learn, Optimizer};

/// Bytes of a number.
pub(super) const NUMBER: f64 = 4.0;

/// The sizes of a step; means over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Rows b.
    pub rows: f64,
    /// Stored entries a row z.
    pub nonzeros: f64,
    /// Columns u that occur in the batch; of dense rows all.
    pub columns: f64,
    /// Features p; only a GPU's norms of anchors take all of them where rows are sparse.
    pub features: f64,
    /// Whether rows are compressed.
    pub sparse: bool,
    /// Anchors m.
    pub anchors: f64,
    /// Output channels C.
    pub outputs: f64,
    /// Factors d.
    pub factors: f64,
    /// Active anchors a row k.
    pub active: f64,
    /// What is learned of the anchor side.
    pub learn: Learn,
    /// The update rule.
    pub optimizer: Optimizer,
    /// Whether w and V have a penalty.
    pub penalty: bool,
}

/// Operations and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations, a fused one counting two.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl Work {
    /// What a phase of the step takes.
    pub fn cost(&self, phase: Phase) -> Cost {
        let (flops, numbers) = match phase {
            Phase::Gather => (0.0, self.rows * self.nonzeros * if self.sparse { 6.0 } else { 2.0 }),
            Phase::Coding => self.coding(),
            Phase::Score => self.score(),
            Phase::Blend => self.blend(),
            Phase::Models => self.models(),
            Phase::Anchors => self.anchors(),
            Phase::Heads => self.heads(),
        };
        Cost { flops, bytes: NUMBER * numbers }
    }

    /// Bytes of the whole step: what lies between two uses of the same parameter.
    pub fn step_bytes(&self) -> f64 {
        Phase::ALL.iter().map(|&phase| self.cost(phase).bytes).sum()
    }

    pub(super) fn pairs(&self) -> f64 {
        self.rows * self.active
    }

    /// Numbers of the batch's rows: sparse entries have a column, too.
    pub(super) fn batch(&self) -> f64 {
        self.rows * self.nonzeros * if self.sparse { 2.0 } else { 1.0 }
    }

    /// Whether anything pulls on the anchor side.
    pub(super) fn learns(&self) -> bool {
        self.learn.any() && self.anchors > 1.0
    }

    /// Numbers of optimizer memory, and operations, of an updated parameter.
    pub(super) fn rule(&self) -> (f64, f64) {
        match self.optimizer {
            Optimizer::Sgd => (0.0, 5.0),
            Optimizer::AdaGrad => (1.0, 10.0),
            Optimizer::Adam => (2.0, 17.0),
        }
    }

    /// Tensors `[m, p]` that are learned.
    pub(super) fn learned(&self) -> f64 {
        f64::from(u8::from(self.learn.anchors)) + f64::from(u8::from(self.learn.scale))
    }

    fn coding(&self) -> (f64, f64) {
        if self.anchors == 1.0 {
            return (0.0, 0.0);
        }
        let (flops, numbers) = self.distances();
        (flops + self.solving(), numbers + 5.0 * self.pairs())
    }

    /// Distances of every row to every anchor, which are not written.
    pub(super) fn distances(&self) -> (f64, f64) {
        let Self { rows, nonzeros, anchors, columns, .. } = *self;
        // Two fused operations, or an addition and a fused one where no anchor has a scale.
        let (lens, cell) = match (self.sparse, self.learn.scale) {
            (true, _) => (1.0, 4.0),
            (false, true) => (2.0, 4.0),
            (false, false) => (1.0, 3.0),
        };
        (cell * rows * nonzeros * anchors, self.batch() + lens * columns * anchors)
    }

    /// Operations that choose the active anchors.
    pub(super) fn solving(&self) -> f64 {
        6.0 * self.rows * self.anchors
    }

    pub(super) fn score(&self) -> (f64, f64) {
        let Self { nonzeros: z, outputs, factors: d, .. } = *self;
        let cells = self.pairs() * outputs;
        let (flops, models) = if self.sparse {
            let records = (self.columns * self.anchors).min(self.pairs() * z);
            (4.0 * z * d + 2.0 * z + 2.0 * d, records * (d + 1.0))
        } else {
            let used = self.anchors.min(self.pairs());
            (2.0 * z * (d + 1.0) + 3.0 * z + 2.0 * d, used * z * (d + 2.0))
        };
        (cells * flops, self.batch() + models * outputs + cells * (d + 2.0))
    }

    fn blend(&self) -> (f64, f64) {
        let (pairs, cells) = (self.pairs(), self.pairs() * self.outputs);
        let slopes = if self.learns() { 2.0 * cells + 8.0 * pairs } else { 0.0 };
        let flops = cells * (self.factors + 3.0) + slopes;
        (flops, cells * (2.0 * (self.factors + 1.0) + 3.0) + 5.0 * pairs)
    }

    pub(super) fn models(&self) -> (f64, f64) {
        let Self { nonzeros: z, outputs, factors: d, .. } = *self;
        let (memory, operations) = self.rule();
        let (pairs, width) = (self.pairs(), d + 1.0);
        let stays = self.optimizer != Optimizer::Adam && !self.penalty;
        let (entry, own, squares, records) = if self.sparse {
            (2.0, 2.0, 0.0, self.columns * self.anchors)
        } else {
            let stepped = if stays { self.anchors.min(pairs) } else { self.anchors };
            (3.0, 4.0, 1.0, stepped * z)
        };
        let flops = pairs * z * outputs * (2.0 * width + entry)
            + records * outputs * (own * d + operations * width);
        let moved = records * outputs * (2.0 * (1.0 + memory) * width + squares);
        (flops, self.batch() + pairs * outputs * width + moved)
    }

    fn anchors(&self) -> (f64, f64) {
        if !self.learns() {
            return (0.0, 0.0);
        }
        let (memory, operations) = self.rule();
        let (cells, learned) = (self.anchors * self.columns, self.learned());
        let moved = cells * (2.0 * (1.0 + memory) * learned + 4.0);
        let (entry, rest, pulls) = if self.sparse { (4.0, 18.0, 1.0) } else { (5.0, 9.0, 3.0) };
        let flops = entry * self.pairs() * self.nonzeros + cells * (rest + operations * learned);
        (flops, self.batch() + pulls * self.pairs() + moved)
    }

    fn heads(&self) -> (f64, f64) {
        let (operations, pairs) = (self.rule().1, self.pairs());
        let biases = self.anchors * self.outputs;
        let mut cost =
            (pairs * self.outputs + biases * operations, pairs * self.outputs + 3.0 * biases);
        if self.learn.lipschitz && self.anchors > 1.0 {
            cost.0 += pairs + self.anchors * operations;
            cost.1 += 3.0 * pairs;
        }
        cost
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 2 rows of 3 features, one anchor, one output, one factor.
    pub(in crate::bench) fn fm() -> Work {
        Work {
            rows: 2.0,
            nonzeros: 3.0,
            columns: 3.0,
            features: 3.0,
            sparse: false,
            anchors: 1.0,
            outputs: 1.0,
            factors: 1.0,
            active: 1.0,
            learn: Learn::default(),
            optimizer: Optimizer::Sgd,
            penalty: false,
        }
    }

    /// 2 rows of 3 features, 4 anchors of which 2 are active, 2 outputs, one factor.
    pub(in crate::bench) fn jo() -> Work {
        let learn = Learn { anchors: true, lipschitz: true, metric: true, scale: false };
        let optimizer = Optimizer::Adam;
        Work { anchors: 4.0, outputs: 2.0, active: 2.0, learn, optimizer, ..fm() }
    }

    #[track_caller]
    fn takes(work: &Work, phase: Phase, flops: f64, numbers: f64) {
        assert_eq!(work.cost(phase), Cost { flops, bytes: 4.0 * numbers }, "{phase:?}");
    }

    #[test]
    fn a_factorization_machine_counted_by_hand() {
        let work = fm();
        // Six cells read, six written.
        takes(&work, Phase::Gather, 0.0, 12.0);
        takes(&work, Phase::Coding, 0.0, 0.0);
        // A row: q and w·x are 3 fused each, Σx²r 3 times a product and a fused one, q² one fused.
        // Rows 6, v, w and r of 3 features 9, a row's q, w·x and f 3.
        takes(&work, Phase::Score, 2.0 * (12.0 + 9.0 + 2.0), 6.0 + 9.0 + 6.0);
        // A row: γf fused, γ·g, a·q. Two sums in and out, 3 numbers of scores and coefficients, the pair 5.
        takes(&work, Phase::Blend, 2.0 * 4.0, 2.0 * (4.0 + 3.0 + 5.0));
        // A row and feature: two fused, then x·x·a fused. A feature: less own v 2, the square 2, two
        // parameters of 5. Rows 6, weighted 4, records in and out 12, squares 3.
        takes(&work, Phase::Models, 6.0 * (4.0 + 3.0) + 3.0 * (4.0 + 10.0), 6.0 + 4.0 + 12.0 + 3.0);
        takes(&work, Phase::Anchors, 0.0, 0.0);
        takes(&work, Phase::Heads, 2.0 + 5.0, 2.0 + 3.0);
        assert_eq!(work.step_bytes(), 4.0 * (12.0 + 21.0 + 24.0 + 25.0 + 5.0));
    }

    #[test]
    fn a_joint_model_counted_by_hand() {
        let work = jo();
        // 24 (row, feature, anchor) of one and a fused, 8 (row, anchor) of 6. Rows 6, lenses 12, pairs 20.
        takes(&work, Phase::Coding, 72.0 + 48.0, 6.0 + 12.0 + 20.0);
        // 4 pairs of 2 outputs. All 4 anchors' models: 3 features of v, w and r in 2 channels.
        takes(&work, Phase::Score, 8.0 * 23.0, 6.0 + 72.0 + 24.0);
        takes(&work, Phase::Blend, 8.0 * (4.0 + 2.0) + 32.0, 8.0 * 7.0 + 20.0);
        // 24 records of v and w, each with two moments.
        takes(
            &work,
            Phase::Models,
            24.0 * 7.0 + 24.0 * (4.0 + 34.0),
            6.0 + 16.0 + 24.0 * (12.0 + 1.0),
        );
        // 4 pairs of 3 features; 12 anchor cells with two moments each.
        takes(&work, Phase::Anchors, 60.0 + 12.0 * 26.0, 6.0 + 12.0 + 12.0 * 10.0);
        takes(&work, Phase::Heads, 8.0 + 8.0 * 17.0 + 4.0 + 4.0 * 17.0, 8.0 + 24.0 + 12.0);
    }

    #[test]
    fn sparse_rows_take_their_non_zeros_and_present_columns() {
        // 2 rows of 2 entries in 3 columns, 4 anchors all active.
        let learn = Learn { anchors: true, ..Learn::default() };
        let work = Work {
            nonzeros: 2.0,
            sparse: true,
            anchors: 4.0,
            active: 4.0,
            learn,
            optimizer: Optimizer::AdaGrad,
            ..fm()
        };
        takes(&work, Phase::Gather, 0.0, 24.0);
        takes(&work, Phase::Coding, 4.0 * 16.0 + 48.0, 8.0 + 12.0 + 40.0);
        // 8 pairs; 12 records of 3 columns, fewer than 16 entries of pairs.
        takes(&work, Phase::Score, 8.0 * 14.0, 8.0 + 24.0 + 24.0);
        takes(&work, Phase::Models, 16.0 * 6.0 + 12.0 * (2.0 + 20.0), 8.0 + 16.0 + 12.0 * 8.0);
        takes(&work, Phase::Anchors, 4.0 * 16.0 + 12.0 * 28.0, 8.0 + 8.0 + 12.0 * 8.0);
        takes(&work, Phase::Heads, 8.0 + 40.0, 8.0 + 12.0);
    }

    #[test]
    fn anchors_without_rows_are_left_alone_where_nothing_steps_them() {
        let lone = Work { rows: 1.0, active: 1.0, optimizer: Optimizer::Sgd, ..jo() };
        let bytes = |work: &Work| work.cost(Phase::Models).bytes;
        let few = bytes(&lone);
        assert!(few < bytes(&Work { optimizer: Optimizer::Adam, ..lone }));
        assert!(few < bytes(&Work { penalty: true, ..lone }));
    }
}

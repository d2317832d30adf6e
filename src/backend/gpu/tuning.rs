//! Which form of a kernel a model gets on a device, and how sums are cut over lanes.
//!
//! A sum may be taken by one lane or shared by several: more lanes fill a device that has little
//! to do, and cost additions in workgroup memory. Bits depend on the cut, so it follows from the
//! sizes alone, never from a clock; which form codes the rows changes no bit.

use crate::error::{Error, Result};

/// Lanes of a workgroup. As in `shaders/shared/split.wgsl`.
const LANES: usize = 64;
/// Workgroups that keep a device busy: 8 for each multiprocessor of the largest.
const ENOUGH: usize = 1024;
/// Terms below which a lane's share of a sum is not worth more lanes.
const LEAST_TERMS: usize = 8;
/// Fewest lanes of a cell: there are then no more results than lanes.
const LEAST: usize = 4;

/// Most features times anchors whose distances are computed where they are used: beyond, tiles read
/// rows and anchors less often than a launch costs.
const MOST_FUSED: usize = 1 << 13;

/// Most anchors that a workgroup sorts: eight bytes each, of the 16 KiB and less that every device has.
const MOST_SORTED: usize = 1024;

/// Choices among the forms of the kernels in place of the rules', to measure them by.
///
/// The rules look at sizes, not at clocks, so that a run has the same bits again, and on another machine of a kind;
/// `cargo bench --bench gpu_variants` measures what they might be changed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// Whether a subgroup codes a row, or an invocation alone; same bits.
    pub subgroups: Option<bool>,
    /// Whether a workgroup sorts a row's anchors, up to 1,024 of them, before it codes the row; same bits. They are
    /// coded by a kernel of its own then.
    pub sorted: Option<bool>,
    /// Whether distances and coding of dense rows are one kernel; same bits.
    pub fused_coding: Option<bool>,
    /// Whether `fm_score` takes dense rows pair by pair, an invocation each, or in tiles of an anchor's pairs.
    pub score_pairs: Option<bool>,
    /// Lanes that share four pairs of a tile of `fm_score`: 4, 8, 16 or 32.
    pub score_splits: Option<usize>,
    /// Lanes that share four features of `fm_update` and `anchor_update`: 4 to 64, a power of two.
    pub update_splits: Option<usize>,
}

impl Variant {
    /// Refuses cuts that the kernels do not know.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, splits, most) in [
            ("score_splits", self.score_splits, LANES / 2),
            ("update_splits", self.update_splits, LANES),
        ] {
            let sound = |n: usize| n.is_power_of_two() && (LEAST..=most).contains(&n);
            if let Some(found) = splits.filter(|&n| !sound(n)) {
                let expected = format!("a power of two from {LEAST} to {most}");
                return Err(Error::Usage(format!("{name}: expected {expected}, found {found}")));
            }
        }
        Ok(())
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Anchors m.
    pub(crate) anchors: usize,
    /// Output channels C.
    pub(crate) outputs: usize,
    /// A dense row in vectors of four.
    pub(crate) row_quads: usize,
    /// Rows of a batch.
    pub(crate) rows: usize,
    /// Anchors that a row uses as a rule.
    pub(crate) active: usize,
}

/// The form of each kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// Whether subgroups code the rows.
    pub(crate) subgroups: bool,
    /// Whether workgroups sort the anchors of the rows they code.
    pub(crate) sorted: bool,
    /// Whether distances and coding of dense rows are one kernel.
    pub(crate) fused_coding: bool,
    /// Whether `fm_score` takes dense rows pair by pair.
    pub(crate) score_pairs: bool,
    /// Lanes that share four slots of `fm_score`, each some of the features.
    pub(crate) score_splits: usize,
    /// Workgroups of `fm_score` that share an anchor and channel.
    pub(crate) score_shares: usize,
    /// Lanes that share four features of `fm_update`, each some of the pairs.
    pub(crate) model_splits: usize,
    /// The same of `anchor_update`.
    pub(crate) anchor_splits: usize,
}

impl Tuning {
    /// What the rules choose, but for what `variant` has chosen; on a device that has subgroups worth
    /// using or not.
    pub(crate) fn new(work: &Work, subgroups: bool, variant: Variant) -> Self {
        let &Work { anchors, outputs, row_quads, rows, active } = work;
        let pairs = (rows * active).div_ceil(anchors);
        let score_groups =
            |splits: usize| anchors * outputs * pairs.div_ceil(slots_of_tile(splits));
        let score_splits = variant
            .score_splits
            .unwrap_or_else(|| cut(LANES / 2, score_groups, |splits| row_quads >= 2 * splits));
        // Some anchors have twice the pairs of others; those with more walk over them.
        let shares = (2 * pairs).div_ceil(slots_of_tile(score_splits));
        let most_shares = rows.div_ceil(slots_of_tile(score_splits));
        let update = |quads: usize| {
            let groups = |splits: usize| anchors * (quads * splits).div_ceil(LANES);
            let rule = || cut(LANES, groups, |splits| pairs >= LEAST_TERMS * splits);
            variant.update_splits.unwrap_or_else(rule)
        };
        let fused = variant.fused_coding.unwrap_or(fuses_coding(4 * row_quads, anchors));
        // Sorting takes as long whatever the row uses; a scan is needed for each anchor that it does.
        let uses_many = !fused && anchors >= LANES && 4 * active > anchors;
        let sorted = variant.sorted.unwrap_or(uses_many) && anchors <= MOST_SORTED;
        Self {
            subgroups: variant.subgroups.unwrap_or(subgroups),
            sorted,
            fused_coding: fused && !sorted,
            // Lanes cannot share fewer quads of features than they are.
            score_pairs: variant.score_pairs.unwrap_or(row_quads < LEAST),
            score_splits,
            score_shares: shares.min(most_shares).max(1),
            model_splits: update(outputs * row_quads),
            anchor_splits: update(row_quads),
        }
    }
}

/// Whether distances and coding of dense rows are one kernel.
pub(crate) fn fuses_coding(features: usize, anchors: usize) -> bool {
    features.next_multiple_of(4) * anchors <= MOST_FUSED
}

/// Slots of a tile of `fm_score`: a cell has four.
fn slots_of_tile(splits: usize) -> usize {
    4 * LANES / splits
}

/// Doubles the lanes of a cell until there are enough workgroups, up to `most` and as long as it
/// pays.
fn cut(most: usize, groups: impl Fn(usize) -> usize, pays: impl Fn(usize) -> bool) -> usize {
    let mut splits = LEAST;
    while splits < most && groups(splits) < ENOUGH && pays(splits) {
        splits *= 2;
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(
        anchors: usize,
        outputs: usize,
        row_quads: usize,
        rows: usize,
        active: usize,
    ) -> [usize; 3] {
        let work = Work { anchors, outputs, row_quads, rows, active };
        let tuning = Tuning::new(&work, true, Variant::default());
        [tuning.score_splits, tuning.model_splits, tuning.anchor_splits]
    }

    #[test]
    fn little_work_is_shared_by_more_lanes() {
        // MNIST, 50 anchors, batches of 1024: many features, few pairs of an anchor.
        assert_eq!(splits(50, 10, 196, 1024, 2), [16, 4, 8]);
        // Covtype in batches of 4096: few features, many pairs.
        assert_eq!(splits(50, 1, 14, 4096, 4), [8, 64, 64]);
        // 2,000 anchors fill the device as they are.
        assert_eq!(splits(2000, 1, 14, 1024, 8), [4, 4, 4]);
    }

    #[test]
    fn shares_cover_the_batch_without_more() {
        let shares = |anchors, rows| {
            let work = Work { anchors, outputs: 1, row_quads: 2, rows, active: 1 };
            Tuning::new(&work, false, Variant::default()).score_shares
        };
        // A lone anchor has all rows.
        assert_eq!(shares(1, 100), 100_usize.div_ceil(64));
        assert_eq!(shares(50, 1), 1);
    }

    #[test]
    fn anchors_are_sorted_where_rows_use_many_of_them() {
        let sorted = |anchors, active, row_quads, variant| {
            let work = Work { anchors, outputs: 1, row_quads, rows: 1024, active };
            let tuning = Tuning::new(&work, true, variant);
            assert!(!(tuning.sorted && tuning.fused_coding), "there is no such kernel");
            tuning.sorted
        };
        let (rules, wanted) =
            (Variant::default(), Variant { sorted: Some(true), ..Variant::default() });
        assert!(sorted(200, 194, 100, rules) && !sorted(200, 20, 100, rules));
        // What is coded where it is measured is not sorted, but for those who ask.
        assert!(!sorted(200, 194, 2, rules) && sorted(200, 194, 2, wanted));
        assert!(!sorted(1025, 1000, 100, wanted), "more than the memory of a workgroup holds");
    }

    #[test]
    fn a_variant_goes_before_the_rules() {
        let work = Work { anchors: 50, outputs: 10, row_quads: 196, rows: 1024, active: 2 };
        let rules = Tuning::new(&work, true, Variant::default());
        assert!(rules.subgroups && !rules.fused_coding && !rules.score_pairs);
        let variant = Variant {
            subgroups: Some(false),
            fused_coding: Some(true),
            sorted: None,
            score_pairs: Some(true),
            score_splits: Some(8),
            update_splits: Some(32),
        };
        let chosen = Tuning::new(&work, true, variant);
        assert!(!chosen.subgroups && chosen.fused_coding && chosen.score_pairs);
        let splits = [chosen.score_splits, chosen.model_splits, chosen.anchor_splits];
        assert_eq!(splits, [8, 32, 32]);
    }

    #[test]
    fn cuts_that_the_kernels_do_not_know_are_refused() {
        let score = |n| Variant { score_splits: Some(n), ..Variant::default() }.check();
        let update = |n| Variant { update_splits: Some(n), ..Variant::default() }.check();
        assert!([4, 8, 16, 32].into_iter().all(|n| score(n).is_ok() && update(n).is_ok()));
        assert!(update(64).is_ok() && Variant::default().check().is_ok());
        let message = score(64).unwrap_err().to_string();
        assert!(message.contains("score_splits: expected a power of two from 4 to 32, found 64"));
        assert!([0, 2, 12, 128].into_iter().all(|n| score(n).is_err() && update(n).is_err()));
    }
}

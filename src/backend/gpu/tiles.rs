//! How the dense kernels cut their sums over the lanes of a workgroup.
//!
//! A sum may be taken by one lane or shared by several: more lanes fill a device that has little
//! to do, and cost additions in workgroup memory. Bits depend on the cut, so it follows from the
//! sizes alone, never from a clock or the device.

/// Lanes of a workgroup. As in `shaders/shared/split.wgsl`.
const LANES: usize = 64;
/// Workgroups that keep a device busy: 8 for each multiprocessor of the largest.
const ENOUGH: usize = 1024;
/// Terms below which a lane's share of a sum is not worth more lanes.
const LEAST_TERMS: usize = 8;
/// Fewest lanes of a cell: there are then no more results than lanes.
const LEAST: usize = 4;

/// The cut of each kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// Lanes that share four slots of `fm_score`, each some of the features.
    pub(crate) score_splits: usize,
    /// Workgroups of `fm_score` that share an anchor and channel.
    pub(crate) score_shares: usize,
    /// Lanes that share four features of `fm_update`, each some of the pairs.
    pub(crate) model_splits: usize,
    /// The same of `anchor_update`.
    pub(crate) anchor_splits: usize,
}

impl Tiles {
    /// For m anchors, C channels, rows of so many vectors of four, and batches of `rows` that use
    /// `active` anchors each.
    pub(crate) fn new(
        anchors: usize,
        outputs: usize,
        row_quads: usize,
        rows: usize,
        active: usize,
    ) -> Self {
        let pairs = (rows * active).div_ceil(anchors);
        let score_groups =
            |splits: usize| anchors * outputs * pairs.div_ceil(slots_of_tile(splits));
        let score_splits = cut(LANES / 2, score_groups, |splits| row_quads >= 2 * splits);
        // Some anchors have twice the pairs of others; those with more walk over them.
        let shares = (2 * pairs).div_ceil(slots_of_tile(score_splits));
        let most_shares = rows.div_ceil(slots_of_tile(score_splits));
        let update = |quads: usize| {
            let groups = |splits: usize| anchors * (quads * splits).div_ceil(LANES);
            cut(LANES, groups, |splits| pairs >= LEAST_TERMS * splits)
        };
        Self {
            score_splits,
            score_shares: shares.min(most_shares).max(1),
            model_splits: update(outputs * row_quads),
            anchor_splits: update(row_quads),
        }
    }
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

    #[test]
    fn little_work_is_shared_by_more_lanes() {
        // MNIST, 50 anchors, batches of 1024: many features, few pairs of an anchor.
        let tiles = Tiles::new(50, 10, 196, 1024, 2);
        assert_eq!((tiles.score_splits, tiles.model_splits, tiles.anchor_splits), (16, 4, 8));
        // Covtype in batches of 4096: few features, many pairs.
        let tiles = Tiles::new(50, 1, 14, 4096, 4);
        assert_eq!((tiles.score_splits, tiles.model_splits, tiles.anchor_splits), (8, 64, 64));
        // 2,000 anchors fill the device as they are.
        let tiles = Tiles::new(2000, 1, 14, 1024, 8);
        assert_eq!((tiles.score_splits, tiles.model_splits, tiles.anchor_splits), (4, 4, 4));
    }

    #[test]
    fn shares_cover_the_batch_without_more() {
        // A lone anchor has all rows.
        assert_eq!(Tiles::new(1, 1, 2, 100, 1).score_shares, 100_usize.div_ceil(64));
        assert_eq!(Tiles::new(50, 1, 2, 1, 1).score_shares, 1);
    }
}

//! The memory of a run, told before it begins.

use crate::backend::cpu::Sizes;
use crate::config::TrainConfig;
use crate::config::defaults::DataShape;
use crate::seed::{CALIBRATION_ROWS, SEEDING_ROWS};

/// What batches in work may take in any case, in bytes.
const BATCHES: u64 = 16 << 20;

/// The allocator keeps some of what is given back, in pieces that fit nothing else: up to an eighth, as we saw.
const KEPT_BACK: u64 = 8;

/// About the most memory that training a model, measuring and saving it take beside the rows, on the CPU.
///
/// The numbers of anchors that rows have are not known beforehand: they count as twice those that calibration
/// aims at, or as all where L is given.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// Bytes of all that exists at once.
    pub bytes: u64,
    /// Bytes that going on from checkpoints and writing them take beside.
    pub checkpoints: u64,
}

impl Footprint {
    /// Of a run on rows of some shape.
    pub fn new(config: &TrainConfig, shape: &DataShape) -> Self {
        let sizes = Sizes::new(config, shape);
        let (members, one) = (config.ensemble as u64, sizes.parameters());
        let copies = |n: u64| one.saturating_mul(n);
        let scoring = sizes.scored_batch();
        let training = sizes.batch(config.batch_size.min(shape.rows), true).max(scoring);
        let phases = [
            // Rows of which anchors are made, as picked and as gathered, then distances to calibrate by.
            (
                sum([sizes.seeding_store(), copies(members)]),
                sizes.seeding_rows(SEEDING_ROWS).max(sizes.distances(CALIBRATION_ROWS)),
            ),
            // Members that are done, the best of the one at work and what is to be the best, and its store.
            (sum([copies(members + 1), sizes.store(true)]), training),
            // As trained and in the model, and a store that scores for each.
            (
                sum([copies(2 * members), sizes.store(false).saturating_mul(members)]),
                scoring.saturating_mul(members),
            ),
            // As trained, in the model, as tensors, as bytes.
            (copies(4 * members), 0),
        ];
        let whole = |(model, batches): (u64, u64)| {
            sum([model, model / KEPT_BACK, batches.saturating_sub(BATCHES)])
        };
        let moments = sizes.moments();
        Self {
            bytes: phases.into_iter().map(whole).max().unwrap_or(0),
            // A checkpoint is kept to go on from; what is written are copies of the optimizer's memory alone.
            checkpoints: sum([copies(members + 1), moments, moments]),
        }
    }
}

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

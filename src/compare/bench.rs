//! What both backends are given: some rows, their order, parameters to start from.

use crate::backend::{TrainRows, TrainTargets};
use crate::config::TrainConfig;
use crate::data::{Features, Targets, weights};
use crate::error::Result;
use crate::model::Parameters;
use crate::random::{Purpose, stream};
use crate::schedule::shuffle;
use crate::seed::initial_parameters;
use crate::train::{TrainData, Units};

/// Most rows that kernels and steps are compared on.
const MOST_ROWS: usize = 8192;

/// A sample of the training rows, and the start of a run on it.
pub(super) struct Bench {
    pub(super) config: TrainConfig,
    pub(super) initial: Parameters,
    pub(super) features: Features,
    targets: Targets,
    values: Vec<f32>,
    weights: Option<Vec<f32>>,
}

impl Bench {
    /// A sample for batches of at most `most_batch` rows.
    pub(super) fn new(
        data: &TrainData<'_>,
        config: &TrainConfig,
        most_batch: usize,
    ) -> Result<Self> {
        let all = &data.train.features;
        let mut rows: Vec<u32> = (0..all.n_rows() as u32).collect();
        shuffle(&mut rows, &mut stream(config.seed, 0, Purpose::Order));
        rows.truncate(MOST_ROWS);
        let features = all.select(&rows);
        let pick = |r: &u32| *r as usize;
        let targets = match &data.train.targets {
            Targets::Classes(all) => Targets::Classes(rows.iter().map(|r| all[pick(r)]).collect()),
            Targets::Values(all) => Targets::Values(rows.iter().map(|r| all[pick(r)]).collect()),
        };
        let weights = weights::mean_one(data.train)?
            .map(|all| rows.iter().map(|r| all[pick(r)]).collect::<Vec<f32>>());
        let batch_size = config.batch_size.min(most_batch).min(rows.len());
        let config = TrainConfig { batch_size, ..config.clone() };
        let n_outputs = config.loss.n_outputs(data.n_classes);
        let initial = initial_parameters(&features, n_outputs, data.never_seen, &config, 0)?;
        let values = Units::of(&targets, weights.as_deref()).standardise(&targets);
        Ok(Self { config, initial, features, targets, values, weights })
    }

    pub(super) fn rows(&self) -> TrainRows<'_> {
        let targets = match &self.targets {
            Targets::Classes(classes) => TrainTargets::Classes(classes),
            Targets::Values(_) => TrainTargets::Values(&self.values),
        };
        TrainRows { features: &self.features, targets, weights: self.weights.as_deref() }
    }

    /// Batches, over and over; all but the last of a pass are full.
    pub(super) fn batches(&self) -> impl Iterator<Item = Vec<u32>> {
        let (n, size) = (self.features.n_rows() as u32, self.config.batch_size as u32);
        let firsts = (0..n).step_by(size as usize).cycle();
        firsts.map(move |first| (first..(first + size).min(n)).collect())
    }
}

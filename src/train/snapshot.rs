//! A run between two steps: all that the rest of it depends on, and that cannot be computed again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::TrainData;
pub use super::watch::Recent;
use crate::backend::{Memory, Totals};
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::model::Parameters;

/// A run between two steps. Given back by [`TrainData::resume`], the rest of the run has the same bits on
/// the same kind of device.
///
/// Orders, rates and random numbers are not among it: they follow from the settings and the number of the
/// step.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// Members of the ensemble that are done.
    pub members: Cow<'a, [Parameters]>,
    /// The best parameters of the member at work.
    pub best: Cow<'a, Parameters>,
    /// Its parameters now.
    pub current: Parameters,
    /// What its backend remembers beside them.
    pub memory: Memory,
    /// Where it is.
    pub position: Position,
}

/// How far a run is, and what it has measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Epochs the done members were taken from.
    pub best_epochs: Vec<usize>,
    /// Steps done, of all members: those that ended early count as whole.
    pub done: u64,
    /// Steps of the member at work.
    pub steps: u64,
    /// Epochs it has done.
    pub epoch: usize,
    /// Epoch its best parameters are from.
    pub best_epoch: usize,
    /// What they cost by the metric that chooses the epoch, where it is known.
    pub best_cost: Option<f64>,
    /// The lowest training loss of an epoch.
    pub least_loss: Option<f64>,
    /// Losses that are looked at within an epoch.
    pub recent: Recent,
    /// Rows, loss and pairs of the epoch at work.
    pub counted: Counted,
    /// L that calibration chose.
    pub lipschitz: f64,
    /// Seconds the steps of the member took.
    pub seconds: f64,
    /// Seconds and epochs of the members before, and seconds of all seeding.
    pub before: Spent,
}

/// What [`Totals`] have counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// As [`Totals::rows`].
    pub rows: u64,
    /// As [`Totals::loss`].
    pub loss: f64,
    /// As [`Totals::pairs`].
    pub pairs: Vec<u64>,
}

/// What a run has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Seconds of seeding.
    pub seed_seconds: f64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Epochs.
    pub epochs: f64,
}

impl From<&Totals> for Counted {
    fn from(totals: &Totals) -> Self {
        Self { rows: totals.rows, loss: totals.loss, pairs: totals.pairs.clone() }
    }
}

impl From<&Counted> for Totals {
    fn from(counted: &Counted) -> Self {
        let Counted { rows, loss, pairs } = counted.clone();
        Self { rows, loss, pairs, ..Self::default() }
    }
}

impl Snapshot<'_> {
    /// Number of the member at work, from 0.
    pub fn member(&self) -> usize {
        self.members.len()
    }

    /// Refuses what is no part of the run: a forged file may say anything.
    pub(super) fn check(
        &self,
        data: &TrainData<'_>,
        config: &TrainConfig,
        n_outputs: usize,
    ) -> Result<()> {
        let p = data.train.features.n_cols();
        let sizes = (p, n_outputs, config.factors);
        let fits = |one: &Parameters| {
            one.sizes() == sizes && (1..=config.anchors).contains(&one.n_anchors())
        };
        let at = &self.position;
        let steps =
            |epochs: usize| epochs as u64 * data.n_rows().div_ceil(config.batch_size) as u64;
        let before = &at.before;
        let times = [before.seed_seconds, before.train_seconds, at.seconds];
        let epochs = config.epochs * self.member();
        let sound = self.members.iter().chain([&*self.best, &self.current]).all(fits)
            && self.member() < config.ensemble
            && at.best_epochs.len() == self.member()
            && at.best_epoch <= at.epoch
            && at.epoch <= config.epochs
            && (steps(at.epoch)..=steps(at.epoch + 1)).contains(&at.steps)
            && at.steps <= steps(config.epochs)
            && at.counted.rows <= data.n_rows() as u64
            && at.counted.pairs.iter().all(|&pairs| pairs <= at.counted.rows)
            && at.best_epochs.iter().all(|&epoch| epoch <= config.epochs)
            && times.iter().all(|seconds| (0.0..1e12).contains(seconds))
            && (0.0..=epochs as f64).contains(&before.epochs);
        if sound {
            return Ok(());
        }
        Err(Error::Usage(
            "the checkpoint is not of this run: its sizes or steps are others; start afresh with --force"
                .into(),
        ))
    }
}

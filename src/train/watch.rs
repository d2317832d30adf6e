//! Which epoch was the best, and whether to go on.

use crate::config::{Loss, TrainConfig};
use crate::error::Result;
use crate::event::EpochReport;
use crate::metrics::EvalMetric;
use crate::model::Parameters;

/// A loss this many times that of knowing nothing is no longer training.
const DIVERGED: f64 = 1e3;

/// Nor is one this many times that of the first epoch.
const GROWN: f64 = 10.0;

/// The state of a member's run between epochs.
pub(super) struct Watch {
    /// Epochs done.
    pub(super) epoch: usize,
    /// Epoch `best` is from, 0 for the start.
    pub(super) best_epoch: usize,
    /// Best parameters by the metric of the validation rows, or the last where there is none.
    pub(super) best: Parameters,
    /// What to do about a loss that diverged.
    pub(super) diverged: Option<String>,
    metric: EvalMetric,
    /// [`Watch::cost`] of `best`.
    best_cost: f64,
    limit: f64,
    first_loss: Option<f64>,
}

impl Watch {
    /// `unit` is what a loss of 1 in training units is in the reports.
    pub(super) fn new(
        config: &TrainConfig,
        n_classes: usize,
        unit: f64,
        initial: Parameters,
    ) -> Self {
        let unknowing = match config.loss {
            Loss::Softmax => (n_classes as f64).ln(),
            Loss::Ovr => n_classes as f64,
            Loss::Logistic | Loss::Hinge | Loss::Squared => 1.0,
        };
        Self {
            epoch: 0,
            best_epoch: 0,
            best: initial,
            diverged: None,
            metric: config.eval_metric,
            best_cost: f64::INFINITY,
            limit: DIVERGED * unknowing * unit,
            first_loss: None,
        }
    }

    pub(super) fn goes_on(&self, config: &TrainConfig) -> bool {
        let patient = config.patience.is_none_or(|patience| {
            self.best_cost.is_infinite() || self.epoch - self.best_epoch < patience
        });
        self.diverged.is_none() && self.epoch < config.epochs && patient
    }

    /// What the best epoch has least of.
    fn cost(&self, valid_loss: Option<f64>, valid_metric: Option<f64>) -> Option<f64> {
        valid_metric.map(|value| self.metric.cost(value)).or(valid_loss)
    }

    /// Lets the start compete, measured on the validation rows where there are any.
    pub(super) fn begin(&mut self, valid_loss: Option<f64>, valid_metric: Option<f64>) {
        let cost = self.cost(valid_loss, valid_metric).filter(|cost| cost.is_finite());
        self.best_cost = cost.unwrap_or(f64::INFINITY);
    }

    /// Takes note of an epoch; reads the parameters where they are worth keeping.
    pub(super) fn observe(
        &mut self,
        report: &EpochReport,
        parameters: impl FnOnce() -> Result<Parameters>,
    ) -> Result<()> {
        self.epoch += 1;
        let limit = self.limit.max(GROWN * *self.first_loss.get_or_insert(report.train_loss));
        let diverged = !report.train_loss.is_finite()
            || report.train_loss > limit
            || report.valid_loss.is_some_and(|loss| !loss.is_finite());
        let cost = self.cost(report.valid_loss, report.valid_metric);
        let better = cost.is_none_or(|cost| cost < self.best_cost);
        if !diverged && better {
            let parameters = parameters()?;
            if parameters.is_finite() {
                self.best = parameters;
                self.best_epoch = self.epoch;
                self.best_cost = cost.unwrap_or(f64::INFINITY);
                return Ok(());
            }
        }
        if diverged || better {
            self.diverged = Some(format!(
                "the loss diverged in epoch {} (training loss {:.3e}): lower --learning-rate \
                 (it was {:.3e} there), or clip the features with --clip",
                self.epoch, report.train_loss, report.learning_rate
            ));
        }
        Ok(())
    }
}

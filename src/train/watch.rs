//! Which epoch was the best, and whether to go on.

use serde::{Deserialize, Serialize};

use super::{Snapshot, TrainData};
use crate::backend::StepLoss;
use crate::config::{Loss, TrainConfig};
use crate::error::Result;
use crate::event::EpochReport;
use crate::metrics::EvalMetric;
use crate::model::Parameters;

/// A loss this many times that of knowing nothing is no longer training.
const DIVERGED: f64 = 1e3;

/// Nor is an epoch's that is this many times the lowest so far, and that of knowing nothing.
const GROWN: f64 = 10.0;

/// Rows and steps whose mean loss is looked at within an epoch, and how many such means in a row have to be
/// too large: a row that is far off, or weighs much, is in one of them.
const ENOUGH_ROWS: u64 = 1024;
const ENOUGH_STEPS: u64 = 8;
const ENOUGH_MEANS: u64 = 3;

/// A sum of losses that no mean makes sound.
const HOPELESS: f64 = 1e30;

/// Losses of the last steps, until there are enough of them for a mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recent {
    steps: u64,
    rows: u64,
    sum: f64,
    /// How many means before were too large, one after the other.
    too_large: u64,
}

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
    /// The loss of knowing nothing, as reported.
    unknowing: f64,
    /// The reported loss of 1 in training units.
    unit: f64,
    least_loss: f64,
    recent: Recent,
    /// The rate that these rows have by default, where it is below that of the run.
    default_rate: Option<f64>,
    /// Whether the features could be clipped, and are not.
    clip: bool,
}

impl Watch {
    /// `unit` is what a loss of 1 in training units is in the reports.
    pub(super) fn new(
        config: &TrainConfig,
        data: &TrainData<'_>,
        unit: f64,
        initial: Parameters,
    ) -> Self {
        let unknowing = match config.loss {
            Loss::Softmax => (data.n_classes as f64).ln(),
            Loss::Ovr => data.n_classes as f64,
            Loss::Logistic | Loss::Hinge | Loss::Squared => 1.0,
        };
        Self {
            epoch: 0,
            best_epoch: 0,
            best: initial,
            diverged: None,
            metric: config.eval_metric,
            best_cost: f64::INFINITY,
            unknowing: unknowing * unit,
            unit,
            least_loss: f64::INFINITY,
            recent: Recent::default(),
            default_rate: Some(data.default_rate(config))
                .filter(|&rate| rate < config.learning_rate),
            clip: !data.clipped && data.start.is_none(),
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

    /// Takes over what a run has found until a snapshot.
    pub(super) fn resume(&mut self, snapshot: &Snapshot<'_>) {
        let at = &snapshot.position;
        self.best = snapshot.best.clone().into_owned();
        (self.epoch, self.best_epoch) = (at.epoch, at.best_epoch);
        self.best_cost = at.best_cost.unwrap_or(f64::INFINITY);
        self.least_loss = at.least_loss.unwrap_or(f64::INFINITY);
        self.recent = at.recent;
    }

    /// What the best parameters cost, where it is known.
    pub(super) fn best_cost(&self) -> Option<f64> {
        Some(self.best_cost).filter(|cost| cost.is_finite())
    }

    /// The lowest training loss of an epoch.
    pub(super) fn least_loss(&self) -> Option<f64> {
        Some(self.least_loss).filter(|loss| loss.is_finite())
    }

    /// Losses that wait for a mean.
    pub(super) fn recent(&self) -> Recent {
        self.recent
    }

    /// Looks at the losses of some steps within an epoch.
    pub(super) fn see(&mut self, losses: &[StepLoss], rate: f64) {
        for loss in losses {
            let recent = &mut self.recent;
            recent.steps = recent.steps.saturating_add(1);
            recent.rows = recent.rows.saturating_add(loss.rows);
            recent.sum += loss.sum;
            let hopeless = loss.sum.is_nan() || loss.sum.abs() >= HOPELESS;
            if hopeless || (recent.rows >= ENOUGH_ROWS && recent.steps >= ENOUGH_STEPS) {
                let mean = recent.sum / recent.rows.max(1) as f64 * self.unit;
                let too_large = mean > DIVERGED * self.unknowing;
                let count = if too_large { recent.too_large.saturating_add(1) } else { 0 };
                *recent = Recent { too_large: count, ..Recent::default() };
                if hopeless || count >= ENOUGH_MEANS {
                    return self.diverge(mean, rate);
                }
            }
        }
    }

    /// Takes note of an epoch; reads the parameters where they are worth keeping.
    pub(super) fn observe(
        &mut self,
        report: &EpochReport,
        parameters: impl FnOnce() -> Result<Parameters>,
    ) -> Result<()> {
        self.epoch += 1;
        let mut limit = DIVERGED * self.unknowing;
        if self.least_loss.is_finite() {
            limit = limit.min(GROWN * self.least_loss.max(self.unknowing));
        }
        let diverged = !report.train_loss.is_finite()
            || report.train_loss > limit
            || report.valid_loss.is_some_and(|loss| !loss.is_finite());
        self.least_loss = self.least_loss.min(report.train_loss);
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
            self.epoch -= 1;
            self.diverge(report.train_loss, report.learning_rate);
        }
        Ok(())
    }

    /// Notes that the loss diverged in the epoch that is not done, and what to do about it.
    pub(super) fn diverge(&mut self, loss: f64, rate: f64) {
        let default = self.default_rate.map_or_else(String::new, |rate| {
            format!("; the default for these rows is {}", two_digits(rate))
        });
        let clip = if self.clip { ", or clip the features with --clip" } else { "" };
        self.diverged = Some(format!(
            "the loss diverged in epoch {} (training loss {loss:.3e}): lower --learning-rate (it was \
             {rate:.3e} there{default}){clip}",
            self.epoch + 1
        ));
    }
}

/// A number rounded to two digits.
fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Array3, Array4};

    use super::*;
    use crate::bench::{RowShape, config_of};
    use crate::data::{Dataset, Features, Targets};
    use crate::settings::Settings;

    /// Looks at steps of 256 rows with these mean losses.
    fn seen(losses: &[f64]) -> Watch {
        seen_at(None, false, losses)
    }

    /// The same at a rate, and of clipped features.
    fn seen_at(learning_rate: Option<f64>, clipped: bool, losses: &[f64]) -> Watch {
        let shape = RowShape::named("ijcnn1").expect("a shape");
        let settings = Settings { learning_rate, ..Settings::default() };
        let config = config_of(shape, &settings).expect("sound settings");
        let features = Features::Dense(Array2::zeros((100, 1)));
        let train = Dataset { features, targets: Targets::Classes(vec![0; 100]), weights: None };
        let data = TrainData { clipped, ..TrainData::new(&train, 2) };
        let start = Parameters {
            anchors: Array2::zeros((1, 1)),
            log_lipschitz: Array1::zeros(1),
            log_metric: Array1::zeros(1),
            anchor_scale: None,
            bias: Array2::zeros((1, 1)),
            linear: Array3::zeros((1, 1, 1)),
            factors: Array4::zeros((1, 1, 1, 1)),
        };
        let mut watch = Watch::new(&config, &data, 1.0, start);
        losses.iter().for_each(|loss| watch.see(&[StepLoss { rows: 256, sum: 256.0 * loss }], 0.1));
        watch
    }

    #[test]
    fn advice_names_the_default_rate_below_the_one_that_diverged_and_a_clip_that_is_off() {
        let advice = |rate, clipped| {
            let watch = seen_at(rate, clipped, &[f64::NAN]);
            watch.diverged.expect("not a number").split_once("lower").expect("advice").1.to_owned()
        };
        let end = "there; the default for these rows is 0.04)";
        assert!(advice(Some(10.0), true).ends_with(end), "{}", advice(Some(10.0), true));
        let clip = format!("{end}, or clip the features with --clip");
        assert!(advice(Some(10.0), false).ends_with(&clip), "{}", advice(Some(10.0), false));
        assert!(advice(Some(1e-3), true).ends_with("there)"), "{}", advice(Some(1e-3), true));
    }

    #[test]
    fn a_row_that_weighs_much_is_no_divergence_and_losses_that_stay_large_are() {
        // Eight steps a mean, of which the limit is 1000.
        let outlier = [&[0.5; 20][..], &[1e6], &[0.5; 40], &[1e6], &[0.5; 40]].concat();
        assert_eq!(seen(&outlier).diverged, None);
        assert_eq!(seen(&[[0.5; 8], [2e3; 8], [2e3; 8]].concat()).diverged, None);
        let grown = seen(&[[0.5; 8], [2e3; 8], [2e3; 8], [2e3; 8]].concat());
        let advice = grown.diverged.expect("three means in a row");
        assert!(advice.contains("2.000e3") && advice.contains("--learning-rate"), "{advice}");
        for hopeless in [f64::NAN, f64::INFINITY, 3e38] {
            assert!(seen(&[0.5, hopeless]).diverged.is_some(), "{hopeless}");
        }
    }
}

//! The metric of the validation rows that a run goes by.

use clap::ValueEnum;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{Metrics, compute};
use crate::config::{Loss, name_of};
use crate::data::{Dataset, Targets};
use crate::error::{Error, Result};
use crate::outcome::Outcome;

/// Metric of the validation rows that chooses the best epoch, and ends a run with patience.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalMetric {
    /// Loss the model is trained with; for any task.
    #[default]
    Loss,
    /// −log of the predicted probability of the label; least is best, as for the loss.
    LogLoss,
    /// Fraction of rows predicted right; greatest is best.
    Accuracy,
    /// Fraction of rows predicted wrong.
    Error,
    /// Unweighted mean over the classes of the F1 score; greatest is best.
    MacroF1,
    /// Area under the ROC curve, two classes only; greatest is best.
    Auc,
    /// Root mean squared error, values only.
    Rmse,
    /// Mean absolute error, values only.
    Mae,
}

impl EvalMetric {
    /// Refuses a metric that models of a loss do not have.
    ///
    /// # Errors
    /// [`Error::Usage`] naming those they have.
    pub(crate) fn check(self, loss: Loss) -> Result<()> {
        if self.fits(loss) {
            return Ok(());
        }
        let fitting = Self::value_variants().iter().filter(|metric| metric.fits(loss));
        let fitting: Vec<String> = fitting.map(|metric| name_of(*metric)).collect();
        Err(Error::Usage(format!(
            "--eval-metric {} does not fit {} loss: use {}",
            name_of(self),
            name_of(loss),
            fitting.join(", ")
        )))
    }

    /// Whether models of a loss have it.
    fn fits(self, loss: Loss) -> bool {
        match self {
            Self::Loss => true,
            Self::LogLoss => matches!(loss, Loss::Logistic | Loss::Softmax | Loss::Ovr),
            Self::Accuracy | Self::Error | Self::MacroF1 => loss != Loss::Squared,
            Self::Auc => matches!(loss, Loss::Logistic | Loss::Hinge),
            Self::Rmse | Self::Mae => loss == Loss::Squared,
        }
    }

    /// Refuses validation rows that have no value of the metric, as the AUC of a single class.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check_rows(
        self,
        outcome: &Outcome,
        n_outputs: usize,
        rows: &Dataset,
    ) -> Result<()> {
        let nothing = Array2::zeros((rows.features.n_rows(), n_outputs));
        match (self, self.measure(outcome, &nothing, &rows.targets)) {
            (Self::Loss, _) => Ok(()),
            (_, Some(value)) if value.is_finite() => Ok(()),
            _ => Err(Error::Usage(format!(
                "--eval-metric {}: the validation rows have none, as they lack a class; validate on \
                 other rows, or by another metric",
                name_of(self)
            ))),
        }
    }

    /// The metric of raw scores `[n, C]`; nothing for the loss, which is measured in any case.
    pub(crate) fn measure(
        self,
        outcome: &Outcome,
        scores: &Array2<f32>,
        targets: &Targets,
    ) -> Option<f64> {
        (self != Self::Loss).then(|| self.of(&compute(outcome, scores, targets))).flatten()
    }

    /// The metric among others; `None` where it does not apply.
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        match self {
            Self::Loss => Some(metrics.loss),
            Self::LogLoss => metrics.log_loss,
            Self::Accuracy => metrics.accuracy,
            Self::Error => metrics.accuracy.map(|accuracy| 1.0 - accuracy),
            Self::MacroF1 => metrics.macro_f1,
            Self::Auc => metrics.auc,
            Self::Rmse => metrics.rmse,
            Self::Mae => metrics.mae,
        }
    }

    /// Least for the best value, whichever way the metric goes.
    pub fn cost(self, value: f64) -> f64 {
        if self.rises() { -value } else { value }
    }

    /// Whether the greatest value is the best.
    pub fn rises(self) -> bool {
        matches!(self, Self::Accuracy | Self::MacroF1 | Self::Auc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Features, UNKNOWN_CLASS};
    use crate::model::TargetScale;

    #[test]
    fn each_loss_has_its_metrics_and_a_refusal_names_them() {
        let fitting = |loss| {
            let all = EvalMetric::value_variants().iter();
            let names = all.filter(|metric| metric.check(loss).is_ok()).map(|m| name_of(*m));
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(fitting(Loss::Logistic), "loss log-loss accuracy error macro-f1 auc");
        assert_eq!(fitting(Loss::Hinge), "loss accuracy error macro-f1 auc");
        assert_eq!(fitting(Loss::Softmax), "loss log-loss accuracy error macro-f1");
        assert_eq!(fitting(Loss::Ovr), fitting(Loss::Softmax));
        assert_eq!(fitting(Loss::Squared), "loss rmse mae");
        let refusal = EvalMetric::Auc.check(Loss::Squared).expect_err("no AUC").to_string();
        assert!(refusal.contains("auc") && refusal.ends_with("use loss, rmse, mae"), "{refusal}");
    }

    #[test]
    fn rows_without_a_value_of_the_metric_are_refused() {
        let outcome =
            Outcome { loss: Loss::Logistic, target_scale: TargetScale::default(), range: None };
        let check = |metric: EvalMetric, classes: &[u32]| {
            let features = Features::Dense(Array2::zeros((classes.len(), 1)));
            let rows =
                Dataset { features, targets: Targets::Classes(classes.to_vec()), weights: None };
            metric.check_rows(&outcome, 1, &rows).is_ok()
        };
        assert!(check(EvalMetric::Auc, &[0, 1, UNKNOWN_CLASS]));
        assert!(!check(EvalMetric::Auc, &[1, 1]));
        assert!(check(EvalMetric::LogLoss, &[1, UNKNOWN_CLASS]));
        assert!(!check(EvalMetric::LogLoss, &[UNKNOWN_CLASS]));
        assert!(check(EvalMetric::Loss, &[UNKNOWN_CLASS]));
    }
}

//! Which number decides, and its mean over some fits.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::Metrics;

/// The number that trials are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Mean training loss; less is better
    Loss,
    /// −log of the predicted probability of the label; less is better
    LogLoss,
    /// Fraction of rows predicted right; more is better
    Accuracy,
    /// Fraction of rows predicted wrong; less is better
    Error,
    /// Mean F1 score of the classes; more is better
    #[value(name = "macro-f1")]
    #[serde(rename = "macro-f1")]
    MacroF1,
    /// Area under the ROC curve, two classes only; more is better
    Auc,
    /// Root mean squared error; less is better
    Rmse,
    /// Mean absolute error; less is better
    Mae,
}

impl Metric {
    /// Its value; `None` where it does not apply to the task or is not finite.
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        let value = match self {
            Self::Loss => Some(metrics.loss),
            Self::LogLoss => metrics.log_loss,
            Self::Accuracy => metrics.accuracy,
            Self::Error => metrics.accuracy.map(|accuracy| 1.0 - accuracy),
            Self::MacroF1 => metrics.macro_f1,
            Self::Auc => metrics.auc,
            Self::Rmse => metrics.rmse,
            Self::Mae => metrics.mae,
        };
        value.filter(|x| x.is_finite())
    }

    /// Least for the best value, whichever way the metric goes.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Accuracy | Self::MacroF1 | Self::Auc => -value,
            Self::Loss | Self::LogLoss | Self::Error | Self::Rmse | Self::Mae => value,
        }
    }
}

/// Mean and deviation of a number over some fits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample, by n − 1; 0 of a single fit.
    pub sd: f64,
}

impl Estimate {
    /// Of some numbers; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        Some(Self { mean, sd: (squares / (n - 1.0).max(1.0)).sqrt() })
    }

    /// Of every metric that is finite in all of some fits, by its name.
    pub fn of_all(fits: &[Metrics]) -> BTreeMap<String, Self> {
        let fits: Vec<Value> = fits.iter().filter_map(|m| serde_json::to_value(m).ok()).collect();
        let Some(Value::Object(first)) = fits.first() else { return BTreeMap::new() };
        let estimate = |name: &String| {
            let values: Option<Vec<f64>> = fits.iter().map(|fit| fit[name].as_f64()).collect();
            Some((name.clone(), Self::of(&values?)?))
        };
        first.keys().filter_map(estimate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_has_the_mean_and_the_deviation_of_the_sample() {
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[2.5]), Some(Estimate { mean: 2.5, sd: 0.0 }));
        let of = Estimate::of(&[1.0, 2.0, 3.0, 4.0]).expect("some");
        assert!((of.mean - 2.5).abs() < 1e-12 && (of.sd - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_metric_that_is_missing_from_one_fit_is_left_out() {
        let fit = |loss, auc| Metrics { loss, auc, accuracy: Some(0.5), ..Metrics::default() };
        let all = Estimate::of_all(&[fit(1.0, Some(0.5)), fit(f64::NAN, None)]);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["accuracy"]);
    }

    #[test]
    fn the_best_value_costs_least() {
        let good =
            Metrics { loss: 0.1, accuracy: Some(0.9), auc: Some(0.95), ..Metrics::default() };
        let bad = Metrics { loss: 0.7, accuracy: Some(0.5), auc: Some(0.5), ..Metrics::default() };
        for metric in [Metric::Loss, Metric::Accuracy, Metric::Error, Metric::Auc] {
            let cost = |m| metric.cost(metric.of(m).expect("applies"));
            assert!(cost(&good) < cost(&bad), "{metric:?}");
        }
        assert_eq!(Metric::Rmse.of(&good), None);
        assert_eq!(Metric::Loss.of(&Metrics { loss: f64::NAN, ..Metrics::default() }), None);
    }
}

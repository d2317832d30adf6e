//! A number's mean and deviation over some fits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::Metrics;

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
}

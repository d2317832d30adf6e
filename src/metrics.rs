//! Metrics of a set of predictions.

mod eval_metric;

pub use eval_metric::EvalMetric;

use ndarray::{Array2, CowArray, Ix2};
use serde::{Deserialize, Serialize};

use crate::config::Loss;
use crate::data::{Targets, UNKNOWN_CLASS};
use crate::outcome::Outcome;

/// Metrics of one set of rows; what does not apply to the task is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Mean training loss (for regression ½(ŷ − y)² in the user's unit, squared).
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// −log of the predicted probability of the label; absent for hinge and regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<f64>,
    /// Fraction of rows predicted right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Unweighted mean over the classes of the F1 score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// Area under the ROC curve, binary only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
    /// Root mean squared error, user's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Mean absolute error, user's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// Coefficient of determination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

/// Measures the scores ŷ `[n, C]` of a set of rows against its targets `[n]`.
///
/// Sums are taken in f64 and in row order: the same scores give the same bits. A row of a class
/// that training never saw counts as wrong; losses and AUC are over the other rows, and NaN
/// where there is none.
pub fn compute(outcome: &Outcome, scores: &Array2<f32>, targets: &Targets) -> Metrics {
    let mut tally = Tally::new(outcome, Some(mean(targets)));
    tally.add(scores, targets);
    tally.metrics()
}

/// Mean of the values of a regression; 0 for classes.
pub(crate) fn mean(targets: &Targets) -> f64 {
    match targets {
        Targets::Classes(_) => 0.0,
        Targets::Values(values) => mean_of(values),
    }
}

fn mean_of(values: &[f32]) -> f64 {
    values.iter().map(|&y| f64::from(y)).sum::<f64>() / values.len() as f64
}

/// The metrics of rows that come in parts; the same bits as those of all at once.
pub struct Tally<'a> {
    outcome: &'a Outcome,
    /// Mean of the values of all rows, where it is known.
    mean: Option<f64>,
    rows: u64,
    loss: f64,
    of: Sums,
}

/// What is summed beside the loss.
enum Sums {
    Nothing,
    Values(ValueSums),
    Classes(ClassSums),
}

#[derive(Default)]
struct ValueSums {
    squares: f64,
    absolutes: f64,
    spread: f64,
    /// All values, while their mean is not known.
    values: Vec<f32>,
}

#[derive(Default)]
struct ClassSums {
    counts: Vec<Counts>,
    log_loss: f64,
    known: u64,
    right: u64,
    /// Score of each row of a known class, and whether it is positive; binary only, for the AUC.
    scored: Option<Vec<(f32, bool)>>,
}

impl<'a> Tally<'a> {
    /// Of no rows so far; `mean` is that of the values of all rows, for a regression. Without it, their values
    /// are kept.
    pub fn new(outcome: &'a Outcome, mean: Option<f64>) -> Self {
        Self { outcome, mean, rows: 0, loss: 0.0, of: Sums::Nothing }
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that are kept of the rows so far.
    pub fn bytes(&self) -> u64 {
        match &self.of {
            Sums::Nothing => 0,
            Sums::Values(sums) => size_of_val(&sums.values[..]) as u64,
            Sums::Classes(sums) => {
                sums.scored.as_ref().map_or(0, |all| size_of_val(&all[..]) as u64)
            }
        }
    }

    /// Adds the next rows: their scores `[n, C]` and targets `[n]`.
    pub fn add(&mut self, scores: &Array2<f32>, targets: &Targets) {
        let scores = scores.as_standard_layout();
        if let Sums::Nothing = self.of {
            self.of = match targets {
                Targets::Values(_) => Sums::Values(ValueSums::default()),
                Targets::Classes(_) => Sums::Classes(ClassSums {
                    counts: vec![Counts::default(); scores.ncols().max(2)],
                    scored: (scores.ncols() == 1).then(Vec::new),
                    ..ClassSums::default()
                }),
            };
        }
        self.rows += scores.nrows() as u64;
        let (outcome, loss) = (self.outcome, &mut self.loss);
        match (&mut self.of, targets) {
            (Sums::Values(sums), Targets::Values(values)) => {
                sums.add(outcome, self.mean, &scores, values, loss);
            }
            (Sums::Classes(sums), Targets::Classes(classes)) => {
                sums.add(outcome, &scores, classes, loss);
            }
            _ => {}
        }
    }

    /// The metrics of all rows that were added.
    pub fn metrics(self) -> Metrics {
        let n = self.rows as f64;
        match self.of {
            Sums::Nothing => Metrics { loss: f64::NAN, ..Metrics::default() },
            Sums::Values(sums) => sums.metrics(self.loss, n),
            Sums::Classes(sums) => sums.metrics(self.outcome, self.loss, n),
        }
    }
}

impl ValueSums {
    fn add(
        &mut self,
        outcome: &Outcome,
        mean: Option<f64>,
        scores: &CowArray<f32, Ix2>,
        values: &[f32],
        loss: &mut f64,
    ) {
        for (row, &y) in rows_of(scores).zip(values) {
            let y = f64::from(y);
            *loss += 0.5 * (f64::from(outcome.unclamped(row)) - y).powi(2);
            let error = f64::from(outcome.value(row)) - y;
            self.squares += error * error;
            self.absolutes += error.abs();
        }
        match mean {
            Some(mean) => self.spread(values, mean),
            None => self.values.extend_from_slice(values),
        }
    }

    /// Adds the squared deviations of some values.
    fn spread(&mut self, values: &[f32], mean: f64) {
        values.iter().for_each(|&y| self.spread += (f64::from(y) - mean).powi(2));
    }

    fn metrics(mut self, loss: f64, n: f64) -> Metrics {
        let values = std::mem::take(&mut self.values);
        self.spread(&values, mean_of(&values));
        let Self { squares, absolutes, spread, .. } = self;
        // As scikit-learn: a constant target is explained either wholly or not at all.
        let r2 = match (spread > 0.0, squares > 0.0) {
            (true, _) => 1.0 - squares / spread,
            (false, false) => 1.0,
            (false, true) => 0.0,
        };
        Metrics {
            loss: loss / n,
            rmse: Some((squares / n).sqrt()),
            mae: Some(absolutes / n),
            r2: Some(r2),
            ..Metrics::default()
        }
    }
}

impl ClassSums {
    fn add(
        &mut self,
        outcome: &Outcome,
        scores: &CowArray<f32, Ix2>,
        classes: &[u32],
        loss: &mut f64,
    ) {
        let mut logs = Vec::with_capacity(self.counts.len());
        for (row, &class) in rows_of(scores).zip(classes) {
            let predicted = outcome.class(row);
            self.counts[predicted as usize].predicted += 1;
            if class == UNKNOWN_CLASS {
                continue;
            }
            self.known += 1;
            let count = &mut self.counts[class as usize];
            count.actual += 1;
            if predicted == class {
                count.right += 1;
                self.right += 1;
            }
            let log = outcome.log_probabilities(row, &mut logs).map_or(0.0, |l| l[class as usize]);
            *loss += outcome.class_loss(row, class, log);
            self.log_loss -= log;
            if let Some(scored) = &mut self.scored {
                scored.push((row[0], class == 1));
            }
        }
    }

    fn metrics(self, outcome: &Outcome, loss: f64, n: f64) -> Metrics {
        let known = self.known as f64;
        Metrics {
            loss: loss / known,
            log_loss: (outcome.loss != Loss::Hinge).then_some(self.log_loss / known),
            accuracy: Some(self.right as f64 / n),
            macro_f1: Some(macro_f1(&self.counts)),
            auc: self.scored.and_then(auc),
            ..Metrics::default()
        }
    }
}

/// The scores of each row.
fn rows_of<'a>(scores: &'a CowArray<f32, Ix2>) -> impl Iterator<Item = &'a [f32]> {
    scores.as_slice().unwrap_or_default().chunks_exact(scores.ncols().max(1))
}

/// Rows of one class: how many there are, were predicted, and were predicted right.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    actual: u64,
    predicted: u64,
    right: u64,
}

/// Mean F1 over the classes that occur among labels or predictions (as scikit-learn).
fn macro_f1(counts: &[Counts]) -> f64 {
    let scores: Vec<f64> = counts
        .iter()
        .filter(|c| c.actual + c.predicted > 0)
        .map(|c| 2.0 * c.right as f64 / (c.actual + c.predicted) as f64)
        .collect();
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// Chance that a positive row scores above a negative one, ties counting half (Mann-Whitney).
/// `None` unless there are rows of both classes.
fn auc(mut rows: Vec<(f32, bool)>) -> Option<f64> {
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = rows.iter().filter(|row| row.1).count() as f64;
    let negatives = rows.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut wins, mut negatives_below) = (0.0, 0.0);
    // `==` and not the total order: −0 and 0 are the same score.
    for ties in rows.chunk_by(|a, b| a.0 == b.0) {
        let positive = ties.iter().filter(|row| row.1).count() as f64;
        let negative = ties.len() as f64 - positive;
        wins += positive * (negatives_below + 0.5 * negative);
        negatives_below += negative;
    }
    Some(wins / (positives * negatives))
}

/// JSON has no NaN and writes null; a model whose metric was NaN must still load.
fn nan_if_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetScale;
    use ndarray::arr2;

    fn outcome(loss: Loss) -> Outcome {
        Outcome { loss, target_scale: TargetScale::default(), range: None }
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("the metric applies");
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn binary_metrics_equal_hand_values() {
        let scores = arr2(&[[2.0], [-1.0], [0.5], [-0.5]]);
        let m = compute(&outcome(Loss::Logistic), &scores, &Targets::Classes(vec![1, 0, 0, 1]));
        // softplus of -2, -1, .5, .5
        let expected = (0.126_928_0 + 0.313_261_7 + 2.0 * 0.974_077_0) / 4.0;
        near(Some(m.loss), expected);
        near(m.log_loss, expected);
        near(m.accuracy, 0.5);
        near(m.macro_f1, 0.5);
        near(m.auc, 0.75);
        assert_eq!(m.rmse, None);
    }

    #[test]
    fn tied_scores_count_half_in_the_auc() {
        let scores = arr2(&[[0.3], [0.3], [0.3], [0.9]]);
        let m = compute(&outcome(Loss::Logistic), &scores, &Targets::Classes(vec![0, 1, 0, 1]));
        near(m.auc, 0.75);
        let flat = arr2(&[[0.0], [-0.0]]);
        let m = compute(&outcome(Loss::Logistic), &flat, &Targets::Classes(vec![0, 1]));
        near(m.auc, 0.5);
    }

    #[test]
    fn one_vs_rest_sums_the_losses_and_normalises_the_probabilities() {
        let scores = arr2(&[[0.0, 1.0, 2.0]]);
        let m = compute(&outcome(Loss::Ovr), &scores, &Targets::Classes(vec![1]));
        near(Some(m.loss), std::f64::consts::LN_2 + 0.313_261_7 + 2.126_928_0);
        near(m.log_loss, -(0.346_168_7_f64.ln()));
        near(m.accuracy, 0.0);
    }

    #[test]
    fn hinge_has_no_log_loss() {
        let scores = arr2(&[[0.25], [3.0]]);
        let m = compute(&outcome(Loss::Hinge), &scores, &Targets::Classes(vec![0, 1]));
        near(Some(m.loss), 0.625);
        assert_eq!(m.log_loss, None);
    }

    #[test]
    fn a_class_that_training_never_saw_is_wrong_and_has_no_loss() {
        let scores = arr2(&[[2.0, 0.0], [2.0, 0.0]]);
        let classes = Targets::Classes(vec![0, UNKNOWN_CLASS]);
        let m = compute(&outcome(Loss::Softmax), &scores, &classes);
        near(m.accuracy, 0.5);
        near(Some(m.loss), 0.126_928_0);
        near(m.macro_f1, 2.0 / 3.0);
    }

    #[test]
    fn regression_is_measured_in_the_users_unit() {
        let outcome = Outcome {
            loss: Loss::Squared,
            target_scale: TargetScale { mean: 3.0, deviation: 2.0 },
            range: Some((1.0, 5.0)),
        };
        // Predictions 3, 7 clamped to 5, 2.
        let scores = arr2(&[[0.0], [2.0], [-0.5]]);
        let m = compute(&outcome, &scores, &Targets::Values(vec![4.0, 5.0, 2.0]));
        near(Some(m.loss), (0.5 + 2.0) / 3.0);
        near(m.rmse, (1.0_f64 / 3.0).sqrt());
        near(m.mae, 1.0 / 3.0);
        near(m.r2, 1.0 - 1.0 / (14.0 / 3.0));
    }

    #[test]
    fn a_metric_that_is_not_a_number_survives_json() {
        let m = Metrics { loss: f64::NAN, log_loss: Some(f64::NAN), ..Metrics::default() };
        let text = serde_json::to_string(&m).expect("serialises");
        let back: Metrics = serde_json::from_str(&text).expect("reads back");
        assert!(back.loss.is_nan() && back.log_loss.is_none(), "{text}");
    }
}

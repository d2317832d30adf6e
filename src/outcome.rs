//! What raw scores mean: classes, probabilities, values in the user's unit.

use std::path::Path;

use crate::config::Loss;
use crate::error::{Error, Place, Result};
use crate::model::{Model, TargetScale};

/// Turns a row's scores ŷ `[C]` into what the user asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Loss the scores were trained with.
    pub loss: Loss,
    /// Unit of a regression; 0 and 1 for classes.
    pub target_scale: TargetScale,
    /// Smallest and largest training target, where predictions are to stay between them.
    pub range: Option<(f32, f32)>,
}

impl Outcome {
    /// The outcome of a model's scores.
    pub fn of(model: &Model) -> Self {
        Self {
            loss: model.config.loss,
            target_scale: model.target_scale,
            range: model.labels.clamp().map(Into::into),
        }
    }

    /// Refuses a row whose scores, or the value they stand for, single precision does not hold: nothing
    /// follows from them. `row` is its number in `file`, from 1.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn check(&self, scores: &[f32], row: u64, file: &Path) -> Result<()> {
        let value = (self.loss == Loss::Squared).then(|| self.unclamped(scores));
        let Some(wrong) = scores.iter().copied().chain(value).find(|score| !score.is_finite())
        else {
            return Ok(());
        };
        let message = format!(
            "row {row} scores {wrong}: a feature is far beyond those of training; mend it, or train with \
             --clip, which limits scaled features"
        );
        Err(Error::data(Place::file(file), message))
    }

    /// The class a row is predicted as. Binary: 1 where the score is above 0. The lowest class
    /// wins a tie.
    pub fn class(&self, scores: &[f32]) -> u32 {
        if scores.len() == 1 {
            return u32::from(scores[0] > 0.0);
        }
        let mut best = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[best] {
                best = class;
            }
        }
        best as u32
    }

    /// The predicted value of a regression in the user's unit, within the range of the training
    /// targets.
    pub fn value(&self, scores: &[f32]) -> f32 {
        let value = self.unclamped(scores);
        self.range.map_or(value, |(low, high)| value.clamp(low, high))
    }

    /// [`Outcome::value`] without the clamp: what the squared loss looks at.
    pub fn unclamped(&self, scores: &[f32]) -> f32 {
        self.target_scale.mean + self.target_scale.deviation * scores[0]
    }

    /// Logarithms of the class probabilities `[n_classes]`, written into `logs`; binary has two.
    ///
    /// Logistic: the sigmoid. Softmax: itself. One-vs-rest: each class's sigmoid over their sum.
    /// Hinge and squared losses have no probabilities: `None`.
    pub fn log_probabilities<'a>(
        &self,
        scores: &[f32],
        logs: &'a mut Vec<f64>,
    ) -> Option<&'a [f64]> {
        logs.clear();
        match self.loss {
            Loss::Logistic => {
                let score = f64::from(scores[0]);
                logs.extend([-softplus(score), -softplus(-score)]);
                return Some(logs);
            }
            Loss::Softmax => logs.extend(scores.iter().map(|&s| f64::from(s))),
            Loss::Ovr => logs.extend(scores.iter().map(|&s| -softplus(-f64::from(s)))),
            Loss::Squared | Loss::Hinge => return None,
        }
        // The largest first: beside a large one the logarithm of the sum would be lost.
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logs.iter_mut().for_each(|log| *log -= most);
        let norm = logs.iter().map(|log| log.exp()).sum::<f64>().ln();
        logs.iter_mut().for_each(|log| *log -= norm);
        Some(logs)
    }

    /// Class probabilities `[n_classes]` of a row; `None` for hinge and squared losses.
    pub fn probabilities(&self, scores: &[f32]) -> Option<Vec<f64>> {
        let mut logs = Vec::with_capacity(scores.len().max(2));
        self.log_probabilities(scores, &mut logs)?;
        logs.iter_mut().for_each(|log| *log = log.exp());
        Some(logs)
    }

    /// Training loss of a row of class `class`; not for [`Loss::Squared`].
    pub(crate) fn class_loss(&self, scores: &[f32], class: u32, log: f64) -> f64 {
        let sign = |hit: bool| if hit { 1.0 } else { -1.0 };
        match self.loss {
            Loss::Hinge => (1.0 - sign(class == 1) * f64::from(scores[0])).max(0.0),
            Loss::Ovr => scores
                .iter()
                .enumerate()
                .map(|(c, &s)| softplus(-sign(c == class as usize) * f64::from(s)))
                .sum(),
            Loss::Logistic | Loss::Softmax | Loss::Squared => -log,
        }
    }
}

/// log(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(loss: Loss) -> Outcome {
        Outcome { loss, target_scale: TargetScale::default(), range: None }
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn binary_has_two_probabilities_the_positive_last() {
        let p = outcome(Loss::Logistic).probabilities(&[1.5]);
        near(&p.expect("logistic has probabilities"), &[0.182_425_5, 0.817_574_5]);
    }

    #[test]
    fn softmax_and_one_vs_rest_sum_to_one_even_at_extreme_scores() {
        for loss in [Loss::Softmax, Loss::Ovr] {
            for scores in
                [[0.0, 1.0, 2.0], [-900.0, 900.0, 0.0], [-500.0, -600.0, -700.0], [-1e38; 3]]
            {
                let p = outcome(loss).probabilities(&scores).expect("probabilities");
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{loss:?} {p:?}");
            }
        }
        let p = outcome(Loss::Softmax).probabilities(&[0.0, 1.0, 2.0]);
        near(&p.expect("softmax"), &[0.090_030_6, 0.244_728_5, 0.665_240_9]);
        // Sigmoids .5, .7310586, .8807971 over their sum 2.1118557.
        let p = outcome(Loss::Ovr).probabilities(&[0.0, 1.0, 2.0]);
        near(&p.expect("ovr"), &[0.236_758_5, 0.346_168_7, 0.417_072_9]);
    }

    #[test]
    fn values_are_in_the_users_unit_and_range() {
        let outcome = Outcome {
            loss: Loss::Squared,
            target_scale: TargetScale { mean: 3.5, deviation: 2.0 },
            range: Some((1.0, 5.0)),
        };
        assert_eq!(outcome.value(&[-0.5]), 2.5);
        assert_eq!(outcome.value(&[4.0]), 5.0);
        assert_eq!(outcome.unclamped(&[4.0]), 11.5);
        assert_eq!(outcome.probabilities(&[0.0]), None);
    }

    #[test]
    fn the_lowest_class_wins_a_tie() {
        assert_eq!(outcome(Loss::Softmax).class(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(outcome(Loss::Logistic).class(&[0.0]), 0);
    }
}

//! Successive halving (Jamieson and Talwalkar 2016): most epochs for the points that earn them.
//!
//! Every point is trained for a few epochs; the best one in η goes on with η times as many, until the
//! epochs that were asked for are reached. Each rung trains from the start. A model of the rung before
//! cannot be trained on: the cosine schedule brings its rates to 0 at its own last epoch, so that
//! model is finished, and one stopped at the same epoch of a longer run would be another, worse one.
//! What the first rungs cost again is small: they are a 1/η, 1/η², … of the last one.

use crate::error::{Error, Result};
use crate::metrics::EvalMetric;

/// How epochs grow and points become fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halving {
    /// η, at least 2: one point in so many goes on, for as many times the epochs.
    pub eta: usize,
    /// Epochs of the first rung, at least 1.
    pub min_epochs: usize,
}

impl Halving {
    /// Epochs of each rung: `min_epochs`·η^r below `epochs`, and `epochs`.
    ///
    /// # Errors
    /// [`Error::Usage`] where there would be fewer than two rungs, or η is below 2.
    pub fn rungs(self, epochs: usize) -> Result<Vec<usize>> {
        if self.eta < 2 {
            return Err(Error::Usage(format!("--halving must be at least 2, found {}", self.eta)));
        }
        if self.min_epochs == 0 || self.min_epochs >= epochs {
            return Err(Error::Usage(format!(
                "--min-epochs must be at least 1 and below the {epochs} epochs of the last rung, found \
                 {}",
                self.min_epochs
            )));
        }
        let grow = |&last: &usize| last.checked_mul(self.eta);
        let below = std::iter::successors(Some(self.min_epochs), grow).take_while(|&e| e < epochs);
        Ok(below.chain([epochs]).collect())
    }

    /// The points that go on, sorted: the best ⌊n/η⌋ of n, at least one, of those that have a
    /// score. Of equal ones the lower number.
    pub fn survivors(self, scores: &[(usize, Option<f64>)], metric: EvalMetric) -> Vec<usize> {
        let keep = (scores.len() / self.eta).max(1);
        let mut best = ranked(scores, metric);
        best.truncate(keep);
        best.sort_unstable();
        best
    }
}

/// The points that have a score, best first; of equal ones the lower number.
pub fn ranked(scores: &[(usize, Option<f64>)], metric: EvalMetric) -> Vec<usize> {
    let mut all: Vec<(f64, usize)> =
        scores.iter().filter_map(|&(point, score)| Some((metric.cost(score?), point))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_grow_by_eta_and_end_at_the_epochs_asked_for() {
        let rungs = |eta, min_epochs, epochs| Halving { eta, min_epochs }.rungs(epochs).ok();
        assert_eq!(rungs(3, 2, 30), Some(vec![2, 6, 18, 30]));
        assert_eq!(rungs(2, 4, 16), Some(vec![4, 8, 16]));
        assert_eq!(rungs(4, 1, 2), Some(vec![1, 2]));
        for (eta, least, epochs) in [(1, 1, 9), (2, 0, 9), (2, 9, 9), (2, 10, 9)] {
            assert_eq!(rungs(eta, least, epochs), None);
        }
    }

    #[test]
    fn the_best_go_on_and_ties_are_decided_by_number() {
        let halving = Halving { eta: 2, min_epochs: 1 };
        let scores = [(4, Some(0.5)), (2, Some(0.5)), (1, None), (3, Some(0.9)), (0, Some(0.5))];
        assert_eq!(halving.survivors(&scores, EvalMetric::Loss), [0, 2]);
        assert_eq!(halving.survivors(&scores, EvalMetric::Accuracy), [0, 3]);
        assert_eq!(halving.survivors(&[(7, Some(1.0))], EvalMetric::Loss), [7]);
        assert_eq!(halving.survivors(&[(7, None)], EvalMetric::Loss), [0; 0]);
        assert_eq!(ranked(&scores, EvalMetric::Loss), [0, 2, 4, 3]);
    }
}

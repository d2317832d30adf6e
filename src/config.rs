//! What a training run is: every setting resolved to a value, and checked.
//!
//! [`Settings`](crate::settings::Settings) is what a user typed; [`defaults`] fills the rest from
//! the shape of the data; [`TrainConfig`] is the result, and is what the model file keeps.

pub mod defaults;
pub mod resume;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::error::{Error, Result};
use crate::metrics::EvalMetric;

/// A model family of the paper, naming a coding and what is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One global factorization machine (Rendle 2010), the baseline.
    Fm,
    /// Fixed k-means anchors, soft assignment (LLFM-DO).
    LlfmDo,
    /// Learned anchors, soft assignment (LLFM-APL).
    LlfmApl,
    /// Learned anchors, adaptive number of neighbours (LLFM-JO).
    LlfmJo,
}

/// How a row is spread over its nearest anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    /// One anchor with weight 1: a plain factorization machine.
    #[value(skip)]
    Single,
    /// Greedy λ solver (paper, Algorithm 1): how many anchors, and their weights.
    Adaptive,
    /// Softmax of the negative distances over a fixed number of neighbours (paper, eq. 3).
    Soft,
    /// Inverse distance over a fixed number of neighbours (Ladicky and Torr 2011).
    Inverse,
}

/// A group of parameters learned beside the factorization machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnPart {
    /// Nothing: anchors, coding and metric stay as they were seeded.
    None,
    /// The anchor points z.
    Anchors,
    /// A Lipschitz constant (or inverse bandwidth) per anchor, as its logarithm.
    Lipschitz,
    /// A diagonal metric shared by all anchors, as its logarithm.
    Metric,
    /// A scale per anchor and feature.
    Scale,
}

/// Which groups are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learn {
    /// The anchor points z.
    pub anchors: bool,
    /// log L per anchor.
    pub lipschitz: bool,
    /// Diagonal metric τ.
    pub metric: bool,
    /// Scale t per anchor and feature.
    pub scale: bool,
}

/// Loss of a row given its scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// softplus(−yŷ), y = ±1.
    Logistic,
    /// Cross entropy of the softmax over the classes.
    Softmax,
    /// Sum over the classes of logistic losses, anchors shared (the paper's).
    Ovr,
    /// ½(ŷ − y)².
    Squared,
    /// max(0, 1 − yŷ), y = ±1.
    Hinge,
}

/// Distance between a row and an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// Squared Euclidean (the paper's).
    #[value(name = "sqeuclidean")]
    SqEuclidean,
    /// Euclidean.
    Euclidean,
}

/// First-order update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Plain stochastic gradient descent.
    Sgd,
    /// AdaGrad (Duchi, Hazan, Singer 2011).
    #[value(name = "adagrad")]
    AdaGrad,
    /// Adam (Kingma and Ba 2015), β 0.9 and 0.999, with decoupled decay (AdamW).
    Adam,
}

/// How the rates change over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// rate · t₀/(t + t₀), t the rows seen so far: the paper's ρ/(t + t₀) with ρ = rate · t₀.
    Inverse,
    /// Half a cosine, from the rate down to 0 at the last step.
    Cosine,
}

/// A training run, every setting decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Method the coding and `learn` were derived from.
    pub method: Method,
    /// How rows are spread over anchors.
    pub coding: Coding,
    /// What is learned beside the factorization machines.
    pub learn: Learn,
    /// What is predicted.
    pub task: Task,
    /// Loss of a row.
    pub loss: Loss,
    /// Number of anchors m.
    pub anchors: usize,
    /// Number of factors d of each factorization machine; 0 leaves linear models.
    pub factors: usize,
    /// Neighbours k of soft and inverse coding.
    pub neighbors: usize,
    /// Initial L: a multiplier of the distance; `None` calibrates it to `target_active`.
    pub lipschitz: Option<f64>,
    /// Mean number of active anchors the calibration aims at.
    pub target_active: f64,
    /// Distance to the anchors.
    pub distance: Distance,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Step size of every parameter but the anchors.
    pub learning_rate: f64,
    /// Step size of the anchors.
    pub anchor_rate: f64,
    /// How both rates change.
    pub schedule: Schedule,
    /// t₀ of the inverse schedule, in rows.
    pub t0: f64,
    /// Rows per step b.
    pub batch_size: usize,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Epochs without a better `eval_metric` before training stops.
    pub patience: Option<usize>,
    /// Metric of the validation rows that chooses the best epoch; models from before it have the loss.
    #[serde(default)]
    pub eval_metric: EvalMetric,
    /// Coupled L2 penalty on linear weights and factors, ½·l2·‖θ‖² per batch mean.
    pub l2: f64,
    /// Share ε of every label that is spread over the classes alike; it follows the schedule of the rates.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Probability q of each anchor to be hidden from a row in a training step.
    #[serde(default)]
    pub anchor_dropout: f64,
    /// Decoupled decay of linear weights and factors, relative to the rate.
    pub weight_decay: f64,
    /// Deviation of the initial factors.
    pub init_scale: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// Number of independently seeded models whose scores are averaged.
    pub ensemble: usize,
}

impl Learn {
    /// The set a list of parts names.
    pub fn from_parts(parts: &[LearnPart]) -> Self {
        let has = |part| parts.contains(&part);
        Self {
            anchors: has(LearnPart::Anchors),
            lipschitz: has(LearnPart::Lipschitz),
            metric: has(LearnPart::Metric),
            scale: has(LearnPart::Scale),
        }
    }

    /// Whether any group needs the gradient with respect to the distances.
    pub fn any(self) -> bool {
        self.anchors || self.lipschitz || self.metric || self.scale
    }
}

impl Loss {
    /// Output channels C for a number of classes.
    pub fn n_outputs(self, n_classes: usize) -> usize {
        match self {
            Self::Softmax | Self::Ovr => n_classes,
            Self::Logistic | Self::Hinge | Self::Squared => 1,
        }
    }

    /// Whether scores have probabilities, and labels may be smoothed.
    pub fn has_probabilities(self) -> bool {
        !matches!(self, Self::Hinge | Self::Squared)
    }

    fn suits(self, task: Task) -> bool {
        match task {
            Task::Binary => matches!(self, Self::Logistic | Self::Hinge),
            Task::Multiclass => matches!(self, Self::Softmax | Self::Ovr),
            Task::Regression => self == Self::Squared,
        }
    }
}

impl TrainConfig {
    /// Checks every value against its range and the settings against each other.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the flag, the value found and the values allowed.
    pub fn check(&self) -> Result<()> {
        self.check_ranges()?;
        ensure(self.loss.suits(self.task), || {
            format!(
                "--loss {} does not fit the task {}: use logistic or hinge for binary, softmax or \
                 ovr for multiclass, squared for regression",
                name_of(self.loss),
                name_of(self.task)
            )
        })?;
        ensure(self.label_smoothing == 0.0 || self.loss.has_probabilities(), || {
            format!(
                "--label-smoothing needs a loss of probabilities (logistic, softmax, ovr), not {}",
                name_of(self.loss)
            )
        })?;
        self.eval_metric.check(self.loss)
    }

    fn check_ranges(&self) -> Result<()> {
        // Counts first: the default rates follow from them.
        let counts = [
            ("--anchors", self.anchors, 65_536),
            ("--neighbors", self.neighbors, 65_536),
            ("--batch-size", self.batch_size, 1 << 24),
            ("--epochs", self.epochs, 1_000_000),
            ("--ensemble", self.ensemble, 1024),
            ("--patience", self.patience.unwrap_or(1), usize::MAX),
        ];
        for (flag, value, most) in counts {
            ensure((1..=most).contains(&value), || {
                format!("{flag} must be between 1 and {most}, found {value}")
            })?;
        }
        let positive = [
            ("--target-active", self.target_active),
            ("--learning-rate", self.learning_rate),
            ("--t0", self.t0),
            ("--lipschitz", self.lipschitz.unwrap_or(1.0)),
        ];
        for (flag, value) in positive {
            ensure((1e-30..=1e30).contains(&value), || {
                format!("{flag} must be between 1e-30 and 1e30, found {value}")
            })?;
        }
        let non_negative = [
            ("--anchor-rate", self.anchor_rate),
            ("--l2", self.l2),
            ("--weight-decay", self.weight_decay),
            ("--init-scale", self.init_scale),
        ];
        for (flag, value) in non_negative {
            ensure((0.0..=1e30).contains(&value), || {
                format!("{flag} must be between 0 and 1e30, found {value}")
            })?;
        }
        ensure(self.factors <= 4096, || {
            format!("--factors must be between 0 and 4096, found {}", self.factors)
        })?;
        ensure(self.target_active >= 1.0, || {
            format!("--target-active must be at least 1, found {}", self.target_active)
        })?;
        let shares = [
            ("--label-smoothing", self.label_smoothing),
            ("--anchor-dropout", self.anchor_dropout),
        ];
        for (flag, value) in shares {
            ensure((0.0..1.0).contains(&value), || {
                format!("{flag} must be from 0 to below 1, found {value}")
            })?;
        }
        Ok(())
    }
}

/// The name a value has on the command line.
pub fn name_of<T: ValueEnum + Copy>(value: T) -> String {
    value.to_possible_value().map_or_else(|| "single".into(), |v| v.get_name().to_owned())
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Usage(message())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn settings_from_before_some_could_be_chosen_still_load() {
        let shape = defaults::DataShape {
            rows: 100,
            features: 2,
            nonzeros: 200,
            sparse: false,
            classes: 2,
            task: Task::Binary,
        };
        let config = defaults::resolve(&Settings::default(), &shape).expect("defaults are valid");
        let mut json = serde_json::to_value(&config).expect("serialises");
        let fields = json.as_object_mut().expect("an object");
        assert_eq!(fields.remove("eval_metric"), Some("loss".into()));
        assert_eq!(fields.remove("anchor_dropout"), Some(0.0.into()));
        let back: TrainConfig = serde_json::from_value(json).expect("reads back");
        assert_eq!(back, config);
    }
}

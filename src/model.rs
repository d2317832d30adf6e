//! A trained model: how rows are prepared, how they are scored, what the scores mean.

mod file;
mod fingerprint;
pub mod parameters;

pub use file::{FORMAT_VERSION, check_length};
pub(crate) use fingerprint::Fingerprint;
pub use fingerprint::{fingerprint, fingerprint_raw};
pub use parameters::Parameters;

use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::data::{LabelMap, Preprocess};

/// Everything prediction needs, and where it came from.
#[derive(Debug, Clone)]
pub struct Model {
    /// Settings of the run that made it.
    pub config: TrainConfig,
    /// How raw rows become features; fitted on the training rows.
    pub preprocess: Preprocess,
    /// Classes, or the range of the targets.
    pub labels: LabelMap,
    /// Mean and deviation by which regression targets were standardised; 0 and 1 for classes.
    pub target_scale: TargetScale,
    /// One set of parameters for each member of the ensemble.
    pub members: Vec<Parameters>,
    /// What was measured when it was trained.
    pub summary: Summary,
}

/// ŷ in the user's unit is `mean + deviation · score`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetScale {
    /// Mean of the training targets.
    pub mean: f32,
    /// Their population deviation.
    pub deviation: f32,
}

/// What training measured; no times, so that the same run writes the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Training rows n.
    pub rows: usize,
    /// Stored entries of the training rows.
    pub nonzeros: usize,
    /// SHA-256 over the training features and targets, in hexadecimal.
    pub data_fingerprint: String,
    /// Epoch (from 1) each member was taken from.
    pub best_epochs: Vec<usize>,
    /// Mean number of active anchors of a training row.
    pub mean_active: f64,
    /// Share of the training rows' weight γ that each anchor of the first member carries `[m]`.
    pub anchor_share: Vec<f64>,
    /// Metrics by part (`train`, `valid`, `test`) and name.
    pub metrics: std::collections::BTreeMap<String, crate::metrics::Metrics>,
}

impl Default for TargetScale {
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0 }
    }
}

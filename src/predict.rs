//! Scoring rows with a trained model.

use ndarray::Array2;

use crate::backend::{Backend, Device, Scores};
use crate::config::{Loss, TrainConfig};
use crate::data::{Features, Targets, UNKNOWN_CLASS};
use crate::error::Result;
use crate::loss;
use crate::model::{Parameters, TargetScale};

/// Scores rows with the mean of an ensemble's members.
pub struct Scorer {
    members: Vec<Box<dyn Backend>>,
}

impl Scorer {
    /// A scorer for rows stored as the training rows were.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the model does not fit the GPU.
    pub fn new(
        members: &[Parameters],
        config: &TrainConfig,
        sparse: bool,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self { members: device.scorers(members, config, sparse)? })
    }

    /// Mean raw scores ŷ `[n, C]` over the members, with the first member's use of its anchors.
    ///
    /// # Errors
    /// Whatever the backend reports.
    pub fn score(&mut self, features: &Features) -> Result<Scores> {
        let (first, rest) = self.members.split_first_mut().expect("a model has a member");
        let mut scores = first.score(features)?;
        for member in rest.iter_mut() {
            scores.outputs += &member.score(features)?.outputs;
        }
        scores.outputs /= (rest.len() + 1) as f32;
        Ok(scores)
    }
}

/// Mean training loss of raw scores `[n, C]` over the rows whose class is known; for regression in
/// the user's unit, squared.
pub fn mean_loss(
    kind: Loss,
    outputs: &Array2<f32>,
    targets: &Targets,
    target_scale: TargetScale,
) -> f64 {
    let mut scores = vec![0.0; outputs.ncols()];
    let (mut sum, mut rows) = (0.0_f64, 0_u64);
    for (r, row) in outputs.rows().into_iter().enumerate() {
        scores.iter_mut().zip(row).for_each(|(score, output)| *score = *output);
        let value = match targets {
            Targets::Classes(classes) if classes[r] == UNKNOWN_CLASS => continue,
            Targets::Classes(classes) => f64::from(loss::class_loss(kind, &mut scores, classes[r])),
            Targets::Values(values) => {
                // The square of a large unit does not fit f32.
                let unit = f64::from(target_scale.deviation);
                let target = (values[r] - target_scale.mean) / target_scale.deviation;
                f64::from(loss::squared(&mut scores, target)) * unit * unit
            }
        };
        sum += value;
        rows += 1;
    }
    sum / rows.max(1) as f64
}

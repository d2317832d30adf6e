//! Whether the parts of a model file, each valid alone, describe the same model.
//!
//! A checksum tells damage, not forgery: whatever is let through here must never crash a command.

use super::tensors::Shape;
use crate::config::Coding;
use crate::data::{LabelMap, Task};
use crate::model::Model;

type Check = std::result::Result<(), String>;

impl Model {
    /// Refuses metadata and tensors that contradict each other.
    pub(super) fn check(&self, shape: &Shape) -> Check {
        self.config
            .check()
            .map_err(|e| format!("the settings in the metadata are invalid: {e}"))?;
        // Fewer members than asked for are what an interrupted run leaves.
        if shape.anchors.len() > self.config.ensemble {
            return Err("the tensors have more ensemble members than the metadata say".into());
        }
        if !self.preprocess.is_consistent() {
            return Err("the preprocessing in the metadata contradicts itself".into());
        }
        let scale = self.target_scale;
        if !(scale.mean.is_finite() && scale.deviation.is_finite()) {
            return Err("the target scale in the metadata is not finite".into());
        }
        self.check_labels()?;
        self.check_anchors(shape)?;
        let outputs = self.config.loss.n_outputs(self.labels.n_classes());
        let pairs = [
            ("features", shape.features, self.preprocess.n_features()),
            ("outputs", shape.outputs, outputs),
            ("factors", shape.factors, self.config.factors),
        ];
        for (what, tensors, metadata) in pairs {
            if tensors != metadata {
                return Err(format!(
                    "the tensors have {tensors} {what}, the metadata say {metadata}: the file is \
                     inconsistent, train it again"
                ));
            }
        }
        Ok(())
    }

    /// Labels must be of the task; the settings have already made sure that the loss is.
    fn check_labels(&self) -> Check {
        let fits = match (&self.labels, self.config.task) {
            (LabelMap::Classes { names, .. }, Task::Binary) => names.len() == 2,
            // One class against the rest is a binary task.
            (LabelMap::Classes { names, rest }, Task::Multiclass) => names.len() >= 2 && !rest,
            (LabelMap::Values { .. }, Task::Regression) => true,
            _ => false,
        };
        if !fits {
            return Err("the labels in the metadata do not fit the task".into());
        }
        let range = self.labels.clamp();
        if range.is_some_and(|[low, high]| low.is_nan() || high.is_nan() || low > high) {
            return Err("the range of the values in the metadata is empty".into());
        }
        Ok(())
    }

    fn check_anchors(&self, shape: &Shape) -> Check {
        if shape.anchors.is_empty() || shape.anchors.contains(&0) {
            return Err("the tensors have a member without anchors".into());
        }
        // A single anchor suits every coding, but `single` knows only the first.
        if self.config.coding == Coding::Single && shape.anchors.iter().any(|&m| m != 1) {
            return Err("the tensors have several anchors, the coding in the metadata one".into());
        }
        let shares = self.summary.anchor_share.len();
        if shares != 0 && shares != shape.anchors[0] {
            return Err(format!(
                "the metadata have the shares of {shares} anchors, the tensors {} anchors",
                shape.anchors[0]
            ));
        }
        Ok(())
    }
}

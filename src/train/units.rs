//! The units in which regression targets are learned.

use crate::data::Targets;
use crate::error::Result;
use crate::model::TargetScale;

/// Weighted mean and deviation of regression targets; 0 and 1 for classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units {
    mean: f64,
    deviation: f64,
}

impl Default for Units {
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0 }
    }
}

impl From<TargetScale> for Units {
    fn from(scale: TargetScale) -> Self {
        Self { mean: f64::from(scale.mean), deviation: f64::from(scale.deviation) }
    }
}

/// A weighted sum of a function of the targets, and of the weights.
#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    total: f64,
}

impl Mean {
    fn add(&mut self, values: &[f32], weights: Option<&[f32]>, of: impl Fn(f64) -> f64) {
        for (i, &y) in values.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| f64::from(weights[i]));
            self.sum += weight * of(f64::from(y));
            self.total += weight;
        }
    }

    fn value(&self) -> f64 {
        // A sample of the rows may weigh nothing.
        if self.total > 0.0 { self.sum / self.total } else { 0.0 }
    }
}

/// Calls what it is given with the values of some rows and their weights, until all were seen.
pub(crate) type Values<'a> =
    &'a dyn Fn(&mut dyn FnMut(&[f32], Option<&[f32]>) -> Result<()>) -> Result<()>;

impl Units {
    /// Those of targets in memory; `weights` have a mean of 1.
    pub(crate) fn of(targets: &Targets, weights: Option<&[f32]>) -> Self {
        let Targets::Values(values) = targets else { return Self::default() };
        // What is in memory cannot fail to be read.
        Self::of_parts(&|each| each(values, weights)).unwrap_or_default()
    }

    /// Those of values that come in parts, and are gone over twice; the same bits.
    pub(crate) fn of_parts(values: Values<'_>) -> Result<Self> {
        let mut first = Mean::default();
        values(&mut |values, weights| {
            first.add(values, weights, |y| y);
            Ok(())
        })?;
        let mean = first.value();
        let mut second = Mean::default();
        values(&mut |values, weights| {
            second.add(values, weights, |y| (y - mean).powi(2));
            Ok(())
        })?;
        let variance = second.value();
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Ok(Self { mean, deviation })
    }

    /// As models keep them.
    pub(crate) fn scale(self) -> TargetScale {
        TargetScale { mean: self.mean as f32, deviation: self.deviation as f32 }
    }

    /// Regression targets in these units; none for classes.
    pub(crate) fn standardise(self, targets: &Targets) -> Vec<f32> {
        match targets {
            Targets::Classes(_) => Vec::new(),
            Targets::Values(values) => values
                .iter()
                .map(|&y| ((f64::from(y) - self.mean) / self.deviation) as f32)
                .collect(),
        }
    }
}

//! Shifts and scales features by what the training rows are like.

use serde::{Deserialize, Serialize};

use super::number;

/// How features are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// To mean 0 and population deviation 1; a constant feature becomes 0.
    Standard,
    /// To a greatest absolute value of 1; zeros stay zeros.
    Maxabs,
    /// Not at all.
    None,
}

/// What the training rows say about each feature, `[p]` each, zeros included.
#[derive(Debug)]
pub(crate) struct Stats {
    n_rows: usize,
    pub(crate) nonzeros: Vec<u32>,
    sums: Vec<f64>,
    least: Vec<f32>,
    greatest: Vec<f32>,
}

/// Bytes the statistics and the scaling take per feature.
pub(crate) const BYTES_PER_FEATURE: u64 = 4 + 8 + 4 + 4 + 8 + 8 + 8;

impl Stats {
    /// Of no values so far. Only non-zeros are added, so that dense and sparse rows take the very
    /// same steps and give the same bits.
    pub(crate) fn new(n_rows: usize, n_features: usize) -> Self {
        Self {
            n_rows,
            nonzeros: vec![0; n_features],
            sums: vec![0.0; n_features],
            least: vec![f32::INFINITY; n_features],
            greatest: vec![f32::NEG_INFINITY; n_features],
        }
    }

    /// Adds a value that is not zero.
    #[inline]
    pub(crate) fn add(&mut self, j: usize, value: f32) {
        self.nonzeros[j] += 1;
        self.sums[j] += f64::from(value);
        self.least[j] = self.least[j].min(value);
        self.greatest[j] = self.greatest[j].max(value);
    }

    /// Brings in the zeros, which were not added.
    pub(crate) fn finish(&mut self) {
        for j in 0..self.nonzeros.len() {
            if (self.nonzeros[j] as usize) < self.n_rows {
                self.least[j] = self.least[j].min(0.0);
                self.greatest[j] = self.greatest[j].max(0.0);
            }
        }
    }

    /// The mean of feature `j`.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    pub(crate) fn mean(&self, j: usize) -> f64 {
        self.sums[j] / self.n_rows as f64
    }
}

/// Shift and factor of each feature; fitted on the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub(crate) scale: Scale,
    /// `[p]`, in the feature's unit; empty: none. Model files have tensors for both lists; those of
    /// version 1 have them here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shifts: Vec<f64>,
    /// `[p]`, per unit of the feature; empty: one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) factors: Vec<f64>,
    /// Scaled values are kept within plus and minus this, which is always finite.
    limit: f32,
}

impl Scaling {
    /// All but the lists.
    pub(crate) fn without_numbers(&self) -> Self {
        Self { shifts: Vec::new(), factors: Vec::new(), ..*self }
    }

    /// Whether there are finite numbers for each of `p` features where the kind of scaling has them.
    pub(crate) fn fits(&self, p: usize) -> bool {
        let fits = |numbers: &[f64], any: bool| {
            numbers.len() == if any { p } else { 0 } && numbers.iter().all(|x| x.is_finite())
        };
        fits(&self.shifts, self.scale == Scale::Standard)
            && fits(&self.factors, self.scale != Scale::None)
            && self.limit > 0.0
    }

    /// No scaling, only the bound.
    pub(crate) fn none(clip: Option<f32>) -> Self {
        let limit = clip.unwrap_or(f32::MAX);
        Self { scale: Scale::None, shifts: Vec::new(), factors: Vec::new(), limit }
    }

    /// To a greatest absolute value of 1.
    pub(crate) fn maxabs(stats: &Stats, clip: Option<f32>) -> Self {
        let factor = |(&least, &greatest): (&f32, &f32)| {
            let most = f64::from(least.abs().max(greatest.abs()));
            if most > 0.0 { most.recip() } else { 0.0 }
        };
        let factors = stats.least.iter().zip(&stats.greatest).map(factor).collect();
        Self { scale: Scale::Maxabs, factors, ..Self::none(clip) }
    }

    /// To mean 0 and deviation 1. `squares` `[p]`: squared deviations from the mean, summed over
    /// the non-zeros.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    pub(crate) fn standard(stats: &Stats, squares: &[f64], clip: Option<f32>) -> Self {
        let n = stats.n_rows as f64;
        let shifts: Vec<f64> = (0..squares.len()).map(|j| stats.mean(j)).collect();
        let factor = |j: usize| {
            // Rounding of the mean would give a constant column a deviation.
            if stats.least[j] >= stats.greatest[j] {
                return 0.0;
            }
            let zeros = n - f64::from(stats.nonzeros[j]);
            let variance = (squares[j] + zeros * shifts[j] * shifts[j]) / n;
            if variance > 0.0 { variance.sqrt().recip() } else { 0.0 }
        };
        let factors = (0..squares.len()).map(factor).collect();
        Self { scale: Scale::Standard, shifts, factors, ..Self::none(clip) }
    }

    /// Whether there is a limit, or the largest value of training is 1.
    pub(crate) fn is_bounded(&self) -> bool {
        self.scale == Scale::Maxabs || self.limit < f32::MAX
    }

    /// Whether values stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.shifts.is_empty() && self.factors.is_empty() && self.limit >= f32::MAX
    }

    /// The scaled value of feature `j`, finite in any case.
    #[inline]
    pub(crate) fn apply(&self, j: usize, value: f32) -> f32 {
        let mut value = f64::from(value);
        if let Some(shift) = self.shifts.get(j) {
            value -= shift;
        }
        if let Some(factor) = self.factors.get(j) {
            value *= factor;
        }
        let limit = f64::from(self.limit);
        number::narrow(value.clamp(-limit, limit))
    }
}

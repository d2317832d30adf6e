//! What a training backend does, whatever it runs on.

pub(crate) mod cpu;

use ndarray::Array2;

use crate::config::TrainConfig;
use crate::data::Features;
use crate::error::Result;
use crate::model::Parameters;
pub use crate::optimizer::StepRates;

/// Runs training steps and scores rows with one model's parameters, wherever those live.
pub trait Backend {
    /// One step on the training rows `rows`: forward, gradient, update.
    fn step(&mut self, rows: &[u32], rates: StepRates) -> Result<()>;

    /// What the steps since the last call measured; forces the device to finish them.
    fn take_totals(&mut self) -> Result<Totals>;

    /// Scores of any rows under the current parameters.
    fn score(&mut self, features: &Features) -> Result<Scores>;

    /// The current parameters.
    fn parameters(&self) -> Result<Parameters>;
}

/// Sums over the rows of some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Rows seen.
    pub rows: u64,
    /// Σ loss of each row before its step, training units.
    pub loss: f64,
    /// (row, anchor) pairs of each anchor `[m]`.
    pub pairs: Vec<u64>,
}

/// Scores of a set of rows.
#[derive(Debug, Clone)]
pub struct Scores {
    /// ŷ `[n, C]`, raw; standardised for regression.
    pub outputs: Array2<f32>,
    /// Active (row, anchor) pairs.
    pub pairs: u64,
    /// Σγ of each anchor `[m]`.
    pub gamma: Vec<f64>,
}

/// Targets of the training rows, as the loss reads them.
#[derive(Debug, Clone, Copy)]
pub enum TrainTargets<'a> {
    /// Class of each row `[n]`.
    Classes(&'a [u32]),
    /// Standardised value of each row `[n]`.
    Values(&'a [f32]),
}

/// The training rows.
#[derive(Debug, Clone, Copy)]
pub struct TrainRows<'a> {
    /// `[n, p]`.
    pub features: &'a Features,
    /// `[n]`.
    pub targets: TrainTargets<'a>,
}

/// The CPU backend for the given rows' storage.
pub fn cpu<'a>(
    parameters: &Parameters,
    config: &TrainConfig,
    rows: TrainRows<'a>,
) -> Box<dyn Backend + 'a> {
    match rows.features {
        Features::Dense(_) => Box::new(cpu::Cpu::<cpu::Dense>::new(parameters, config, Some(rows))),
        Features::Sparse(_) => {
            Box::new(cpu::Cpu::<cpu::Sparse>::new(parameters, config, Some(rows)))
        }
    }
}

/// A backend that only scores.
pub fn cpu_scorer(parameters: &Parameters, config: &TrainConfig, sparse: bool) -> Box<dyn Backend> {
    if sparse {
        Box::new(cpu::Cpu::<cpu::Sparse>::new(parameters, config, None))
    } else {
        Box::new(cpu::Cpu::<cpu::Dense>::new(parameters, config, None))
    }
}

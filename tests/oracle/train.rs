//! Optimizers and step sizes.

use std::f64::consts::PI;

use super::gradient::gradient;
use super::params::{Kind, Params};
use super::{Spec, Target};

/// The update rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// θ −= rate·g.
    Sgd,
    /// A = Σ g² from 0; θ −= rate·g / (√A + 1e-8).
    AdaGrad,
    /// β = .9 and .999, both moments corrected for their start at 0, 1e-8 added to the root.
    Adam,
}

/// Step sizes and regularisation of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// For everything but the anchors.
    pub rate: f64,
    /// For the anchors Z.
    pub anchor_rate: f64,
    /// Coupled: the gradient of w and V grows by `l2`·θ.
    pub l2: f64,
    /// Decoupled, as in AdamW: w and V shrink by rate·`weight_decay`·θ before the step.
    pub weight_decay: f64,
}

/// A model, its optimizer and the optimizer's state.
#[derive(Clone, Debug)]
pub struct Trainer {
    pub params: Params,
    pub spec: Spec,
    pub optimizer: Optimizer,
    /// Steps taken, the same count for every parameter.
    pub steps: i32,
    first_moment: Params,
    /// Adam's running mean of g², AdaGrad's sum.
    second_moment: Params,
}

impl Trainer {
    /// A fresh optimizer around `params`.
    pub fn new(params: Params, spec: Spec, optimizer: Optimizer) -> Self {
        Self {
            first_moment: params.zeros_like(),
            second_moment: params.zeros_like(),
            steps: 0,
            params,
            spec,
            optimizer,
        }
    }

    /// One step on one batch. Every gradient is taken at the old parameters; every parameter moves,
    /// also one whose gradient is zero in this batch, by momentum and by decay.
    pub fn step(&mut self, rows: &[Vec<f64>], targets: &[Target], rates: &Rates) {
        let mut slopes = gradient(&self.params, &self.spec, rows, targets);
        self.steps += 1;
        let cells = self.params.cells_mut().into_iter();
        let cells = cells.zip(slopes.cells_mut());
        let cells = cells.zip(self.first_moment.cells_mut());
        let cells = cells.zip(self.second_moment.cells_mut());
        for ((((kind, theta), (_, slope)), (_, first)), (_, second)) in cells {
            let mut slope = *slope;
            if matches!(kind, Kind::Linear | Kind::Factor) {
                slope += rates.l2 * *theta;
                *theta -= rates.rate * rates.weight_decay * *theta;
            }
            let rate = match kind {
                Kind::Anchor => rates.anchor_rate,
                _ => rates.rate,
            };
            *theta -= rate * direction(self.optimizer, self.steps, slope, first, second);
        }
    }
}

/// What is multiplied by the rate.
fn direction(
    optimizer: Optimizer,
    steps: i32,
    slope: f64,
    first: &mut f64,
    second: &mut f64,
) -> f64 {
    match optimizer {
        Optimizer::Sgd => slope,
        Optimizer::AdaGrad => {
            *second += slope * slope;
            slope / (second.sqrt() + 1e-8)
        }
        Optimizer::Adam => {
            *first = 0.9 * *first + 0.1 * slope;
            *second = 0.999 * *second + 0.001 * slope * slope;
            let mean = *first / (1.0 - 0.9_f64.powi(steps));
            let mean_square = *second / (1.0 - 0.999_f64.powi(steps));
            mean / (mean_square.sqrt() + 1e-8)
        }
    }
}

/// How the rate falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// It does not.
    Constant,
    /// rate·t₀/(t + t₀), t the rows seen before the step; the paper's ρ is rate·t₀.
    Inverse { t0: f64 },
    /// rate·½(1 + cos(π·step/total)), steps counted from 0.
    Cosine { total_steps: usize },
}

/// The rate of one step.
pub fn schedule(kind: Schedule, rate: f64, rows_seen: usize, step: usize) -> f64 {
    match kind {
        Schedule::Constant => rate,
        Schedule::Inverse { t0 } => rate * t0 / (rows_seen as f64 + t0),
        Schedule::Cosine { total_steps } => {
            rate * 0.5 * (1.0 + (PI * step as f64 / total_steps as f64).cos())
        }
    }
}

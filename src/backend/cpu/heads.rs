//! The parameters of an anchor that no feature owns: bias and log L.

use crate::config::TrainConfig;
use crate::kernel::Shape;
use crate::kernel::anchor_update::{AnchorRates, Pull};
use crate::kernel::head_update::{bias_update, lipschitz_update};
use crate::kernel::pair_list::{PairList, RowChunk};
use crate::math::exp;
use crate::model::Parameters;
use crate::optimizer::{Moments, StepRates, Update};

use super::runs::{TaskMemory, run_tasks};
use super::{Step, Visit};

/// Pulls of one task.
const PULLS: usize = 1024;

/// Bias and log L of every anchor, and the settings of their updates.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    /// b `[m, C]`.
    pub(crate) bias: Vec<f32>,
    bias_moments: Moments,
    /// log L `[m]`.
    pub(crate) log_lipschitz: Vec<f32>,
    lipschitz_moments: Moments,
    /// L `[m]`.
    pub(crate) multipliers: Vec<f32>,
    config: TrainConfig,
    gradient: Vec<f32>,
}

impl Heads {
    /// Copies the heads out of `parameters`.
    pub(crate) fn new(parameters: &Parameters, config: &TrainConfig) -> Self {
        let rule = config.optimizer;
        let log_lipschitz = parameters.log_lipschitz.to_vec();
        Self {
            bias: parameters.bias.iter().copied().collect(),
            bias_moments: Moments::new(rule, parameters.bias.len()),
            multipliers: log_lipschitz.iter().map(|&l| exp(l)).collect(),
            lipschitz_moments: Moments::new(rule, log_lipschitz.len()),
            log_lipschitz,
            config: config.clone(),
            gradient: Vec::new(),
        }
    }

    /// Shows what is remembered from step to step.
    pub(crate) fn visit_memory(&mut self, visit: &mut Visit<'_>) {
        self.bias_moments.visit(["bias.first", "bias.second"], visit);
        self.lipschitz_moments.visit(["log_lipschitz.first", "log_lipschitz.second"], visit);
    }

    /// Update rule of the local models: the only one with penalties.
    pub(crate) fn fm_rates(&self, rates: StepRates) -> Update {
        self.rule(rates.step, rates.rate)
            .with_penalty(self.config.l2 as f32, self.config.weight_decay as f32)
    }

    /// Update rules of the anchor side.
    pub(crate) fn anchor_rates(&self, rates: StepRates) -> AnchorRates {
        AnchorRates {
            learn: self.config.learn,
            anchors: self.rule(rates.step, rates.anchor_rate),
            rest: self.rule(rates.step, rates.rate),
        }
    }

    fn rule(&self, step: u64, rate: f32) -> Update {
        Update::new(self.config.optimizer, step, rate)
    }

    /// What pulls on the anchor side, by slot; with L as it was in the forward pass.
    pub(crate) fn pulls(
        &self,
        pairs: &PairList,
        chunks: &[RowChunk],
        plain: bool,
        parallel: bool,
        memory: &TaskMemory,
        out: &mut Vec<Pull>,
    ) {
        out.resize(pairs.n_pairs(), Pull::default());
        let tasks = memory.list(out.chunks_mut(PULLS).enumerate());
        run_tasks(tasks, parallel, |(task, pulls)| {
            for (slot, pull) in (task * PULLS..).zip(pulls) {
                let (chunk, origin) = pairs.origin(slot);
                let (pair, slope) = (chunks[chunk].pairs[origin], chunks[chunk].slopes[origin]);
                let l = self.multipliers[pair.anchor as usize];
                *pull = Pull::new(pairs.rows[slot], slope, pair.u, pair.distance, l, plain);
            }
        });
    }

    /// Steps biases and, where learned, log L.
    pub(crate) fn update(&mut self, shape: Shape, step: &Step<'_>) {
        let rule = self.rule(step.rates.step, step.rates.rate);
        let (bias, moments) = (&mut self.bias, self.bias_moments.view());
        bias_update(shape, step.pairs, step.weighted, rule, bias, moments, &mut self.gradient);
        // A lone anchor has weight 1 wherever it is: nothing pulls on it.
        if self.config.learn.lipschitz && shape.anchors > 1 {
            lipschitz_update(
                step.pairs,
                step.pulls,
                rule,
                &mut self.log_lipschitz,
                &mut self.multipliers,
                self.lipschitz_moments.view(),
                &mut self.gradient,
            );
        }
    }
}

//! Single kernels on one batch and one thread, for benchmarks.

use super::{Cpu, Dense, DistanceScratch, ROW_CHUNK, Sparse, Step, Store};
use crate::anchor_dropout::Left;
use crate::backend::{Backend, StepRates, TrainRows};
use crate::config::TrainConfig;
use crate::data::Features;
use crate::error::Result;
use crate::kernel::local_coding::Pair;
use crate::model::Parameters;

/// A kernel of the CPU; of dense or sparse rows, as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Distances of the batch's rows to all anchors.
    Distance,
    /// Active anchors and their weights, from distances.
    Coding,
    /// Sums and scores of every pair.
    Score,
    /// Gradient and step of linear weights and factors.
    Models,
    /// Gradient and step of anchors, scales and metric.
    Anchors,
}

impl Kernel {
    /// All of them, in the order of a step.
    pub const ALL: [Self; 5] =
        [Self::Distance, Self::Coding, Self::Score, Self::Models, Self::Anchors];
}

/// Kernels on a batch that was stepped on once.
pub trait Kernels {
    /// Whether the method has it.
    fn has(&self, kernel: Kernel) -> bool;

    /// Runs it once on the whole batch; does nothing where the method lacks it.
    fn run(&mut self, kernel: Kernel);
}

/// A backend between the phases of a step.
struct Prepared<'a, S> {
    cpu: Cpu<'a, S>,
    rows: usize,
    rates: StepRates,
    /// `[rows, anchor_stride]`.
    distances: Vec<f32>,
    coded: Vec<Pair>,
    left: Left,
    scratch: DistanceScratch,
    /// a·q and a of every pair: the scores overwrite the backend's.
    weighted: Vec<f32>,
}

/// Steps on a batch, so that every kernel has its inputs.
pub(crate) fn prepared<'a>(
    parameters: &Parameters,
    config: &TrainConfig,
    train: TrainRows<'a>,
    batch: &[u32],
    rates: StepRates,
) -> Result<Box<dyn Kernels + 'a>> {
    Ok(match train.features {
        Features::Dense(_) => {
            Box::new(Prepared::<Dense>::new(parameters, config, train, batch, rates)?)
        }
        Features::Sparse(_) => {
            Box::new(Prepared::<Sparse>::new(parameters, config, train, batch, rates)?)
        }
    })
}

impl<'a, S: Store> Prepared<'a, S> {
    fn new(
        parameters: &Parameters,
        config: &TrainConfig,
        train: TrainRows<'a>,
        batch: &[u32],
        rates: StepRates,
    ) -> Result<Self> {
        let mut cpu = Cpu::<S>::new(parameters, config, Some(train));
        cpu.step(batch, rates)?;
        cpu.store.search_no_anchors();
        let width = cpu.store.shape().anchor_stride();
        let mut prepared = Self {
            weighted: cpu.sums.clone(),
            distances: vec![0.0; batch.len() * width],
            rows: batch.len(),
            cpu,
            rates,
            coded: Vec::new(),
            left: Left::default(),
            scratch: DistanceScratch::default(),
        };
        prepared.run(Kernel::Distance);
        Ok(prepared)
    }

    fn distance(&mut self) {
        let (store, plain) = (&self.cpu.store, self.cpu.plain);
        let width = store.shape().anchor_stride();
        let chunks = self.distances.chunks_mut(ROW_CHUNK * width);
        for (first, out) in (0..self.rows).step_by(ROW_CHUNK).zip(chunks) {
            store.distances(first, out.len() / width, plain, &mut self.scratch, out);
        }
    }

    fn code(&mut self) {
        let shape = self.cpu.store.shape();
        self.coded.clear();
        let (coder, multipliers) = (&self.cpu.coder, self.cpu.store.multipliers());
        for (row, distance) in (0..).zip(self.distances.chunks_exact(shape.anchor_stride())) {
            let (distance, pairs) = (&distance[..shape.anchors], &mut self.coded);
            let dropout = self.rates.anchor_dropout;
            dropout.code(coder, row, distance, multipliers, &mut self.left, pairs);
        }
    }

    fn update(&mut self, update: fn(&mut S, &Step<'_>)) {
        let Cpu { store, pairs, chunks, pulls, memory, .. } = &mut self.cpu;
        memory.reset();
        let step = Step {
            pairs,
            chunks,
            weighted: &self.weighted,
            pulls,
            rates: self.rates,
            parallel: false,
            memory,
        };
        update(store, &step);
    }
}

impl<S: Store> Kernels for Prepared<'_, S> {
    fn has(&self, kernel: Kernel) -> bool {
        let many = self.cpu.store.shape().anchors > 1;
        match kernel {
            Kernel::Distance | Kernel::Coding => many,
            Kernel::Anchors => many && self.cpu.blend.slopes,
            Kernel::Score | Kernel::Models => true,
        }
    }

    fn run(&mut self, kernel: Kernel) {
        if !self.has(kernel) {
            return;
        }
        match kernel {
            Kernel::Distance => self.distance(),
            Kernel::Coding => self.code(),
            Kernel::Score => {
                self.cpu.memory.reset();
                self.cpu.score_pairs(false);
            }
            Kernel::Models => self.update(S::update_models),
            Kernel::Anchors => self.update(S::update_anchors),
        }
    }
}

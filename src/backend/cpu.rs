//! The CPU backend: the kernels in order, spread over threads by rayon.
//!
//! Work is cut into tasks by the data alone, or where no sum crosses the cut (the columns of sparse
//! rows), each the only writer of its outputs: the bits do not depend on the number of threads.

mod background;
pub(crate) mod coded;
mod coding;
mod dense;
pub(crate) mod distances;
mod heads;
pub(crate) mod kernels;
mod records;
mod runs;
mod search;
mod sizes;
mod sparse;

pub(crate) use dense::Dense;
pub(crate) use sizes::Sizes;
pub(crate) use sparse::Sparse;

use std::ops::Range;

use ndarray::Array2;

use crate::anchor_dropout::AnchorDropout;
use crate::backend::phases::{Clock, Phase, PhaseSeconds};
use crate::backend::{
    Backend, Memory, Scores, StepLoss, StepRates, Totals, TrainRows, TrainTargets,
};
use crate::config::{Coding, Distance, TrainConfig};
use crate::data::Features;
use crate::error::Result;
use crate::kernel::anchor_update::Pull;
use crate::kernel::blend::{BatchLabels, BatchTargets, Blend};
use crate::kernel::fm_update::weigh_run;
use crate::kernel::local_coding::Coder;
use crate::kernel::pair_list::{PairList, RowChunk};
use crate::kernel::{ROW_CHUNK, Shape};
use crate::model::Parameters;
use coding::CodeScratch;
pub(crate) use coding::DistanceScratch;
use heads::Heads;
use runs::{Run, Scratches, TaskMemory, among_workers, run_tasks, run_tasks_with, runs};

/// Numbers that the pairs of the rows scored at a time may take.
const SCORE_NUMBERS: usize = 1 << 24;

/// Rows scored at a time: whole chunks, a function of the sizes alone.
fn score_rows(shape: Shape) -> usize {
    let row = shape.anchors * (shape.stride + shape.outputs);
    (SCORE_NUMBERS / row / ROW_CHUNK).clamp(1, 64) * ROW_CHUNK
}

/// Parameters and batch in the layout that suits a storage of rows.
pub(crate) trait Store: Send + Sync {
    /// Lays parameters out; without `train` there is no optimizer memory.
    fn new(parameters: &Parameters, config: &TrainConfig, train: bool) -> Self;
    /// Sizes of the model.
    fn shape(&self) -> Shape;
    /// Copies the given rows into the batch; `train` also prepares what the updates read.
    fn gather(&mut self, features: &Features, rows: &[u32], train: bool, memory: &TaskMemory);
    /// Cells that the gathered rows store.
    fn cells(&self) -> usize;
    /// Distances of the batch rows `first..first + n` `[n, anchor_stride]`; while anchors are searched
    /// for, infinite to some that are not active under the adaptive coding with none hidden.
    fn distances(
        &self,
        first: usize,
        n: usize,
        plain: bool,
        scratch: &mut DistanceScratch,
        out: &mut [f32],
    );
    /// From now on finds near anchors without the distances to all, where it can.
    fn search_anchors(&mut self) {}
    /// Goes back to the distances to all.
    fn search_no_anchors(&mut self) {}
    /// Ends the search of a batch of so many rows.
    fn end_search(&mut self, _rows: usize, _parallel: bool, _memory: &TaskMemory) {}
    /// L of each anchor.
    fn multipliers(&self) -> &[f32];
    /// Sums and scores of a run of pairs.
    fn score(&self, pair_rows: &[u32], run: Run<'_>, scratch: &mut Vec<f32>);
    /// Bias and log L.
    fn heads(&self) -> &Heads;
    /// The same, to be stepped.
    fn heads_mut(&mut self) -> &mut Heads;
    /// Gradient and step of linear weights and factors.
    fn update_models(&mut self, step: &Step<'_>);
    /// Gradient and step of anchors, scales and metric.
    fn update_anchors(&mut self, step: &Step<'_>);
    /// The parameters in their logical shapes.
    fn parameters(&self) -> Parameters;
    /// Shows what is remembered from step to step, by name.
    fn visit_memory(&mut self, visit: &mut Visit<'_>);
    /// Once an epoch: mends what is only followed from step to step.
    fn refresh(&mut self) {}
}

/// Called with the name and the bytes of something that is remembered.
pub(crate) type Visit<'a> = dyn FnMut(&'static str, &mut [u8]) + 'a;

/// What the updates read of a step.
pub(crate) struct Step<'a> {
    pub(crate) pairs: &'a PairList,
    pub(crate) chunks: &'a [RowChunk],
    /// Per slot and channel a·q and a `[n_pairs, stride]`.
    pub(crate) weighted: &'a [f32],
    /// What pulls on the anchor side, by slot; empty where it is not learned.
    pub(crate) pulls: &'a [Pull],
    pub(crate) rates: StepRates,
    pub(crate) parallel: bool,
    pub(crate) memory: &'a TaskMemory,
}

/// The backend over a storage of rows.
pub(crate) struct Cpu<'a, S> {
    store: S,
    coder: Coder,
    blend: Blend,
    plain: bool,
    train: Option<TrainRows<'a>>,
    classes: Vec<u32>,
    values: Vec<f32>,
    /// Empty where rows have none.
    weights: Vec<f32>,
    chunks: Vec<RowChunk>,
    spare_chunks: Vec<RowChunk>,
    pairs: PairList,
    pulls: Vec<Pull>,
    sums: Vec<f32>,
    scores: Vec<f32>,
    totals: Totals,
    recent: Vec<StepLoss>,
    clock: Clock,
    memory: TaskMemory,
    code_scratches: Scratches<CodeScratch>,
    score_scratches: Scratches<Vec<f32>>,
}

impl<'a, S: Store> Cpu<'a, S> {
    /// A backend with its own copy of the parameters.
    pub(crate) fn new(
        parameters: &Parameters,
        config: &TrainConfig,
        train: Option<TrainRows<'a>>,
    ) -> Self {
        let mut store = S::new(parameters, config, train.is_some());
        // Other codings have no λ.
        if config.coding == Coding::Adaptive {
            store.search_anchors();
        }
        Self {
            store,
            coder: Coder { coding: config.coding, neighbors: config.neighbors },
            blend: Blend {
                coding: config.coding,
                loss: config.loss,
                smoothing: 0.0,
                outputs: parameters.n_outputs(),
                inverse_batch: 1.0,
                slopes: config.learn.any(),
            },
            plain: config.distance == Distance::Euclidean,
            train,
            classes: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            chunks: Vec::new(),
            spare_chunks: Vec::new(),
            pairs: PairList::default(),
            pulls: Vec::new(),
            sums: Vec::new(),
            scores: Vec::new(),
            totals: Totals::default(),
            recent: Vec::new(),
            clock: Clock::default(),
            memory: TaskMemory::default(),
            code_scratches: Scratches::default(),
            score_scratches: Scratches::default(),
        }
    }

    /// Whether the gathered batch is worth the cost of waking threads.
    fn parallel(&self) -> bool {
        let shape = self.store.shape();
        self.store.cells() * (shape.anchors + shape.stride) > 1 << 16
    }

    /// Scores of the local models of every pair.
    fn score_pairs(&mut self, parallel: bool) {
        let shape = self.store.shape();
        self.sums.resize(self.pairs.n_pairs() * shape.stride, 0.0);
        self.scores.resize(self.pairs.n_pairs() * shape.outputs, 0.0);
        let (store, pairs) = (&self.store, &self.pairs);
        let tasks = runs(shape, pairs, &mut self.sums, &mut self.scores, &self.memory);
        run_tasks_with(&self.score_scratches, tasks, parallel, |scratch, run| {
            store.score(&pairs.rows[run.slots.clone()], run, scratch);
        });
    }

    /// Coding, scores and outputs of some rows; none of them is stepped on.
    fn forward(&mut self, features: &Features, rows: Range<usize>) {
        let rows: Vec<u32> = (rows.start as u32..rows.end as u32).collect();
        self.memory.reset();
        self.store.gather(features, &rows, false, &self.memory);
        let parallel = self.parallel();
        among_workers(parallel, || {
            self.pair_up(rows.len(), AnchorDropout::default(), parallel);
            self.score_pairs(parallel);
            let (blend, pair_scores) = (self.blend, &self.scores);
            let tasks = self.memory.list(self.chunks.iter_mut());
            run_tasks(tasks, parallel, |chunk| {
                blend.outputs(chunk, pair_scores);
            });
        });
    }

    /// Rows and targets of a batch.
    fn gather(&mut self, train: TrainRows<'_>, rows: &[u32]) {
        self.memory.reset();
        self.store.gather(train.features, rows, true, &self.memory);
        match train.targets {
            TrainTargets::Classes(all) => gather(all, rows, &mut self.classes),
            TrainTargets::Values(all) => gather(all, rows, &mut self.values),
        }
        if let Some(all) = train.weights {
            gather(all, rows, &mut self.weights);
        }
    }

    /// What follows the gather of a batch.
    fn descend(&mut self, rows: usize, rates: StepRates, parallel: bool) {
        self.pair_up(rows, rates.anchor_dropout, parallel);
        self.clock.end(Phase::Coding);
        self.score_pairs(parallel);
        self.clock.end(Phase::Score);
        self.backward(rows, rates.label_smoothing, parallel);
        self.clock.end(Phase::Blend);
        self.update(rates, parallel);
        self.count(rows);
    }

    /// Loss and coefficients of the batch's rows, then a·q and a of every pair.
    fn backward(&mut self, rows: usize, smoothing: f32, parallel: bool) {
        let blend = Blend { smoothing, inverse_batch: 1.0 / rows as f32, ..self.blend };
        let (scores, classes, values) = (&self.scores, &self.classes, &self.values);
        let weights = (!self.weights.is_empty()).then_some(&self.weights);
        let tasks = self.memory.list(self.chunks.iter_mut().enumerate());
        run_tasks(tasks, parallel, |(c, chunk)| {
            let span = c * ROW_CHUNK..c * ROW_CHUNK + chunk.n_rows();
            let targets = if classes.is_empty() {
                BatchTargets::Values(&values[span.clone()])
            } else {
                BatchTargets::Classes(&classes[span.clone()])
            };
            let weights = weights.map(|weights| &weights[span]);
            blend.backward(chunk, scores, BatchLabels { targets, weights });
        });
        let (shape, pairs, chunks) = (self.store.shape(), &self.pairs, &self.chunks);
        let tasks = runs(shape, pairs, &mut self.sums, &mut self.scores, &self.memory);
        run_tasks(tasks, parallel, |run| {
            let (c, first) = (shape.outputs, run.slots.start);
            weigh_run(
                shape,
                #[inline(always)]
                |n| {
                    let (chunk, origin) = pairs.origin(first + n);
                    &chunks[chunk].coefficients[origin * c..][..c]
                },
                run.sums,
            );
        });
    }

    /// Steps every parameter; no update reads what another writes.
    fn update(&mut self, rates: StepRates, parallel: bool) {
        let shape = self.store.shape();
        let learns = self.blend.slopes && shape.anchors > 1;
        self.pulls.clear();
        if learns {
            let (heads, pulls) = (self.store.heads(), &mut self.pulls);
            heads.pulls(&self.pairs, &self.chunks, self.plain, parallel, &self.memory, pulls);
            self.clock.end(Phase::Anchors);
        }
        let step = Step {
            pairs: &self.pairs,
            chunks: &self.chunks,
            weighted: &self.sums,
            pulls: &self.pulls,
            rates,
            parallel,
            memory: &self.memory,
        };
        self.store.update_models(&step);
        self.clock.end(Phase::Models);
        if learns {
            self.store.update_anchors(&step);
            self.clock.end(Phase::Anchors);
        }
        self.store.heads_mut().update(shape, &step);
        self.clock.end(Phase::Heads);
    }

    fn count(&mut self, rows: usize) {
        let loss = self.chunks.iter().map(|c| c.loss).sum::<f64>();
        self.recent.push(StepLoss { rows: rows as u64, sum: loss });
        self.totals.rows += rows as u64;
        self.totals.loss += loss;
        self.totals.pairs.resize(self.store.shape().anchors, 0);
        for (i, total) in self.totals.pairs.iter_mut().enumerate() {
            *total += self.pairs.span(i).len() as u64;
        }
    }
}

impl<S: Store> Backend for Cpu<'_, S> {
    fn step(&mut self, rows: &[u32], rates: StepRates) -> Result<()> {
        let train = self.train.expect("a scoring backend is never stepped");
        self.step_in(train, rows, rates)
    }

    fn step_in(&mut self, train: TrainRows<'_>, rows: &[u32], rates: StepRates) -> Result<()> {
        self.clock.start();
        self.gather(train, rows);
        self.clock.end(Phase::Gather);
        let parallel = self.parallel();
        among_workers(parallel, || self.descend(rows.len(), rates, parallel));
        Ok(())
    }

    fn take_totals(&mut self) -> Result<Totals> {
        self.store.refresh();
        // Whoever wants them has taken them by now.
        self.recent.clear();
        let phases = self.clock.take();
        Ok(Totals { phases, ..std::mem::take(&mut self.totals) })
    }

    fn time_phases(&mut self) {
        self.clock.switch_on();
    }

    fn score(&mut self, features: &Features) -> Result<Scores> {
        let (n, shape) = (features.n_rows(), self.store.shape());
        let mut outputs = Vec::with_capacity(n * shape.outputs);
        let mut scores = (0_u64, vec![0.0; shape.anchors]);
        let at_once = score_rows(shape);
        for first in (0..n).step_by(at_once) {
            self.forward(features, first..(first + at_once).min(n));
            for chunk in &self.chunks {
                outputs.extend_from_slice(&chunk.outputs);
                scores.0 += chunk.pairs.len() as u64;
                for pair in &chunk.pairs {
                    scores.1[pair.anchor as usize] += f64::from(pair.gamma);
                }
            }
        }
        let outputs = Array2::from_shape_vec((n, shape.outputs), outputs).expect("n rows of C");
        Ok(Scores { outputs, pairs: scores.0, gamma: scores.1 })
    }

    fn parameters(&mut self) -> Result<Parameters> {
        Ok(self.store.parameters())
    }

    fn memory(&mut self) -> Result<Memory> {
        let mut tensors = Vec::new();
        self.store.visit_memory(&mut |name, bytes| tensors.push((name.to_owned(), bytes.to_vec())));
        let totals = Totals { phases: PhaseSeconds::default(), ..self.totals.clone() };
        Ok(Memory { tensors, totals })
    }

    fn restore(&mut self, memory: &Memory) -> Result<()> {
        memory.check_anchors(self.store.shape().anchors)?;
        let mut done = Ok(());
        self.store.visit_memory(&mut |name, bytes| match memory.bytes(name, bytes.len()) {
            Ok(kept) => bytes.copy_from_slice(kept),
            Err(error) => done = Err(error),
        });
        self.totals = memory.totals.clone();
        done
    }

    fn recent_losses(&mut self) -> Vec<StepLoss> {
        std::mem::take(&mut self.recent)
    }
}

fn gather<T: Copy>(all: &[T], rows: &[u32], out: &mut Vec<T>) {
    out.clear();
    out.extend(rows.iter().map(|&r| all[r as usize]));
}

#[cfg(test)]
mod tests;

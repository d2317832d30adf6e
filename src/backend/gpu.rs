//! The GPU backend: the kernels in order, many steps a submission.
//!
//! Rows, parameters and everything between kernels stay on the device. Of a step the host decides
//! which rows it takes and the rates, and nothing that depends on what the device computed: it
//! records the same dispatches whatever comes out of them. Losses are read once an epoch.

mod launch;
mod layout;
mod rows;
mod score;
pub(crate) mod sizes;
mod state;
pub(crate) mod step;
mod submitted;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod tuning;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::backend::{
    Backend, DeviceUse, Memory, Placement, RowStorage, Scores, StepLoss, StepRates, Totals,
    TrainRows,
};
use crate::config::TrainConfig;
use crate::config::defaults::DataShape;
use crate::data::Features;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;
use crate::model::Parameters;
use launch::{Launch, Launcher};
use rows::TrainSet;
use score::Scoring;
use sizes::Sizes;
use step::{STEP_PITCH, Step};
use submitted::Submitted;
use timer::Timer;

/// Operations that one submission may hold: some milliseconds of a GPU, up to a tenth of a second of a
/// small one, after which an interrupt is heard; and of a software driver, a second.
const SUBMISSION: usize = 1 << 35;
const SOFTWARE_SUBMISSION: usize = 1 << 31;
/// Steps of a submission, beyond which nothing is gained.
const MOST_STEPS: usize = 64;
/// Submissions the host may be ahead of the device.
const AHEAD: usize = 2;
/// Rows whose pairs the device can count in 32 bits.
const MOST_UNCOUNTED: usize = 1 << 31;

/// Scores rows on a GPU.
pub(crate) struct Scorer {
    gpu: Arc<Gpu>,
    sizes: Sizes,
    state: Buffers,
    /// What lies between the kernels, and the rows.
    work: Buffers,
    scoring: Scoring,
}

impl Scorer {
    /// Scorers with these parameters, for rows of one storage. They work one after the other, so all
    /// but the parameters is there once for members of the same size.
    pub(crate) fn of_members(
        gpu: &Arc<Gpu>,
        members: &[Parameters],
        config: &TrainConfig,
        sparse: bool,
    ) -> Result<Vec<Self>> {
        let mut scorers: Vec<Self> = Vec::with_capacity(members.len());
        for parameters in members {
            let sizes = Sizes::new(gpu.offer(), parameters, config, sparse, None);
            let shared = scorers.iter().find(|other| other.sizes.anchors == sizes.anchors);
            let work = match shared {
                Some(other) => other.work.clone(),
                None => work::workspace(gpu, &sizes)?.with(&score::buffers(gpu, &sizes)?),
            };
            let state = state::upload(gpu, &sizes, parameters, 0)?;
            let scoring = Scoring::new(gpu, &sizes, config, state.with(&work))?;
            scorers.push(Self { gpu: Arc::clone(gpu), sizes, state, work, scoring });
        }
        Ok(scorers)
    }
}

impl Backend for Scorer {
    fn step(&mut self, _rows: &[u32], _rates: StepRates) -> Result<()> {
        unreachable!("a scoring backend is never stepped")
    }

    fn take_totals(&mut self) -> Result<Totals> {
        Ok(Totals::default())
    }

    fn score(&mut self, features: &Features) -> Result<Scores> {
        self.scoring.score(&self.gpu, features)
    }

    fn parameters(&mut self) -> Result<Parameters> {
        state::download(&self.gpu, &self.sizes, &self.state)
    }

    fn memory(&mut self) -> Result<Memory> {
        unreachable!("a scoring backend has no steps to come")
    }

    fn restore(&mut self, _memory: &Memory) -> Result<()> {
        unreachable!("a scoring backend has no steps to come")
    }

    fn recent_losses(&mut self) -> Vec<StepLoss> {
        Vec::new()
    }
}

/// Trains on a GPU.
pub(crate) struct Trainer<'a> {
    gpu: Arc<Gpu>,
    config: TrainConfig,
    sizes: Sizes,
    /// Parameters and the optimizer's memory.
    state: Buffers,
    /// What the kernels of a training step are bound to.
    buffers: Buffers,
    set: TrainSet<'a>,
    launches: Vec<Launch>,
    scoring: Scoring,
    waiting: Waiting,
    submitted: VecDeque<Submitted>,
    /// Losses of steps known to be done.
    recent: Vec<StepLoss>,
    /// Takes the time of each dispatch, where somebody asks for it.
    timer: Option<Timer>,
    /// Steps whose losses the device can keep, and those it keeps.
    loss_slots: usize,
    losses: usize,
    /// Rows of those steps.
    uncounted: usize,
    totals: Totals,
    /// The parameters as they were read last, if no step was taken since.
    current: Option<Parameters>,
}

/// Steps that wait for the next submission.
#[derive(Debug, Default)]
struct Waiting {
    steps: Vec<Step>,
    /// The rows of each.
    batches: Vec<Vec<u32>>,
    /// Entries of them all, where rows are sparse.
    entries: usize,
}

impl<'a> Trainer<'a> {
    /// A backend that trains on `rows`, which lie and are stored as said, from `parameters` on.
    pub(crate) fn new(
        gpu: &Arc<Gpu>,
        parameters: &Parameters,
        config: &TrainConfig,
        rows: TrainRows<'a>,
        (placement, storage): (Placement, RowStorage),
    ) -> Result<Self> {
        if placement == Placement::Auto {
            let placed = |at| Self::new(gpu, parameters, config, rows, (at, storage));
            return match placed(Placement::Resident) {
                // Too large for a buffer or for the memory: batches take less.
                Err(Error::Device(_)) => placed(Placement::Stream),
                placed => placed,
            };
        }
        let sparse = matches!(rows.features, Features::Sparse(_));
        let n_rows = rows.features.n_rows();
        let sizes = Sizes::new(gpu.offer(), parameters, config, sparse, Some(n_rows));
        let sizes = Sizes { storage, ..sizes };
        let operations = if gpu.software { SOFTWARE_SUBMISSION } else { SUBMISSION };
        let steps = (operations / step_operations(&sizes, config)).clamp(1, MOST_STEPS);
        let set = TrainSet::new(gpu, &sizes, rows, placement, steps)?;
        let shares = match (config.learn.metric && sizes.slopes, sparse) {
            (false, _) => 0,
            (true, false) => sizes.anchor_section(),
            (true, true) => set.most_columns * sizes.anchors,
        };
        let mut state = state::upload(gpu, &sizes, parameters, shares)?;
        state::add_moments(gpu, &sizes, config, &mut state)?;
        let shared = state.with(&work::workspace(gpu, &sizes)?);
        // An epoch's losses wait on the device for its end.
        let most_losses = (gpu.largest_binding() / 4) as usize;
        let loss_slots = n_rows.div_ceil(sizes.batch).clamp(1 << 12, 1 << 28).min(most_losses);
        let mut own = set.buffers.clone();
        own.add(gpu, "step_losses", loss_slots)?;
        own.add(gpu, "anchor_totals", 2 * sizes.anchors)?;
        own.add_steps(gpu, set.steps)?;
        let buffers = shared.with(&own);
        let groups = work::groups(gpu, &sizes)?;
        let launches = Launcher { gpu, sizes: &sizes, config }.training(&buffers, &groups)?;
        Ok(Self {
            scoring: Scoring::new(gpu, &sizes, config, shared.with(&score::buffers(gpu, &sizes)?))?,
            gpu: Arc::clone(gpu),
            config: config.clone(),
            totals: Totals { pairs: vec![0; sizes.anchors], ..Totals::default() },
            sizes,
            state,
            buffers,
            set,
            launches,
            waiting: Waiting::default(),
            submitted: VecDeque::new(),
            recent: Vec::new(),
            timer: None,
            loss_slots,
            losses: 0,
            uncounted: 0,
            current: None,
        })
    }

    /// Submits the steps that wait.
    fn flush(&mut self) -> Result<()> {
        let Waiting { mut steps, batches, .. } = std::mem::take(&mut self.waiting);
        if steps.is_empty() {
            return Ok(());
        }
        let spans = self.set.load(&self.gpu, &self.sizes, &batches)?;
        for (step, span) in steps.iter_mut().zip(spans) {
            step.first_row = span.first_row as u32;
            step.first_column = span.first_column as u32;
            step.n_columns = span.n_columns as u32;
        }
        if self.submitted.len() >= AHEAD
            && let Some(earliest) = self.submitted.pop_front()
        {
            self.recent.extend(earliest.finish(&self.gpu)?);
        }
        self.gpu.write(self.buffers.get("step"), 0, &Step::spread(&steps))?;
        let mut encoder = self.gpu.encoder();
        if let Some(timer) = &mut self.timer {
            timer.record(&mut encoder, &self.launches, &self.sizes, &steps);
            self.gpu.submit(encoder)?;
            return timer.read(&self.gpu);
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (i, step) in steps.iter().enumerate() {
            for launch in &self.launches {
                launch.record(&mut pass, &self.sizes, step, i as u32 * STEP_PITCH as u32);
            }
        }
        drop(pass);
        let losses = self.buffers.get("step_losses");
        self.submitted.push_back(Submitted::send(&self.gpu, encoder, losses, &steps)?);
        Ok(())
    }

    /// Adds what the device has counted to the totals.
    fn fetch_totals(&mut self) -> Result<()> {
        self.flush()?;
        let losses: Vec<f32> = self.gpu.read(self.buffers.get("step_losses"), self.losses)?;
        // One by one: the bits must not depend on when they are read.
        losses.iter().for_each(|&loss| self.totals.loss += f64::from(loss));
        self.losses = 0;
        self.uncounted = 0;
        let totals = self.buffers.get("anchor_totals");
        let counted: Vec<[u32; 2]> = self.gpu.read(totals, self.sizes.anchors)?;
        for (total, [pairs, _]) in self.totals.pairs.iter_mut().zip(counted) {
            *total += u64::from(pairs);
        }
        let mut encoder = self.gpu.encoder();
        encoder.clear_buffer(&totals.raw, 0, None);
        self.gpu.submit(encoder)?;
        for submitted in std::mem::take(&mut self.submitted) {
            self.recent.extend(submitted.finish(&self.gpu)?);
        }
        Ok(())
    }
}

impl Backend for Trainer<'_> {
    fn begin_epoch(&mut self, order: &[u32]) -> Result<()> {
        // The steps that wait are of the order before.
        self.flush()?;
        self.set.begin_epoch(&self.gpu, order)
    }

    fn step(&mut self, rows: &[u32], rates: StepRates) -> Result<()> {
        // The kernels trust what they are given.
        assert!(rows.len() <= self.sizes.batch, "a batch of {}", rows.len());
        assert!(rows.iter().all(|&r| (r as usize) < self.set.n_rows()), "no such row");
        let entries = self.set.entries_of(rows);
        let Waiting { steps, entries: waiting, .. } = &self.waiting;
        if steps.len() == self.set.steps || waiting + entries > self.set.entries {
            self.flush()?;
        }
        if self.losses == self.loss_slots || self.uncounted + rows.len() > MOST_UNCOUNTED {
            self.fetch_totals()?;
        }
        let step = Step::new(rows.len(), rates, &self.config);
        self.waiting.steps.push(Step { loss_slot: self.losses as u32, ..step });
        self.waiting.batches.push(rows.to_vec());
        self.waiting.entries += entries;
        self.losses += 1;
        self.uncounted += rows.len();
        self.totals.rows += rows.len() as u64;
        self.current = None;
        Ok(())
    }

    fn take_totals(&mut self) -> Result<Totals> {
        // Whoever wants them has taken them by now.
        self.recent.clear();
        self.fetch_totals()?;
        let empty = Totals { pairs: vec![0; self.sizes.anchors], ..Totals::default() };
        Ok(std::mem::replace(&mut self.totals, empty))
    }

    fn score(&mut self, features: &Features) -> Result<Scores> {
        self.flush()?;
        self.scoring.score(&self.gpu, features)
    }

    fn parameters(&mut self) -> Result<Parameters> {
        self.flush()?;
        if self.current.is_none() {
            self.current = Some(state::download(&self.gpu, &self.sizes, &self.state)?);
        }
        Ok(self.current.clone().expect("just read"))
    }

    fn memory(&mut self) -> Result<Memory> {
        self.fetch_totals()?;
        Ok(Memory { tensors: state::save(&self.gpu, &self.state)?, totals: self.totals.clone() })
    }

    fn restore(&mut self, memory: &Memory) -> Result<()> {
        memory.check_anchors(self.sizes.anchors)?;
        state::restore(&self.gpu, &self.state, memory)?;
        self.totals = memory.totals.clone();
        self.totals.pairs.resize(self.sizes.anchors, 0);
        self.current = None;
        Ok(())
    }

    fn recent_losses(&mut self) -> Vec<StepLoss> {
        std::mem::take(&mut self.recent)
    }

    fn device_use(&self) -> Option<DeviceUse> {
        let placement = self.set.placement();
        let (storage, bytes) = (self.sizes.storage, self.gpu.allocated_bytes());
        Some(DeviceUse { placement, storage, bytes })
    }
}

/// Refuses local models, a memory of them, or batches of their pairs that no buffer holds.
pub(crate) fn check_model(gpu: &Gpu, config: &TrainConfig, shape: &DataShape) -> Result<()> {
    let [rows, p, d] = [shape.rows, shape.features, config.factors].map(|n| n as u64);
    let channels = config.loss.n_outputs(shape.classes) as u64;
    // Seeding finds no more anchors than rows.
    let anchors = config.anchors.min(shape.rows);
    let records = (anchors as u64).saturating_mul(p).saturating_mul(channels);
    let bytes = records.saturating_mul((d + 2).div_ceil(4) * 16);
    gpu.check_binding("records", bytes)?;
    let sections = state::moment_sections(config.optimizer) as u64;
    gpu.check_binding("record_moments", bytes.saturating_mul(sections))?;
    let batch = (config.batch_size as u64).min(rows);
    let pairs = batch.saturating_mul(sizes::most_active(config, anchors) as u64);
    gpu.check_binding("distance", batch.saturating_mul(4 * anchors as u64))?;
    gpu.check_binding("active_anchors", pairs.saturating_mul(20))?;
    gpu.check_binding("scores", pairs.saturating_mul(4 * channels))?;
    let sums = batch.saturating_mul(channels).saturating_mul((d + 2).div_ceil(4) * 16);
    work::check_sums(gpu, sums)
}

/// About how many operations a step takes.
fn step_operations(sizes: &Sizes, config: &TrainConfig) -> usize {
    let active = (config.target_active as usize + 1).min(sizes.most_active);
    let features = if sizes.sparse { sizes.features.min(128) } else { sizes.features };
    let models = active * sizes.record_quads() * 16;
    let updates = sizes.all_record_quads() * if sizes.sparse { 0 } else { 12 };
    sizes.batch * features * (3 * sizes.anchors + models) + updates
}

#[cfg(test)]
mod tests;

//! How fast training is, phase by phase, beside what the machine can do at best.
//!
//! [`RowShape`]s are the sizes of public sets, with generated rows. A [`Job`] is one of them with the
//! settings of a method: [`Job::check`] compares a backend with the equations, [`Job::time`] takes its
//! epochs, and [`Timing::report`] sets them beside [`Work`], the operations and bytes of a step, and
//! [`Floors`], the machine's best. [`Job::kernels`] runs single kernels of the CPU. Of a GPU,
//! [`Job::time_kernels`] takes the time of each kernel, and [`Timing::gpu_report`] sets it beside
//! [`Work::kernels`] and [`GpuFloors`].

mod check;
mod cost;
mod floors;
mod gpu;
mod kernel_cost;
mod reference;
mod rows;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::backend::cpu::kernels;
use crate::backend::{
    AnchorDropout, Backend, Device, Phase, PhaseSeconds, StepRates, TrainRows, TrainTargets,
};
use crate::config::{TrainConfig, defaults};
use crate::data::{Dataset, Features, Targets};
use crate::error::Result;
use crate::model::Parameters;
use crate::random::{Purpose, stream};
use crate::schedule::shuffle;
use crate::seed::initial_parameters;
use crate::settings::Settings;
use crate::train::Units;

pub use crate::backend::cpu::kernels::{Kernel, Kernels};
pub use check::Checked;
pub use cost::{Cost, Work};
pub use floors::gpu::{GpuFloors, StepFloor};
pub use floors::{CopyRate, Floors};
pub use gpu::{Dispatch, GpuTiming, KernelRates, KernelReport, StepReport};
pub use kernel_cost::KernelCost;
pub use rows::{RowShape, SHAPES};

/// Epochs timed, where that does not take too long.
const EPOCHS: usize = 3;

/// A step as costly as any that hardly moves: every epoch does the same work.
const STILL: f64 = 1e-7;

/// The widest vector unit that the kernels use here: `AVX-512`, `AVX2`, `neon` or none, `scalar`.
pub fn simd_level() -> String {
    crate::simd::level()
}

/// Settings of one method for the rows of a shape.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for settings that do not fit.
pub fn config_of(shape: &RowShape, settings: &Settings) -> Result<TrainConfig> {
    let own = settings.method != Some(crate::config::Method::Fm) && settings.anchors.is_none();
    let anchors = if own { shape.anchors } else { settings.anchors };
    defaults::resolve(&Settings { anchors, ..settings.clone() }, &shape.data_shape())
}

/// Generated rows with settings, and the parameters that training would start from.
#[derive(Debug)]
pub struct Job<'a> {
    config: TrainConfig,
    rows: &'a Dataset,
    /// Regression targets in training units.
    values: Vec<f32>,
    /// The order of the rows.
    order: Vec<u32>,
    initial: Parameters,
}

/// The time of an epoch: the median of several.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Rows of an epoch.
    pub rows: usize,
    /// Epochs timed.
    pub epochs: usize,
    /// Seconds of the median epoch.
    pub seconds: f64,
    /// Active anchors a row.
    pub mean_active: f64,
    /// Where they went, in that same epoch; all 0 on a GPU.
    pub phases: PhaseSeconds,
    /// Steps of an epoch.
    pub steps: usize,
    /// Sizes of a mean step.
    pub work: Work,
}

/// A phase of an epoch beside its floor.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Which one.
    pub phase: Phase,
    /// Seconds of an epoch.
    pub seconds: f64,
    /// Part of the epoch's seconds.
    pub share: f64,
    /// Operations a second, in 10⁹.
    pub gflops_per_second: f64,
    /// Bytes a second, in 10⁹.
    pub gigabytes_per_second: f64,
    /// Least time it can take, max(flops/peak, bytes/copy rate), over that it took.
    pub of_floor: f64,
}

impl<'a> Job<'a> {
    /// Seeds and calibrates a model for generated rows.
    pub fn new(shape: &RowShape, config: TrainConfig, rows: &'a Dataset) -> Self {
        let mut order: Vec<u32> = (0..rows.features.n_rows() as u32).collect();
        shuffle(&mut order, &mut stream(config.seed, 0, Purpose::Order));
        let outputs = config.loss.n_outputs(shape.classes);
        let initial = initial_parameters(&rows.features, outputs, &[], &config, 0)
            .expect("rows in memory cannot fail to be read");
        let values = Units::of(&rows.targets, None).standardise(&rows.targets);
        Self { config, rows, values, order, initial }
    }

    /// Compares scores and gradient with the equations in f64.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where they are too far apart, or the device fails.
    pub fn check(&self, device: &Device) -> Result<Checked> {
        check::check(self, device)
    }

    /// The parameters after so many steps at the rate of the settings.
    ///
    /// # Errors
    /// Those of the device.
    pub fn parameters_after(&self, steps: usize, device: &Device) -> Result<Parameters> {
        let mut backend = self.backend(device)?;
        for rows in self.batches().take(steps) {
            backend.step(rows, self.rates(self.config.learning_rate))?;
        }
        backend.parameters()
    }

    /// Times whole epochs while `budget` lasts, after at most as long to warm up; three at least, unless
    /// they take four times as long; one where `goes_on` says to end.
    ///
    /// # Errors
    /// Those of the device.
    pub fn time(
        &self,
        device: &Device,
        budget: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Timing> {
        let mut backend = self.backend(device)?;
        backend.time_phases();
        let start = Instant::now();
        backend.begin_epoch(&self.order)?;
        for batch in self.batches().take_while(|_| start.elapsed() < budget) {
            backend.step(batch, self.rates(STILL))?;
        }
        backend.take_totals()?;
        let (start, mut epochs, mut pairs) = (Instant::now(), Vec::new(), Vec::new());
        let lasts = |epochs: usize| {
            let most = if epochs < EPOCHS { 4 * budget } else { budget };
            epochs == 0 || start.elapsed() < most
        };
        while lasts(epochs.len()) && (epochs.is_empty() || goes_on()) {
            let (seconds, totals) = self.epoch(backend.as_mut())?;
            pairs = totals.pairs;
            epochs.push((seconds, totals.phases));
        }
        epochs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (seconds, phases) = epochs[(epochs.len() - 1) / 2];
        let mean_active = pairs.iter().sum::<u64>() as f64 / self.n_rows() as f64;
        Ok(Timing {
            rows: self.n_rows(),
            epochs: epochs.len(),
            seconds,
            mean_active,
            phases,
            steps: self.batches().count(),
            work: self.work(mean_active),
        })
    }

    /// Single kernels of the CPU on the first batch, one thread; only those that the method has.
    ///
    /// # Errors
    /// None that the CPU is known for.
    pub fn kernels(&self) -> Result<Box<dyn Kernels + '_>> {
        let batch = self.batches().next().unwrap_or_default();
        kernels::prepared(&self.initial, &self.config, self.train_rows(), batch, self.rates(STILL))
    }

    fn n_rows(&self) -> usize {
        self.order.len()
    }

    fn backend(&self, device: &Device) -> Result<Box<dyn Backend + '_>> {
        device.trainer(&self.initial, &self.config, self.train_rows())
    }

    fn train_rows(&self) -> TrainRows<'_> {
        let targets = match &self.rows.targets {
            Targets::Classes(classes) => TrainTargets::Classes(classes),
            Targets::Values(_) => TrainTargets::Values(&self.values),
        };
        TrainRows { features: &self.rows.features, targets, weights: None }
    }

    /// Targets of the first rows: classes, or values in training units.
    fn targets(&self, rows: usize) -> Vec<f64> {
        match &self.rows.targets {
            Targets::Classes(classes) => classes[..rows].iter().map(|&c| f64::from(c)).collect(),
            Targets::Values(_) => self.values[..rows].iter().map(|&y| f64::from(y)).collect(),
        }
    }

    fn batches(&self) -> impl Iterator<Item = &[u32]> {
        self.order.chunks(self.config.batch_size)
    }

    /// Rates of a step late in a run.
    fn rates(&self, rate: f64) -> StepRates {
        StepRates {
            step: 1000,
            rate: rate as f32,
            anchor_rate: rate as f32,
            label_smoothing: self.config.label_smoothing as f32,
            anchor_dropout: AnchorDropout::default(),
        }
    }

    fn epoch(&self, backend: &mut dyn Backend) -> Result<(f64, crate::backend::Totals)> {
        let start = Instant::now();
        backend.begin_epoch(&self.order)?;
        for batch in self.batches() {
            backend.step(batch, self.rates(STILL))?;
        }
        let totals = backend.take_totals()?;
        Ok((start.elapsed().as_secs_f64(), totals))
    }

    fn work(&self, active: f64) -> Work {
        let (config, features) = (&self.config, &self.rows.features);
        let steps = self.batches().count() as f64;
        Work {
            rows: self.n_rows() as f64 / steps,
            nonzeros: features.n_stored() as f64 / self.n_rows() as f64,
            columns: self.present_columns() as f64 / steps,
            features: features.n_cols() as f64,
            sparse: matches!(features, Features::Sparse(_)),
            anchors: self.initial.n_anchors() as f64,
            outputs: self.initial.n_outputs() as f64,
            factors: config.factors as f64,
            active,
            learn: config.learn,
            optimizer: config.optimizer,
            penalty: config.l2 > 0.0 || config.weight_decay > 0.0,
        }
    }

    /// Columns that occur in a batch, summed over the batches.
    fn present_columns(&self) -> usize {
        let Features::Sparse(all) = &self.rows.features else {
            return self.rows.features.n_cols() * self.batches().count();
        };
        let (mut seen, mut present) = (vec![0_u32; all.n_cols], 0);
        for (number, batch) in (1..).zip(self.batches()) {
            for &row in batch {
                for &j in all.row(row as usize).0 {
                    present +=
                        usize::from(std::mem::replace(&mut seen[j as usize], number) != number);
                }
            }
        }
        present
    }
}

impl Timing {
    /// Rows trained on a second.
    pub fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// The phases that took any time, beside their floors, in the order of a step.
    ///
    /// What a phase touches it touches again a step later, so its floor is that of arrays as large as all
    /// that a step moves; the rows that are gathered come again after an epoch.
    pub fn report(&self, floors: &Floors) -> Vec<PhaseReport> {
        let (steps, step_bytes) = (self.steps as f64, self.work.step_bytes());
        let phases = Phase::ALL.into_iter().filter(|&phase| self.phases[phase] > 0.0);
        let report = |phase| {
            let (seconds, cost) = (self.phases[phase], self.work.cost(phase));
            let reach = match phase {
                Phase::Gather => step_bytes.max(cost.bytes * steps),
                _ => step_bytes,
            };
            PhaseReport {
                phase,
                seconds,
                share: seconds / self.seconds,
                gflops_per_second: 1e-9 * steps * cost.flops / seconds,
                gigabytes_per_second: 1e-9 * steps * cost.bytes / seconds,
                of_floor: steps * floors.seconds(cost, reach) / seconds,
            }
        };
        phases.map(report).collect()
    }
}

#[cfg(test)]
mod tests;

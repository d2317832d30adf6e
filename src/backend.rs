//! What a training backend does, whatever it runs on.

mod batch;
pub(crate) mod cpu;
pub(crate) mod gpu;
mod memory;
mod phases;

use std::sync::Arc;

use clap::ValueEnum;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use crate::anchor_dropout::AnchorDropout;
use crate::config::TrainConfig;
use crate::config::defaults::DataShape;
use crate::data::Features;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::Parameters;
pub use crate::optimizer::StepRates;
pub use memory::Memory;
pub use phases::{Phase, PhaseSeconds};

/// What backends run on.
#[derive(Debug, Clone, Default)]
pub enum Device {
    /// The CPU, on every thread of rayon's pool.
    #[default]
    Cpu,
    /// A GPU.
    Gpu {
        /// The open device.
        gpu: Arc<Gpu>,
        /// Where the training rows lie.
        placement: Placement,
        /// How dense ones are stored there.
        storage: RowStorage,
    },
}

/// Where the training rows of a GPU run lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On the device where they fit, else streamed.
    #[default]
    Auto,
    /// On the device: uploaded once, only the order of the rows travels.
    Resident,
    /// On the host: batches are gathered and uploaded while the device works on earlier ones.
    Stream,
}

/// How the numbers of dense training rows are stored on a GPU. Scores are taken of rows as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowStorage {
    /// Single precision, as on the host.
    #[default]
    F32,
    /// Half precision: 11 bits of each number.
    F16,
    /// The nearest of 256 numbers evenly from the least of a column to its greatest.
    U8,
}

impl RowStorage {
    /// Refuses sparse rows, which are stored in single precision only.
    fn check(self, sparse: bool) -> Result<()> {
        if self == Self::F32 || !sparse {
            return Ok(());
        }
        let message = "--row-storage is for dense rows, and these are sparse: leave it out";
        Err(Error::Usage(message.into()))
    }
}

/// Runs training steps and scores rows with one model's parameters, wherever those live.
pub trait Backend {
    /// Tells the order of an epoch's rows, whose batches are steps to come: a GPU uploads it once. Steps
    /// on other rows are as good.
    ///
    /// # Errors
    /// Those of the device.
    fn begin_epoch(&mut self, _order: &[u32]) -> Result<()> {
        Ok(())
    }

    /// One step on the training rows `rows`: forward, gradient, update.
    fn step(&mut self, rows: &[u32], rates: StepRates) -> Result<()>;

    /// The same on rows other than those the backend was made for, stored alike: a window of rows that
    /// do not fit memory.
    ///
    /// # Errors
    /// [`Error::Usage`] on a GPU, whose buffers are made for certain rows.
    fn step_in(&mut self, _train: TrainRows<'_>, _rows: &[u32], _rates: StepRates) -> Result<()> {
        Err(Error::Usage("a GPU steps on the rows it was given first".into()))
    }

    /// What the steps since the last call measured; forces the device to finish them.
    fn take_totals(&mut self) -> Result<Totals>;

    /// From now on the totals tell the time of each phase; a GPU does not know it.
    fn time_phases(&mut self) {}

    /// Scores of any rows under the current parameters. Training and scoring backends may add in
    /// another order.
    fn score(&mut self, features: &Features) -> Result<Scores>;

    /// The current parameters.
    fn parameters(&mut self) -> Result<Parameters>;

    /// What the steps to come depend on beside the parameters.
    ///
    /// # Errors
    /// Those of the device; [`Error::Usage`] where there are no steps to come.
    fn memory(&mut self) -> Result<Memory>;

    /// Takes over the memory of a backend with the same parameters, sizes and settings: the steps to come
    /// have the bits they would have had there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a memory of other sizes, or of another kind of device.
    fn restore(&mut self, memory: &Memory) -> Result<()>;

    /// The losses of steps that came in since the last call, in their order. A GPU is some submissions
    /// behind.
    fn recent_losses(&mut self) -> Vec<StepLoss>;

    /// What it takes of a GPU; nothing on the CPU.
    fn device_use(&self) -> Option<DeviceUse> {
        None
    }
}

/// What a backend takes of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeviceUse {
    /// Where the training rows lie: [`Placement::Resident`] or [`Placement::Stream`].
    pub placement: Placement,
    /// How they are stored.
    pub storage: RowStorage,
    /// Bytes of the device's buffers, the rows' among them; a run makes them all before its first step.
    pub bytes: u64,
}

/// Sums over the rows of some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Rows seen.
    pub rows: u64,
    /// Σ loss of each row before its step, times its weight, training units.
    pub loss: f64,
    /// (row, anchor) pairs of each anchor `[m]`.
    pub pairs: Vec<u64>,
    /// Time of each phase, where [`Backend::time_phases`] asked for it.
    pub phases: PhaseSeconds,
}

/// The loss of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// Rows it took.
    pub rows: u64,
    /// Σ loss of each row before it, times its weight, training units; far beyond any sound loss where
    /// scores are not finite.
    pub sum: f64,
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
    /// `[n]`: factor of each row's loss and slope, of mean 1 over all rows; none: all 1. The gradient
    /// of a batch is divided by its rows, whatever they weigh.
    pub weights: Option<&'a [f32]>,
}

impl Device {
    /// Refuses local models that no buffer of the GPU can hold, and a storage that the rows cannot have,
    /// before anything is seeded for them.
    ///
    /// # Errors
    /// [`Error::Device`] with the megabytes needed and there; [`Error::Usage`] for sparse rows in a storage
    /// of dense ones.
    pub fn check_model(&self, config: &TrainConfig, shape: &DataShape) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            Self::Gpu { gpu, storage, .. } => {
                storage.check(shape.sparse)?;
                gpu::check_model(gpu, config, shape)
            }
        }
    }

    /// A backend that trains on `rows`, starting at `parameters`.
    ///
    /// # Errors
    /// [`Error::Device`] where the model or the rows do not fit the GPU; [`Error::Usage`] for rows that
    /// cannot be stored as it is asked to.
    pub fn trainer<'a>(
        &self,
        parameters: &Parameters,
        config: &TrainConfig,
        rows: TrainRows<'a>,
    ) -> Result<Box<dyn Backend + 'a>> {
        match self {
            Self::Cpu => Ok(cpu(
                parameters,
                config,
                matches!(rows.features, Features::Sparse(_)),
                Some(rows),
            )),
            Self::Gpu { gpu, placement, storage } => {
                storage.check(matches!(rows.features, Features::Sparse(_)))?;
                let place = (*placement, *storage);
                Ok(Box::new(gpu::Trainer::new(gpu, parameters, config, rows, place)?))
            }
        }
    }

    /// A backend that only scores rows of one storage.
    ///
    /// # Errors
    /// [`Error::Device`] where the model does not fit the GPU.
    pub fn scorer(
        &self,
        parameters: &Parameters,
        config: &TrainConfig,
        sparse: bool,
    ) -> Result<Box<dyn Backend>> {
        let mut scorers = self.scorers(std::slice::from_ref(parameters), config, sparse)?;
        Ok(scorers.pop().expect("one of one"))
    }

    /// One such backend for each member of an ensemble; on a GPU they share all but the parameters.
    ///
    /// # Errors
    /// As [`scorer`](Self::scorer).
    pub fn scorers(
        &self,
        members: &[Parameters],
        config: &TrainConfig,
        sparse: bool,
    ) -> Result<Vec<Box<dyn Backend>>> {
        match self {
            Self::Cpu => Ok(members.iter().map(|one| cpu(one, config, sparse, None)).collect()),
            Self::Gpu { gpu, .. } => {
                let scorers = gpu::Scorer::of_members(gpu, members, config, sparse)?;
                Ok(scorers.into_iter().map(|scorer| Box::new(scorer) as _).collect())
            }
        }
    }
}

fn cpu<'a>(
    parameters: &Parameters,
    config: &TrainConfig,
    sparse: bool,
    rows: Option<TrainRows<'a>>,
) -> Box<dyn Backend + 'a> {
    if sparse {
        Box::new(cpu::Cpu::<cpu::Sparse>::new(parameters, config, rows))
    } else {
        Box::new(cpu::Cpu::<cpu::Dense>::new(parameters, config, rows))
    }
}

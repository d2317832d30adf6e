//! The training loop: epochs of mini-batches, the best model kept.

mod footprint;
mod run;
mod snapshot;
mod start;
#[cfg(test)]
mod tests;
mod units;
mod watch;
mod windows;

use crate::backend::{Backend, Device, TrainRows, TrainTargets};
use crate::config::TrainConfig;
use crate::config::defaults::{DataShape, rate_of};
use crate::data::{Dataset, Features, Targets, weights};
use crate::error::{Error, Result};
use crate::event::{Event, Flow};
use crate::model::{Parameters, TargetScale};
use crate::outcome::Outcome;
use crate::seed::Pool;
use crate::stream::Stream;
pub use footprint::Footprint;
use run::Run;
pub use snapshot::{Counted, Position, Recent, Snapshot, Spent};
pub use start::Start;
pub(crate) use units::Units;

/// What a run trains on, and watches.
#[derive(Debug, Clone, Copy)]
pub struct TrainData<'a> {
    /// Training rows; their weights count in the gradient, in the reported training loss and in how
    /// values are standardised. Seeding and calibration look at every row alike.
    pub train: &'a Dataset,
    /// Training rows that stay on the disk; `train` is then empty, and shows how they are stored. The
    /// CPU only.
    pub stream: Option<&'a Stream>,
    /// Rows that choose the best epoch and stop the run; their weights are left out.
    pub valid: Option<&'a Dataset>,
    /// Rows whose loss is reported, and never selected on; their weights are left out.
    pub test: Option<&'a Dataset>,
    /// Classes; 2 for binary, 1 for regression.
    pub n_classes: usize,
    /// Whether features have a limit that no larger value passes.
    pub clipped: bool,
    /// Features without a non-zero in the training rows.
    pub never_seen: &'a [u32],
    /// Range that predicted values are kept within, as [`Outcome::range`].
    pub range: Option<(f32, f32)>,
    /// What to go on from; `None`: seeded parameters.
    pub start: Option<&'a Start>,
    /// The same run as it was between two steps, to be taken up there.
    pub resume: Option<&'a Snapshot<'a>>,
}

impl<'a> TrainData<'a> {
    /// Training rows alone, of so many classes (1 for a regression), to be seeded from.
    pub fn new(train: &'a Dataset, n_classes: usize) -> Self {
        let (stream, valid, test, range, start) = (None, None, None, None, None);
        let (clipped, never_seen, resume) = (false, &[][..], None);
        Self { train, stream, valid, test, n_classes, clipped, never_seen, range, start, resume }
    }

    fn n_rows(&self) -> usize {
        self.stream.map_or_else(|| self.train.features.n_rows(), Stream::n_rows)
    }

    /// The step size that a run on these rows has by default.
    fn default_rate(&self, config: &TrainConfig) -> f64 {
        let features = &self.train.features;
        let shape = DataShape {
            rows: self.n_rows(),
            features: features.n_cols(),
            nonzeros: self.stream.map_or_else(|| features.n_stored(), Stream::n_stored),
            sparse: matches!(features, Features::Sparse(_)),
            classes: self.n_classes,
            task: config.task,
        };
        rate_of(&shape, config.batch_size)
    }

    /// The training rows, to be seeded from.
    fn pool(&self) -> &dyn Pool {
        match self.stream {
            Some(stream) => stream,
            None => &self.train.features,
        }
    }
}

/// What a run made.
#[derive(Debug)]
pub struct Trained {
    /// Parameters of each member of the ensemble.
    pub members: Vec<Parameters>,
    /// How regression targets were standardised.
    pub target_scale: TargetScale,
    /// Epoch (from 1) each member was taken from; 0 is its start.
    pub best_epochs: Vec<usize>,
    /// Seconds of seeding and calibration.
    pub seed_seconds: f64,
    /// Seconds of training, evaluation not counted.
    pub train_seconds: f64,
    /// Epochs run, all members together; the last may be a part.
    pub epochs_run: f64,
    /// Whether the event handler asked to stop.
    pub stopped: bool,
    /// Advice, where the loss diverged; `members` hold the best parameters before.
    pub diverged: Option<String>,
    /// What ended the run early: a device that failed, or streamed rows that could no longer be read;
    /// `members` hold the best parameters before.
    pub failed: Option<Error>,
}

impl Trained {
    /// What there is before the first step, or was at a snapshot.
    fn begin(target_scale: TargetScale, resume: Option<&Snapshot<'_>>) -> Self {
        let before = resume.map_or_else(Spent::default, |snapshot| snapshot.position.before);
        let at = resume.map(|snapshot| &snapshot.position);
        Self {
            members: resume.map_or_else(Vec::new, |snapshot| snapshot.members.to_vec()),
            target_scale,
            best_epochs: at.map_or_else(Vec::new, |at| at.best_epochs.clone()),
            seed_seconds: before.seed_seconds,
            train_seconds: before.train_seconds,
            epochs_run: before.epochs,
            stopped: false,
            diverged: None,
            failed: None,
        }
    }
}

/// Trains every member of the ensemble `config` asks for.
///
/// # Errors
/// [`Error::Usage`] for weights of the training rows that are not one a row, finite and at least 0,
/// or all 0; whatever the backend reports before the first step. Later a diverging loss is no error here but
/// [`Trained::diverged`], and a device that fails or a file that cannot be read on
/// [`Trained::failed`].
pub fn train(
    data: &TrainData<'_>,
    config: &TrainConfig,
    device: &Device,
    on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
) -> Result<Trained> {
    if let (Some(_), Device::Gpu { .. }) = (data.stream, device) {
        return Err(Error::Usage("rows that are streamed are trained on by the CPU only".into()));
    }
    train_on(data, config, device, on_event)
}

/// Makes the backend of a member; in tests one that fails.
trait Trainers {
    fn trainer<'a>(
        &self,
        initial: &Parameters,
        config: &TrainConfig,
        rows: TrainRows<'a>,
    ) -> Result<Box<dyn Backend + 'a>>;
}

impl Trainers for Device {
    fn trainer<'a>(
        &self,
        initial: &Parameters,
        config: &TrainConfig,
        rows: TrainRows<'a>,
    ) -> Result<Box<dyn Backend + 'a>> {
        self.trainer(initial, config, rows)
    }
}

fn train_on(
    data: &TrainData<'_>,
    config: &TrainConfig,
    device: &dyn Trainers,
    on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
) -> Result<Trained> {
    let weights = weights::mean_one(data.train)?;
    let units = match (data.start, data.stream) {
        (Some(start), _) => Units::from(start.target_scale),
        (None, Some(stream)) => stream.units(),
        (None, None) => Units::of(&data.train.targets, weights.as_deref()),
    };
    let target_scale = units.scale();
    let values = units.standardise(&data.train.targets);
    let targets = match &data.train.targets {
        Targets::Classes(classes) => TrainTargets::Classes(classes),
        Targets::Values(_) => TrainTargets::Values(&values),
    };
    let rows = TrainRows { features: &data.train.features, targets, weights: weights.as_deref() };
    let outcome = Outcome { loss: config.loss, target_scale, range: data.range };
    let n_outputs = config.loss.n_outputs(data.n_classes);
    data.start.map_or(Ok(()), |start| start.check(data, config, n_outputs))?;
    data.resume.map_or(Ok(()), |snapshot| snapshot.check(data, config, n_outputs))?;
    data.valid.map_or(Ok(()), |rows| config.eval_metric.check_rows(&outcome, n_outputs, rows))?;
    let mut trained = Trained::begin(target_scale, data.resume);
    let first = trained.members.len();
    for member in first..config.ensemble {
        let run = Run { data, config, device, member, outcome, units };
        match run.fit(rows, &mut trained, on_event) {
            // A later member that cannot begin leaves those before it.
            Err(error) if member > first => trained.failed = Some(error),
            done => done?,
        }
        if trained.stopped || trained.diverged.is_some() || trained.failed.is_some() {
            break;
        }
    }
    Ok(trained)
}

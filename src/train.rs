//! The training loop: epochs of mini-batches, the best model kept.

mod start;
#[cfg(test)]
mod tests;
mod units;
mod watch;
mod windows;

use std::time::{Duration, Instant};

use crate::backend::{Backend, Device, Totals, TrainRows, TrainTargets};
use crate::config::TrainConfig;
use crate::data::{Dataset, Targets, weights};
use crate::error::{Error, Result};
use crate::event::{EpochReport, Event, Flow};
use crate::metrics::EvalMetric;
use crate::model::{Parameters, TargetScale};
use crate::outcome::Outcome;
use crate::predict::mean_loss;
use crate::schedule::Scheduler;
use crate::seed::{Pool, initial_parameters};
use crate::stream::Stream;
pub use start::Start;
pub(crate) use units::Units;
use watch::Watch;
use windows::{Order, Windows, train_rows};

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
    /// Features without a non-zero in the training rows.
    pub never_seen: &'a [u32],
    /// Range that predicted values are kept within, as [`Outcome::range`].
    pub range: Option<(f32, f32)>,
    /// What to go on from; `None`: seeded parameters.
    pub start: Option<&'a Start>,
}

impl<'a> TrainData<'a> {
    /// Training rows alone, of so many classes (1 for a regression), to be seeded from.
    pub fn new(train: &'a Dataset, n_classes: usize) -> Self {
        let (stream, valid, test, range, start) = (None, None, None, None, None);
        Self { train, stream, valid, test, n_classes, never_seen: &[], range, start }
    }

    fn n_rows(&self) -> usize {
        self.stream.map_or_else(|| self.train.features.n_rows(), Stream::n_rows)
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
    let mut trained = Trained {
        members: Vec::new(),
        target_scale,
        best_epochs: Vec::new(),
        seed_seconds: 0.0,
        train_seconds: 0.0,
        epochs_run: 0.0,
        stopped: false,
        diverged: None,
        failed: None,
    };
    let outcome = Outcome { loss: config.loss, target_scale, range: data.range };
    let n_outputs = config.loss.n_outputs(data.n_classes);
    data.start.map_or(Ok(()), |start| start.check(data, config, n_outputs))?;
    data.valid.map_or(Ok(()), |rows| config.eval_metric.check_rows(&outcome, n_outputs, rows))?;
    for member in 0..config.ensemble {
        let run = Run { data, config, device, member, outcome, units };
        match run.fit(rows, &mut trained, on_event) {
            // A later member that cannot begin leaves those before it.
            Err(error) if member > 0 => trained.failed = Some(error),
            done => done?,
        }
        if trained.stopped || trained.diverged.is_some() || trained.failed.is_some() {
            break;
        }
    }
    Ok(trained)
}

/// One member's training.
struct Run<'a> {
    data: &'a TrainData<'a>,
    config: &'a TrainConfig,
    device: &'a dyn Trainers,
    member: usize,
    outcome: Outcome,
    units: Units,
}

/// How far a member's training is.
struct Course {
    watch: Watch,
    scheduler: Scheduler,
    /// Time of the steps.
    clock: Duration,
}

impl<'a> Run<'a> {
    fn fit(
        &self,
        rows: TrainRows<'_>,
        trained: &mut Trained,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<()> {
        let (config, n) = (self.config, self.data.n_rows());
        let start = Instant::now();
        let initial = self.initial_parameters(on_event)?;
        trained.seed_seconds += start.elapsed().as_secs_f64();
        let mut backend = self.device.trainer(&initial, config, rows)?;
        if let Some(device_use) = backend.device_use() {
            on_event(&Event::Device(device_use));
        }
        let mut course = Course {
            watch: Watch::new(config, self.data.n_classes, self.loss_unit(), initial),
            scheduler: Scheduler::new(config, n, self.member),
            clock: Duration::ZERO,
        };
        let ended = match self.data.stream {
            None => self.run_epochs(&mut course, None, backend.as_mut(), on_event),
            Some(stream) => std::thread::scope(|scope| {
                let windows = Windows::start(scope, stream, self.units, config, self.member);
                self.run_epochs(&mut course, Some(windows), backend.as_mut(), on_event)
            }),
        };
        let Course { watch, scheduler, clock } = course;
        trained.epochs_run += scheduler.step() as f64 / n.div_ceil(config.batch_size) as f64;
        trained.train_seconds += clock.as_secs_f64();
        match ended {
            Ok(flow) => trained.stopped = flow == Flow::Stop,
            Err(error @ Error::Device(_)) => trained.failed = Some(error),
            Err(error) if trained.epochs_run > 0.0 => trained.failed = Some(error),
            Err(error) => return Err(error),
        }
        // The start of a member is no model, unless there is no other.
        if trained.failed.is_none() || watch.best_epoch > 0 || trained.members.is_empty() {
            trained.best_epochs.push(watch.best_epoch);
            trained.members.push(watch.best);
        }
        trained.diverged = watch.diverged;
        Ok(())
    }

    /// Epochs until the last one, or a reason to stop.
    fn run_epochs(
        &self,
        course: &mut Course,
        mut windows: Option<Windows>,
        backend: &mut dyn Backend,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Flow> {
        let mut order = Order::new(self.config, self.member);
        if self.data.start.is_some() {
            let (loss, metric) = self.measure(self.data.valid, self.config.eval_metric, backend)?;
            course.watch.begin(loss, metric);
        }
        on_event(&self.kept(course));
        while course.watch.goes_on(self.config) {
            let start = Instant::now();
            // A device may be behind: its steps are done when their totals are there.
            let done = self
                .run_epoch(&mut order, windows.as_mut(), &mut course.scheduler, backend, on_event)
                .and_then(|flow| Ok((flow, backend.take_totals()?)));
            course.clock += start.elapsed();
            let (flow, totals) = done?;
            let report = self.report(course, &totals, backend)?;
            course.watch.observe(&report, || backend.parameters())?;
            let wish = course.watch.diverged.is_none().then(|| on_event(&Event::Epoch(&report)));
            if course.watch.best_epoch == course.watch.epoch {
                on_event(&self.kept(course));
            }
            if flow == Flow::Stop || wish == Some(Flow::Stop) {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    fn kept<'c>(&self, course: &'c Course) -> Event<'c> {
        let Watch { best_epoch: epoch, best: parameters, .. } = &course.watch;
        Event::Kept { member: self.member, epoch: *epoch, parameters }
    }

    fn initial_parameters(
        &self,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Parameters> {
        let Self { data, config, member, .. } = *self;
        let n_outputs = config.loss.n_outputs(data.n_classes);
        let initial = match data.start {
            Some(start) => start.members[member].clone(),
            None => initial_parameters(data.pool(), n_outputs, data.never_seen, config, member)?,
        };
        let anchors = initial.n_anchors();
        if anchors < config.anchors && data.start.is_none() {
            on_event(&Event::Warning(format!(
                "{anchors} anchors instead of {}: the rows seeding looked at fall into no more \
                 distinct clusters",
                config.anchors
            )));
        }
        let lipschitz = f64::from(initial.log_lipschitz[0]).exp();
        on_event(&Event::MemberStart { member, lipschitz, anchors });
        Ok(initial)
    }

    /// One pass over the rows, shuffled.
    fn run_epoch(
        &self,
        order: &mut Order,
        windows: Option<&mut Windows>,
        scheduler: &mut Scheduler,
        backend: &mut dyn Backend,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Flow> {
        let all_members = scheduler.total_steps() * self.config.ensemble as u64;
        let earlier = scheduler.total_steps() * self.member as u64;
        let mut tell = |done| on_event(&Event::Step { done: earlier + done, total: all_members });
        let batch_size = self.config.batch_size;
        if let Some(windows) = windows {
            return windows.epoch(batch_size, order, &mut |window, rows| {
                backend.step_in(train_rows(window), rows, scheduler.next(rows.len()))?;
                Ok(tell(scheduler.step()))
            });
        }
        let order = order.shuffled(self.data.n_rows());
        backend.begin_epoch(order)?;
        for rows in order.chunks(batch_size) {
            backend.step(rows, scheduler.next(rows.len()))?;
            if tell(scheduler.step()) == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    fn report(
        &self,
        course: &Course,
        totals: &Totals,
        backend: &mut dyn Backend,
    ) -> Result<EpochReport> {
        let rows = totals.rows.max(1) as f64;
        let unit = self.loss_unit();
        let train_loss = totals.loss / rows * unit;
        let penalty = self.penalty(backend)?;
        let measured = |part: Option<&'a Dataset>| part.filter(|_| train_loss.is_finite());
        let (valid_loss, valid_metric) =
            self.measure(measured(self.data.valid), self.config.eval_metric, backend)?;
        let (test_loss, _) = self.measure(measured(self.data.test), EvalMetric::Loss, backend)?;
        Ok(EpochReport {
            member: self.member,
            epoch: course.watch.epoch + 1,
            epochs: self.config.epochs,
            train_loss,
            valid_loss,
            valid_metric,
            test_loss,
            objective: train_loss + penalty * unit,
            mean_active: totals.pairs.iter().sum::<u64>() as f64 / rows,
            dead_anchors: totals.pairs.iter().filter(|&&pairs| pairs == 0).count(),
            learning_rate: course.scheduler.last_rate(),
            seconds: course.clock.as_secs_f64(),
        })
    }

    /// Loss and metric of a part, if there is one.
    fn measure(
        &self,
        part: Option<&Dataset>,
        metric: EvalMetric,
        backend: &mut dyn Backend,
    ) -> Result<(Option<f64>, Option<f64>)> {
        let Some(part) = part else { return Ok((None, None)) };
        let (scores, targets) = (backend.score(&part.features)?.outputs, &part.targets);
        let loss = mean_loss(self.config.loss, &scores, targets, self.outcome.target_scale);
        Ok((Some(loss), metric.measure(&self.outcome, &scores, targets)))
    }

    /// A loss of 1 in training units, in the user's squared.
    fn loss_unit(&self) -> f64 {
        f64::from(self.outcome.target_scale.deviation).powi(2)
    }

    /// ½·l2·‖θ‖² over linear weights and factors.
    fn penalty(&self, backend: &mut dyn Backend) -> Result<f64> {
        if self.config.l2 == 0.0 {
            return Ok(0.0);
        }
        let parameters = backend.parameters()?;
        let weights = parameters.linear.iter().chain(&parameters.factors);
        let squares: f64 = weights.map(|&w| f64::from(w).powi(2)).sum();
        Ok(0.5 * self.config.l2 * squares)
    }
}

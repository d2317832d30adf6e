//! The training of one member: epochs of steps, each epoch measured.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::snapshot::{Counted, Position, Snapshot, Spent};
use super::units::Units;
use super::watch::Watch;
use super::windows::{Order, Windows, train_rows};
use super::{TrainData, Trained, Trainers};
use crate::backend::{Backend, Memory, Totals, TrainRows};
use crate::config::TrainConfig;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::event::{EpochReport, Event, Flow};
use crate::metrics::EvalMetric;
use crate::model::Parameters;
use crate::outcome::Outcome;
use crate::predict::mean_loss;
use crate::schedule::Scheduler;
use crate::seed::initial_parameters;

/// One member's training.
pub(super) struct Run<'a> {
    pub(super) data: &'a TrainData<'a>,
    pub(super) config: &'a TrainConfig,
    pub(super) device: &'a dyn Trainers,
    pub(super) member: usize,
    pub(super) outcome: Outcome,
    pub(super) units: Units,
}

/// How far a member's training is.
struct Course<'t> {
    watch: Watch,
    scheduler: Scheduler,
    /// Steps that an earlier run took.
    taken: u64,
    /// L that calibration chose.
    lipschitz: f64,
    /// Time of the steps, but for those since `began`.
    clock: Duration,
    began: Option<Instant>,
    /// Whether it was left behind a snapshot, with nothing more to measure.
    left: bool,
    /// The members before.
    trained: &'t Trained,
}

/// Whoever watches a run.
type OnEvent<'e> = dyn FnMut(&Event<'_>) -> Flow + 'e;

impl<'a> Run<'a> {
    pub(super) fn fit(
        &self,
        rows: TrainRows<'_>,
        trained: &mut Trained,
        on_event: &mut OnEvent<'_>,
    ) -> Result<()> {
        let (config, n) = (self.config, self.data.n_rows());
        let resume = self.data.resume.filter(|snapshot| snapshot.member() == self.member);
        let start = Instant::now();
        let initial = match resume {
            Some(snapshot) => snapshot.current.clone(),
            None => self.initial_parameters(on_event)?,
        };
        trained.seed_seconds += start.elapsed().as_secs_f64();
        let mut backend = self.device.trainer(&initial, config, rows)?;
        resume.map_or(Ok(()), |snapshot| backend.restore(&snapshot.memory))?;
        let mut course = self.course(resume, initial, trained);
        let (lipschitz, anchors) = (course.lipschitz, course.watch.best.n_anchors());
        on_event(&Event::MemberStart { member: self.member, lipschitz, anchors });
        if let Some(device_use) = backend.device_use() {
            on_event(&Event::Device(device_use));
        }
        let ended = match self.data.stream {
            None => self.run_epochs(&mut course, None, backend.as_mut(), on_event),
            Some(stream) => std::thread::scope(|scope| {
                let done = course.watch.epoch;
                let windows = Windows::start(scope, stream, self.units, config, self.member, done);
                self.run_epochs(&mut course, Some(windows), backend.as_mut(), on_event)
            }),
        };
        let Course { watch, scheduler, clock, .. } = course;
        trained.epochs_run += scheduler.step() as f64 / n.div_ceil(config.batch_size) as f64;
        trained.train_seconds += clock.as_secs_f64();
        match ended {
            Ok(flow) => trained.stopped = flow == Flow::Stop,
            Err(error @ Error::Device(_)) => trained.failed = Some(error),
            Err(error) if trained.epochs_run > 0.0 => trained.failed = Some(error),
            Err(error) => return Err(error),
        }
        // The start of a member is no model, unless there is no other.
        let whole = trained.failed.is_none() && watch.diverged.is_none();
        if whole || watch.best_epoch > 0 || trained.members.is_empty() {
            trained.best_epochs.push(watch.best_epoch);
            trained.members.push(watch.best);
        }
        trained.diverged = watch.diverged;
        Ok(())
    }

    /// The course of a member from its first step on, or from a snapshot.
    fn course<'t>(
        &self,
        resume: Option<&Snapshot<'_>>,
        initial: Parameters,
        trained: &'t Trained,
    ) -> Course<'t> {
        let position = resume.map(|snapshot| &snapshot.position);
        let seeded = f64::from(initial.log_lipschitz[0]).exp();
        let seconds = position.map_or(0.0, |at| at.seconds);
        let mut watch = Watch::new(self.config, self.data, self.loss_unit(), initial);
        resume.iter().for_each(|snapshot| watch.resume(snapshot));
        Course {
            watch,
            scheduler: Scheduler::new(self.config, self.data.n_rows(), self.member),
            taken: position.map_or(0, |at| at.steps),
            lipschitz: position.map_or(seeded, |at| at.lipschitz),
            clock: Duration::from_secs_f64(seconds),
            began: None,
            left: false,
            trained,
        }
    }

    /// Epochs until the last one, or a reason to stop.
    fn run_epochs(
        &self,
        course: &mut Course<'_>,
        mut windows: Option<Windows>,
        backend: &mut dyn Backend,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Flow> {
        let mut order = Order::new(self.config, self.member);
        for _ in 0..course.watch.epoch {
            match &mut windows {
                None => drop(order.shuffled(self.data.n_rows())),
                Some(windows) => windows.skip_epoch(&mut order)?,
            }
            course.scheduler.skip_epoch(self.data.n_rows(), self.config.batch_size);
        }
        if self.data.start.is_some() && course.taken == 0 {
            let (loss, metric) = self.measure(self.data.valid, self.config.eval_metric, backend)?;
            course.watch.begin(loss, metric);
        }
        on_event(&self.kept(course));
        while course.watch.goes_on(self.config) {
            let began = *course.began.insert(Instant::now());
            // A device may be behind: its steps are done when their totals are there.
            let done = self
                .run_epoch(&mut order, windows.as_mut(), course, backend, on_event)
                .and_then(|flow| Ok((flow, backend.take_totals()?)));
            course.began = None;
            course.clock += began.elapsed();
            let (flow, totals) = done?;
            course.watch.see(&backend.recent_losses(), course.scheduler.last_rate());
            if course.watch.diverged.is_some() {
                return Ok(Flow::Continue);
            }
            if course.left {
                return Ok(flow);
            }
            let report = self.report(course, &totals, backend)?;
            course.watch.observe(&report, || backend.parameters())?;
            if course.watch.diverged.is_some() {
                return Ok(Flow::Continue);
            }
            let wish = on_event(&Event::Epoch(&report));
            if course.watch.best_epoch == course.watch.epoch {
                on_event(&self.kept(course));
            }
            let wish = self.heed(wish, course, backend, on_event)?;
            if course.watch.diverged.is_none() && (flow == Flow::Stop || wish == Flow::Stop) {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Does what the handler of an event asked for.
    fn heed(
        &self,
        wish: Flow,
        course: &mut Course<'_>,
        backend: &mut dyn Backend,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Flow> {
        if wish != Flow::Snapshot {
            return Ok(wish);
        }
        // A device has now done all steps before.
        let memory = backend.memory()?;
        course.watch.see(&backend.recent_losses(), course.scheduler.last_rate());
        let current = backend.parameters()?;
        let counted = Counted::from(&memory.totals);
        if course.watch.diverged.is_none() && !(current.is_finite() && counted.loss.is_finite()) {
            let mean = counted.loss / counted.rows.max(1) as f64 * self.loss_unit();
            course.watch.diverge(mean, course.scheduler.last_rate());
        }
        if course.watch.diverged.is_some() {
            return Ok(Flow::Stop);
        }
        let snapshot = self.snapshot(course, current, memory);
        let wish = on_event(&Event::Snapshot(&snapshot));
        course.left = wish == Flow::Stop;
        Ok(if course.left { wish } else { Flow::Continue })
    }

    fn snapshot<'s>(
        &self,
        course: &'s Course<'_>,
        current: Parameters,
        memory: Memory,
    ) -> Snapshot<'s> {
        let Course { watch, trained, scheduler, .. } = course;
        let running = course.began.map_or(Duration::ZERO, |began| began.elapsed());
        Snapshot {
            members: Cow::Borrowed(&trained.members),
            best: Cow::Borrowed(&watch.best),
            current,
            position: Position {
                best_epochs: trained.best_epochs.clone(),
                done: self.done(scheduler),
                steps: scheduler.step(),
                epoch: watch.epoch,
                best_epoch: watch.best_epoch,
                best_cost: watch.best_cost(),
                least_loss: watch.least_loss(),
                recent: watch.recent(),
                counted: Counted::from(&memory.totals),
                lipschitz: course.lipschitz,
                seconds: (course.clock + running).as_secs_f64(),
                before: Spent {
                    seed_seconds: trained.seed_seconds,
                    train_seconds: trained.train_seconds,
                    epochs: trained.epochs_run,
                },
            },
            memory,
        }
    }

    /// Steps done, of all members.
    fn done(&self, scheduler: &Scheduler) -> u64 {
        scheduler.total_steps() * self.member as u64 + scheduler.step()
    }

    fn kept<'c>(&self, course: &'c Course<'_>) -> Event<'c> {
        let Watch { best_epoch: epoch, best: parameters, .. } = &course.watch;
        Event::Kept { member: self.member, epoch: *epoch, parameters }
    }

    fn initial_parameters(&self, on_event: &mut OnEvent<'_>) -> Result<Parameters> {
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
        Ok(initial)
    }

    /// One pass over the rows, shuffled; those of steps that an earlier run took are passed over.
    fn run_epoch(
        &self,
        order: &mut Order,
        windows: Option<&mut Windows>,
        course: &mut Course<'_>,
        backend: &mut dyn Backend,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Flow> {
        let batch_size = self.config.batch_size;
        if let Some(windows) = windows {
            return windows.epoch(batch_size, order, &mut |window, rows| {
                let rates = course.scheduler.next(rows.len());
                if course.scheduler.step() <= course.taken {
                    return Ok(Flow::Continue);
                }
                backend.step_in(train_rows(window), rows, rates)?;
                self.after_step(course, backend, on_event)
            });
        }
        let order = order.shuffled(self.data.n_rows());
        backend.begin_epoch(order)?;
        for rows in order.chunks(batch_size) {
            let rates = course.scheduler.next(rows.len());
            if course.scheduler.step() <= course.taken {
                continue;
            }
            backend.step(rows, rates)?;
            if self.after_step(course, backend, on_event)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Looks at what came of the steps, and tells whoever watches.
    fn after_step(
        &self,
        course: &mut Course<'_>,
        backend: &mut dyn Backend,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Flow> {
        course.watch.see(&backend.recent_losses(), course.scheduler.last_rate());
        if course.watch.diverged.is_some() {
            return Ok(Flow::Stop);
        }
        let total = course.scheduler.total_steps() * self.config.ensemble as u64;
        let done = self.done(&course.scheduler);
        let wish = on_event(&Event::Step { done, total });
        self.heed(wish, course, backend, on_event)
    }

    fn report(
        &self,
        course: &Course<'_>,
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

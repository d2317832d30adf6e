//! `llfm train`: read, decide, train, measure, save.

mod checkpoints;
mod circumstances;
mod course;
mod talk;

use std::path::{Path, PathBuf};

use llfm::backend::Device;
use llfm::checkpoint::{Checkpoints, Found};
use llfm::config::defaults::{self, DataShape};
use llfm::config::resume::resume;
use llfm::config::{Loss, TrainConfig, name_of};
use llfm::data::Task;
use llfm::experiment::Measured;
use llfm::metrics::EvalMetric;
use llfm::model::{Model, check_length};
use llfm::output::OutputLock;
use llfm::settings::Settings;
use llfm::train::Trained;
use llfm::{Error, Result, plot};
use sha2::{Digest, Sha256};

use super::args::TrainArgs;
use super::console::{Console, complain};
use super::device::Compute;
use super::load::Loaded;
use super::memory::{check_kept_training, check_training};
use super::outputs::{self, Output, is_special, require_folder, resolved};
use super::progress::Progress;
use super::report::Facts;
use super::signals::Signals;
use checkpoints::Keeper;

/// Runs the command.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    check_outputs(args)?;
    let limit = args.read.limit();
    let load = |path: &Path| Model::load_within(path, limit);
    let start = args.init_model.as_deref().map(load).transpose()?;
    // Only a run that is kept is told from others.
    let kept = args.keep.checkpoint.as_ref().and(start.as_ref());
    let start_print = kept.zip(args.init_model.as_deref()).map(fingerprint).transpose()?;
    let plan = Plan::of(&args.settings, start.as_ref())?;
    let has_valid = args.parts.valid.is_some() || args.parts.valid_fraction > 0.0;
    check_watch(&args.settings, has_valid)?;
    let compute = if args.stream {
        args.run.start_streaming(args.gpu_rows)?
    } else {
        args.run.start(args.gpu_rows, args.talk.quiet)?
    };
    let mut locks = Vec::new();
    for (flag, path) in args.outputs() {
        if is_special(path) {
            continue;
        }
        locks.push(OutputLock::acquire(path)?);
        // Another run may have finished the file between the first look and the lock.
        outputs::refuse_existing(path, flag, args.replaces())?;
    }
    let keeper = Keeper::open(&args.keep, args.output.force, limit)?;
    let signals = Signals::install()?;
    let files = locks.iter().map(OutputLock::path).chain(keeper.iter().map(Keeper::lock));
    let reading = signals.end_at_once(files.map(Path::to_owned).collect())?;
    let loaded = Loaded::read(args, start)?;
    check_watch(&args.settings, loaded.rows.valid.is_some())?;
    let shape = loaded.rows.shape();
    let config = plan.config(&shape)?;
    // A model to go on from keeps its anchors, however few rows there are.
    let least = if args.init_model.is_some() { config.anchors } else { 0 };
    let shape = DataShape { rows: shape.rows.max(least), ..shape };
    let check = if keeper.is_some() { check_kept_training } else { check_training };
    check(&config, &shape, loaded.rows.bytes(), limit)?;
    compute.device.check_model(&config, &shape)?;
    if args.output.model.is_some() {
        check_length(&loaded.rows.preprocess, &loaded.rows.labels)?;
    }
    let mut job = Job::new(args, config, compute, loaded, signals);
    (job.keeper, job.start) = (keeper, start_print);
    job.take_up()?;
    drop(reading);
    job.introduce()?;
    let trained = job.train()?;
    job.conclude(trained)
}

/// SHA-256 of a model's file as it is written now, in hexadecimal: a pipe is read but once.
fn fingerprint((model, path): (&Model, &Path)) -> Result<String> {
    Ok(format!("{:x}", Sha256::digest(model.to_bytes(path)?)))
}

/// Refuses outputs that cannot be meant, before any work is done.
fn check_outputs(args: &TrainArgs) -> Result<()> {
    if let Some(path) = &args.output.plot {
        plot::check_path(path)?;
    }
    let parts = [Some(&args.data), args.parts.valid.as_ref(), args.parts.test.as_ref()];
    if parts.into_iter().flatten().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::Usage(
            "standard input can be only one of DATA, --valid and --test".into(),
        ));
    }
    let parts = &args.parts;
    let inputs = [
        Some(&args.data),
        parts.valid.as_ref(),
        parts.test.as_ref(),
        args.init_model.as_ref(),
        args.read.labels.as_ref(),
        parts.valid_labels.as_ref(),
        parts.test_labels.as_ref(),
        args.output.config.as_ref(),
    ];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
    let outputs = args.outputs();
    args.keep.checkpoint.as_deref().map_or(Ok(()), require_folder)?;
    if let Some(folder) = args.keep.checkpoint.as_deref().map(resolved)
        && let Some((flag, path)) = outputs.iter().find(|(_, path)| resolved(path) == folder)
    {
        let path = path.display();
        let message = format!("{flag} {path} is the folder of --checkpoint: choose another name");
        return Err(Error::Usage(message));
    }
    outputs::check(&outputs, &inputs, args.replaces())
}

impl TrainArgs {
    /// The files to write, with their flags.
    fn outputs(&self) -> Vec<Output<'_>> {
        let all = [("--model", &self.output.model), ("--plot", &self.output.plot)];
        all.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))).collect()
    }

    /// Whether outputs that exist are replaced: unasked only by the run that writes them, which its
    /// checkpoint tells once it is read.
    fn replaces(&self) -> bool {
        let kept = || self.keep.checkpoint.as_deref().is_some_and(Checkpoints::are_in);
        self.output.force || (self.keep.resume && kept())
    }
}

/// Where the settings come from: flags and defaults, and a model to go on from.
struct Plan<'a> {
    settings: &'a Settings,
    /// The settings of that model, and how many members it has.
    start: Option<(TrainConfig, usize)>,
}

impl<'a> Plan<'a> {
    /// Refuses settings that fit no data, or not the model, before the data is read.
    fn of(settings: &'a Settings, start: Option<&Model>) -> Result<Self> {
        let Some(model) = start else {
            check_settings(settings)?;
            return Ok(Self { settings, start: None });
        };
        let plan = Self { settings, start: Some((model.config.clone(), model.members.len())) };
        let shape = DataShape {
            features: model.preprocess.n_features(),
            sparse: model.preprocess.is_sparse(),
            classes: model.labels.n_classes().max(1),
            ..any_data(model.config.task)
        };
        plan.config(&shape).map(|_| plan)
    }

    fn config(&self, shape: &DataShape) -> Result<TrainConfig> {
        match &self.start {
            None => defaults::resolve(self.settings, shape),
            Some((model, members)) => resume(self.settings, shape, model, *members),
        }
    }
}

/// A shape that nothing is known about yet.
fn any_data(task: Task) -> DataShape {
    DataShape { rows: 1000, features: 10, nonzeros: 10_000, sparse: false, classes: 2, task }
}

/// Refuses settings that fit no data, rather than after minutes of reading.
pub(super) fn check_settings(settings: &Settings) -> Result<()> {
    let task =
        settings.task.flatten().unwrap_or(match (settings.loss.flatten(), settings.eval_metric) {
            (Some(Loss::Softmax | Loss::Ovr), _) => Task::Multiclass,
            (Some(Loss::Squared), _) | (None, Some(EvalMetric::Rmse | EvalMetric::Mae)) => {
                Task::Regression
            }
            (Some(Loss::Logistic | Loss::Hinge) | None, _) => Task::Binary,
        });
    defaults::resolve(settings, &any_data(task)).map(drop)
}

/// Refuses a patience or a metric with no validation rows to look at.
pub(super) fn check_watch(settings: &Settings, has_valid: bool) -> Result<()> {
    match watching(settings) {
        Some(flag) if !has_valid => Err(Error::Usage(format!(
            "{flag} needs validation rows: name them by --valid, or hold some out by --valid-fraction"
        ))),
        _ => Ok(()),
    }
}

/// The flag that makes no sense without validation rows, where one is given.
pub(super) fn watching(settings: &Settings) -> Option<String> {
    let metric = settings.eval_metric.filter(|&metric| metric != EvalMetric::Loss);
    let metric = metric.map(|metric| format!("--eval-metric {}", name_of(metric)));
    settings.patience.map(|n| format!("--patience {n}")).or(metric)
}

/// One training run and everything it prints.
struct Job<'a> {
    args: &'a TrainArgs,
    config: TrainConfig,
    compute: Compute,
    loaded: Loaded,
    signals: Signals,
    console: Console,
    facts: Facts,
    /// Writes checkpoints, where they are asked for.
    keeper: Option<Keeper>,
    /// The checkpoint to go on from.
    found: Option<Found>,
    /// What tells the model of `--init-model` from others.
    start: Option<String>,
    /// Whether the run was left for its last checkpoint.
    left: bool,
    /// What was written, and where.
    written: Vec<(&'static str, PathBuf)>,
}

impl<'a> Job<'a> {
    fn new(
        args: &'a TrainArgs,
        config: TrainConfig,
        compute: Compute,
        loaded: Loaded,
        signals: Signals,
    ) -> Self {
        let shape = loaded.rows.shape();
        let sizes = (shape.rows, shape.features, shape.nonzeros);
        let facts = Facts::new("train", &config, &compute, loaded.rows.labels.n_classes(), sizes);
        // With nothing to save, training for a closed pipe is for nobody.
        let console = Console::new(args.output.model.is_some() || args.output.plot.is_some());
        Self {
            args,
            config,
            compute,
            loaded,
            signals,
            console,
            facts,
            keeper: None,
            found: None,
            start: None,
            left: false,
            written: Vec::new(),
        }
    }

    /// Measures, saves and reports; then fails where training did not end well.
    fn conclude(mut self, (mut trained, progress): (Trained, Progress)) -> Result<()> {
        if self.left {
            self.say_how_to_resume();
        }
        if self.left || trained.members.is_empty() {
            self.signals.check()?;
        }
        let facts = Facts { anchors: progress.anchors.max(1), ..self.facts.clone() };
        let measured = self.measure(&mut trained)?;
        // What cannot be written must not take the results with it: they are printed first.
        let written = self.write(&measured, &progress);
        if self.args.talk.json {
            self.print_result(facts, &progress, &trained, &measured)?;
        } else if self.talks() {
            self.print_summary(&progress, &trained, &measured)?;
        }
        if written.is_err() || matches!(trained.failed, Some(Error::Device(_))) {
            self.say_how_to_resume();
        }
        written?;
        let ended_early = trained.diverged.is_some()
            || trained.failed.is_some()
            || self.signals.received().is_some();
        if let (true, false, Some(path)) =
            (ended_early, self.args.talk.quiet, &self.args.output.model)
        {
            let best = if self.loaded.rows.valid.is_some() { "best model" } else { "model" };
            complain("note", &format!("the {best} so far is in {}", path.display()));
        }
        if trained.diverged.is_some() && !self.args.talk.quiet {
            let kept = self.keeper.iter().filter(|keeper| keeper.newest().is_some());
            for folder in kept.map(|keeper| keeper.folder().display()) {
                let text = format!("{folder} holds the run that diverged: --force replaces it");
                complain("note", &text);
            }
        }
        let unkept = self.keeper.and_then(|keeper| keeper.unkept);
        match (trained.failed, trained.diverged, self.signals.received()) {
            (Some(error), _, _) => Err(error),
            (None, Some(advice), _) => Err(Error::Diverged(advice)),
            (None, None, Some(signal)) => Err(unkept.unwrap_or(Error::Interrupted { signal })),
            (None, None, None) => Ok(()),
        }
    }

    /// Writes the model, then the plot.
    fn write(&mut self, measured: &Measured, progress: &Progress) -> Result<()> {
        let output = &self.args.output;
        if let Some(path) = &output.model {
            measured.model.save(path)?;
            self.written.push(("model", path.clone()));
        }
        if let Some(path) = &output.plot {
            let title = format!("{} on {}", self.facts.method, short_name(&self.args.data));
            let loss = format!("{} loss", self.facts.loss);
            plot::learning_curve(path, &title, &loss, &progress.epochs)?;
            self.written.push(("plot", path.clone()));
        }
        Ok(())
    }

    /// Measures the model, on the CPU where the device failed before or fails now, and without the
    /// training rows where they cannot be read any more.
    fn measure(&mut self, trained: &mut Trained) -> Result<Measured> {
        let mut measured = self.measure_somewhere(trained)?;
        if let Some(error) = measured.unread.take() {
            trained.failed.get_or_insert(error);
        }
        Ok(measured)
    }

    fn measure_somewhere(&mut self, trained: &mut Trained) -> Result<Measured> {
        if !matches!(trained.failed, Some(Error::Device(_))) {
            match self.loaded.rows.measure(&self.config, trained, &self.compute.device) {
                Err(error @ Error::Device(_)) => trained.failed = Some(error),
                measured => return measured,
            }
        }
        if !self.args.talk.quiet {
            complain("note", "the device failed; the model so far is measured on the CPU");
        }
        self.loaded.rows.measure(&self.config, trained, &Device::Cpu)
    }
}

fn short_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

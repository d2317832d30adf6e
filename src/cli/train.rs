//! `llfm train`: read, decide, train, measure, save.

use std::path::{Path, PathBuf};
use std::time::Instant;

use llfm::config::{TrainConfig, defaults, name_of};
use llfm::data::Dataset;
use llfm::event::Flow;
use llfm::metrics::{self, Metrics};
use llfm::model::{Model, Summary, fingerprint};
use llfm::outcome::Outcome;
use llfm::output::OutputLock;
use llfm::predict::Scorer;
use llfm::train::{TrainData, Trained, train};
use llfm::{Error, Result, plot};

use super::args::TrainArgs;
use super::console::{Console, complain};
use super::load::Loaded;
use super::memory::show_size;
use super::progress::Progress;
use super::report::{self, Facts, Seconds, count, duration};
use super::signals::Signals;

/// Runs the command.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    check_outputs(args)?;
    args.run.start()?;
    let lock = args.output.model.as_deref().filter(|path| !is_special(path));
    let lock = lock.map(OutputLock::acquire).transpose()?;
    let signals = Signals::install()?;
    let reading = signals.end_at_once(lock.as_ref().map(|lock| lock.path().to_owned()));
    let loaded = Loaded::read(args)?;
    drop(reading);
    let config = defaults::resolve(&args.settings, &loaded.shape())?;
    let mut job = Job::new(args, config, loaded, signals);
    job.introduce()?;
    let trained = job.train()?;
    job.conclude(trained)
}

/// Refuses outputs that cannot be meant, before any work is done.
fn check_outputs(args: &TrainArgs) -> Result<()> {
    if let Some(path) = &args.output.plot {
        plot::check_path(path)?;
    }
    let parts = [Some(&args.data), args.parts.valid.as_ref(), args.parts.test.as_ref()];
    if parts.into_iter().flatten().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::Usage("standard input can be only one of DATA, --valid and --test".into()));
    }
    let outputs = [("--model", &args.output.model), ("--plot", &args.output.plot)];
    for (flag, path) in outputs {
        if let Some(path) = path {
            refuse_existing(path, flag, args.output.force)?;
        }
    }
    Ok(())
}

/// Refuses to replace a file unasked, or a folder at all.
pub(crate) fn refuse_existing(path: &Path, flag: &str, force: bool) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::Usage(format!("{flag} {shown} is a folder: name a file in it")));
    }
    if path.exists() && !force && !is_special(path) {
        return Err(Error::Usage(format!(
            "{flag} {shown} exists: choose another name, or add --force to replace it"
        )));
    }
    Ok(())
}

/// A device or pipe: nothing there can be lost.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// One training run and everything it prints.
struct Job<'a> {
    args: &'a TrainArgs,
    config: TrainConfig,
    loaded: Loaded,
    signals: Signals,
    console: Console,
    facts: Facts,
}

/// What was measured after training.
struct Measured {
    model: Model,
    seconds: f64,
}

impl<'a> Job<'a> {
    fn new(args: &'a TrainArgs, config: TrainConfig, loaded: Loaded, signals: Signals) -> Self {
        let shape = loaded.shape();
        let sizes = (shape.rows, shape.features, shape.nonzeros);
        let facts = Facts::new("train", &config, loaded.labels.n_classes(), sizes);
        // With nothing to save, training for a closed pipe is for nobody.
        let console = Console::new(args.output.model.is_some() || args.output.plot.is_some());
        Self { args, config, loaded, signals, console, facts }
    }

    fn talks(&self) -> bool {
        !self.args.talk.json && !self.args.talk.quiet
    }

    /// Says what was read and decided.
    fn introduce(&mut self) -> Result<()> {
        if self.args.talk.json {
            return self.console.event(&StartEvent { facts: &self.facts, settings: &self.config });
        }
        if !self.talks() {
            return Ok(());
        }
        let (facts, config, console) = (&self.facts, &self.config, &mut self.console);
        let title = console.bold(&facts.method);
        console.line(&format!("{title} · {} · {} loss", facts.task, facts.loss))?;
        let kind = if self.loaded.preprocess.is_sparse() { "sparse" } else { "dense" };
        let classes = facts.classes.map_or_else(String::new, |n| format!(", {} classes", count(n)));
        let rows = |set: &Option<Dataset>, name: &str| {
            set.as_ref().map_or_else(String::new, |set| {
                format!(", {} {name}", count(set.features.n_rows()))
            })
        };
        let data = format!(
            "{} training{}{} rows, {} {kind} features{classes}",
            count(facts.rows),
            rows(&self.loaded.valid, "validation"),
            rows(&self.loaded.test, "test"),
            count(facts.features),
        );
        let learning = format!(
            "{}, rate {:.3}, batches of {}, {} epochs, seed {}",
            name_of(config.optimizer),
            config.learning_rate,
            config.batch_size,
            config.epochs,
            config.seed
        );
        let device = format!("cpu, {} threads", facts.threads);
        for (name, text) in [("data", data), ("training", learning), ("device", device)] {
            let name = console.dim(&format!("{name:<9}"));
            console.line(&format!("  {name}{text}"))?;
        }
        if self.args.talk.verbose {
            let settings = serde_json::to_string(config).unwrap_or_default();
            complain("note", &format!("settings: {settings}"));
        }
        console.flush()
    }

    /// Trains with the progress shown; a signal ends it after the step.
    fn train(&mut self) -> Result<(Trained, Progress)> {
        let mut progress =
            Progress::new(&self.args.talk, self.config.ensemble, self.config.batch_size);
        let never_seen = self.loaded.preprocess.never_seen();
        let data = TrainData {
            train: &self.loaded.train,
            valid: self.loaded.valid.as_ref(),
            test: self.loaded.test.as_ref(),
            n_classes: self.loaded.labels.n_classes().max(1),
            never_seen: &never_seen,
        };
        let (signals, console) = (&self.signals, &mut self.console);
        let mut failed = None;
        let trained = train(&data, &self.config, &mut |event| {
            if let Err(error) = progress.show(event, console) {
                failed.get_or_insert(error);
            }
            if failed.is_some() || signals.received().is_some() { Flow::Stop } else { Flow::Continue }
        });
        progress.finish();
        failed.map_or(Ok(()), Err)?;
        Ok((trained?, progress))
    }

    /// Measures, saves and reports; then fails where training did not end well.
    fn conclude(mut self, (trained, progress): (Trained, Progress)) -> Result<()> {
        if trained.members.is_empty() {
            self.signals.check()?;
        }
        let facts = Facts { anchors: progress.anchors.max(1), ..self.facts.clone() };
        let measured = self.measure(&trained)?;
        if let Some(path) = &self.args.output.model {
            measured.model.save(path)?;
        }
        if let Some(path) = &self.args.output.plot {
            let title = format!("{} on {}", facts.method, short_name(&self.args.data));
            plot::learning_curve(path, &title, &format!("{} loss", facts.loss), &progress.epochs)?;
        }
        if self.args.talk.json {
            self.print_result(facts, &trained, &measured)?;
        } else if self.talks() {
            self.print_summary(&progress, &trained, &measured)?;
        }
        match (trained.diverged, self.signals.received()) {
            (Some(advice), _) => Err(Error::Diverged(advice)),
            (None, Some(signal)) => Err(Error::Interrupted { signal }),
            (None, None) => Ok(()),
        }
    }

    /// Scores every part with the finished model.
    fn measure(&mut self, trained: &Trained) -> Result<Measured> {
        let start = Instant::now();
        let mut model = Model {
            config: self.config.clone(),
            preprocess: self.loaded.preprocess.clone(),
            labels: self.loaded.labels.clone(),
            target_scale: trained.target_scale,
            members: trained.members.clone(),
            summary: Summary {
                rows: self.facts.rows,
                nonzeros: self.facts.nonzeros,
                data_fingerprint: fingerprint(&self.loaded.train),
                best_epochs: trained.best_epochs.clone(),
                ..Summary::default()
            },
        };
        let outcome = Outcome::of(&model);
        let mut scorer =
            Scorer::new(&model.members, &model.config, model.preprocess.is_sparse());
        let loaded = &self.loaded;
        let parts =
            [("train", Some(&loaded.train)), ("valid", loaded.valid.as_ref()), ("test", loaded.test.as_ref())];
        for (name, set) in parts {
            let Some(set) = set else { continue };
            let scores = scorer.score(&set.features)?;
            if name == "train" {
                let rows = self.facts.rows as f64;
                model.summary.mean_active = scores.pairs as f64 / rows;
                model.summary.anchor_share = scores.gamma.iter().map(|sum| sum / rows).collect();
            }
            let found = metrics::compute(&outcome, &scores.outputs, &set.targets);
            model.summary.metrics.insert(name.to_owned(), found);
        }
        drop(scorer);
        Ok(Measured { model, seconds: start.elapsed().as_secs_f64() })
    }

    fn rows_per_second(&self, trained: &Trained) -> f64 {
        self.facts.rows as f64 * trained.epochs_run / trained.train_seconds.max(1e-9)
    }

    fn print_result(&mut self, facts: Facts, trained: &Trained, measured: &Measured) -> Result<()> {
        let part = |name: &str| measured.model.summary.metrics.get(name);
        report::Outcome {
            facts,
            seconds: Seconds {
                load: self.loaded.seconds,
                seed: trained.seed_seconds,
                train: trained.train_seconds,
                evaluate: measured.seconds,
            },
            rows_per_second: self.rows_per_second(trained),
            mean_active: measured.model.summary.mean_active,
            peak_memory_bytes: None,
            stopped: self.why_stopped(trained),
            epochs_run: trained.epochs_run,
            best_epochs: &trained.best_epochs,
            train: part("train"),
            valid: part("valid"),
            test: part("test"),
        }
        .print(&mut self.console)
    }

    fn why_stopped(&self, trained: &Trained) -> Option<&'static str> {
        if trained.diverged.is_some() {
            return Some("diverged");
        }
        if trained.stopped {
            return Some("interrupted");
        }
        let all = (self.config.epochs * self.config.ensemble) as f64;
        (trained.epochs_run < all - 0.5).then_some("patience")
    }

    fn print_summary(&mut self, progress: &Progress, trained: &Trained, measured: &Measured) -> Result<()> {
        let rate = self.rows_per_second(trained);
        let summary = &measured.model.summary;
        let model = format!(
            "{} anchors × {} factors, {:.1} active a row, {} distance, L {:.3}{}",
            count(progress.anchors),
            self.config.factors,
            summary.mean_active,
            name_of(self.config.distance),
            progress.lipschitz,
            if self.config.ensemble > 1 { format!(", {} members", trained.members.len()) } else { String::new() },
        );
        let epochs = match self.why_stopped(trained) {
            Some(why) => format!(" (ended by {})", if why == "patience" { "--patience" } else { why }),
            None => String::new(),
        };
        let time = format!("{}{epochs}, {} rows/s", duration(trained.train_seconds), count(rate as u64));
        let mut lines = vec![("model", model), ("time", time)];
        if self.loaded.valid.is_some() {
            let best: Vec<String> = trained.best_epochs.iter().map(ToString::to_string).collect();
            lines.push(("kept", format!("epoch {}, the best by validation loss", best.join(", "))));
        }
        for (name, text) in lines {
            let name = self.console.dim(&format!("{name:<9}"));
            self.console.line(&format!("  {name}{text}"))?;
        }
        self.console.line("")?;
        let parts = ["train", "valid", "test"].map(|part| (part, summary.metrics.get(part)));
        report::table(&mut self.console, &parts)?;
        self.console.line("")?;
        let written = |path: &Option<PathBuf>| path.as_deref().map(|path| {
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            format!("{} ({})", path.display(), show_size(size))
        });
        for (name, path) in [("model", &self.args.output.model), ("plot", &self.args.output.plot)] {
            if let Some(text) = written(path) {
                self.console.line(&format!("{name} written to {text}"))?;
            }
        }
        self.console.flush()
    }
}

#[derive(serde::Serialize)]
struct StartEvent<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    settings: &'a TrainConfig,
}

fn short_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

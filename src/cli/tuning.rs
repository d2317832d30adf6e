//! What `llfm cv` and `llfm search` share: flags, rows, splits, and the work in parallel.

mod rows;
pub(crate) mod tried;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueHint};
use llfm::backend::Device;
use llfm::config::TrainConfig;
use llfm::config::defaults::{self, DataShape};
use llfm::data::{Notes, Task};
use llfm::event::{Event, Flow};
use llfm::experiment::Part;
use llfm::journal::Journal;
use llfm::model::fingerprint_raw;
use llfm::output::OutputLock;
use llfm::settings::Settings;
use llfm::tune::Splits;
use llfm::tune::trial::{Bench, Check, Setup};
use llfm::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::args::{GpuRowArgs, PartArgs, PrepareArgs, ReadArgs, RunArgs, TalkArgs};
use super::console::{Console, complain, show_notes};
use super::device::Compute;
use super::memory::{check_model, model_bytes};
use super::outputs::{self, Output};
use super::report::{Facts, counted};
use super::signals::Signals;
use super::train::check_settings;
use rows::{Read, fits_in};

/// The flags of both commands.
#[derive(Debug, Args)]
pub(crate) struct TuningArgs {
    /// Rows: a file, or `-` for standard input, in any format that `llfm train` reads
    #[arg(value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) data: PathBuf,
    /// Times everything is done, each with seeds of the model and of the split one higher
    #[arg(long, value_name = "R", default_value = "1", help_heading = "Tuning",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) repeats: u16,
    /// Fits at once, which share the --threads; the result is the same for any number [default: as
    /// many as there are threads, while memory lasts; 1 on a GPU]
    #[arg(long, value_name = "J", help_heading = "Tuning",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Name of the files to write: NAME.jsonl, which --resume reads, and NAME.csv
    #[arg(long, value_name = "NAME", help_heading = "Tuning", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Go on with a run that ended early: what NAME.jsonl has is not done again, but for trials of a
    /// search that failed, as for lack of memory
    #[arg(long, requires = "output", conflicts_with = "force", help_heading = "Tuning")]
    pub(crate) resume: bool,
    /// Replace output files that exist
    #[arg(long, help_heading = "Tuning")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) parts: PartArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// TOML file with flags as keys (`batch-size = 64`); the command line wins
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) gpu_rows: GpuRowArgs,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// How the rows are divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Division {
    /// Folds, each held out once; `None`: validation rows measure.
    pub(crate) folds: Option<usize>,
    /// Of the rows that are not held out.
    pub(crate) valid_fraction: f64,
    pub(crate) split_seed: u64,
    pub(crate) repeats: u16,
}

impl TuningArgs {
    /// The output file of an ending such as `.csv`.
    pub(crate) fn named(&self, ending: &str) -> Option<PathBuf> {
        self.output.as_deref().map(|name| with_ending(name, ending))
    }

    /// Refuses what cannot be meant, before any work is done.
    pub(crate) fn check(&self, outputs: &[Output<'_>]) -> Result<()> {
        check_settings(&self.settings)?;
        let parts = &self.parts;
        let inputs = [
            Some(&self.data),
            parts.valid.as_ref(),
            self.read.labels.as_ref(),
            parts.valid_labels.as_ref(),
            self.config.as_ref(),
        ];
        let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        if self.data.as_os_str() == "-"
            && parts.valid.as_ref().is_some_and(|v| v.as_os_str() == "-")
        {
            let message = "standard input can be only one of DATA and --valid";
            return Err(Error::Usage(message.into()));
        }
        if let Some(name) = self.output.as_deref().filter(|name| name.file_name().is_none()) {
            let message = format!("--output {} names no file", name.display());
            return Err(Error::Usage(message));
        }
        outputs::check(outputs, &inputs, self.force || self.resume)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.read.limit()
    }
}

/// A path with something put behind its name.
pub(crate) fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut path = OsString::from(name);
    path.push(ending);
    path.into()
}

/// Everything that is ready before the first fit.
pub(crate) struct Session {
    pub(crate) compute: Compute,
    pub(crate) signals: Signals,
    pub(crate) rows: Part,
    pub(crate) valid: Option<Part>,
    pub(crate) splits: Splits,
    /// The settings of the command line.
    pub(crate) setup: Setup,
    /// Those settings, as the first split decides the rest.
    pub(crate) config: TrainConfig,
    pub(crate) facts: Facts,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    limit: u64,
    /// Of the rows that the first split trains on.
    shape: DataShape,
    fingerprints: [Option<String>; 2],
}

impl Session {
    /// Reads the rows and divides them.
    pub(crate) fn open(
        command: &'static str,
        args: &TuningArgs,
        division: Division,
        journal: Option<&Path>,
    ) -> Result<Self> {
        let compute = args.run.start(args.gpu_rows, args.talk.quiet)?;
        let on_gpu = !matches!(compute.device, Device::Cpu);
        if on_gpu && args.jobs.is_some_and(|jobs| jobs > 1) {
            let message = "--jobs is for the CPU: one fit keeps a GPU busy; leave it out";
            return Err(Error::Usage(message.into()));
        }
        // Taken for good once the rows are known; a second run shall not read them in vain.
        journal.map(OutputLock::acquire).transpose()?;
        let signals = Signals::install()?;
        let reading = signals.end_at_once(Vec::new())?;
        let mut notes = Notes::new();
        let read = Read::new(args, division, &mut notes);
        show_notes(&mut notes, args.talk.quiet, args.talk.verbose);
        let Read { rows, valid, splits, setup, shape } = read?;
        drop(reading);
        let config = defaults::resolve(&setup.settings, &shape)?;
        compute.device.check_model(&config, &shape)?;
        let limit = args.limit();
        let threads = rayon::current_num_threads();
        let jobs = match args.jobs {
            Some(jobs) => usize::from(jobs),
            None if on_gpu => 1,
            None => threads.min(fits_in(limit, &shape, &rows)),
        };
        check_model(&config, &shape, limit)?;
        let sizes = (rows.rows.n_rows(), shape.features, shape.nonzeros);
        let classes = if shape.task == Task::Regression { 0 } else { shape.classes };
        let facts = Facts::new(command, &config, &compute, classes, sizes);
        let fingerprints =
            [Some(&rows), valid.as_ref()].map(|part| part.map(|part| fingerprint_raw(&part.rows)));
        let mut session = Self {
            compute,
            signals,
            rows,
            valid,
            splits,
            setup,
            config,
            facts,
            jobs,
            threads,
            limit,
            shape,
            fingerprints,
        };
        session.make_room([args.settings.clone()].into_iter());
        Ok(session)
    }

    /// Lowers how many fits go on at once to what there is memory for, by the largest of some
    /// settings. What is too large even alone is refused when its turn comes.
    pub(crate) fn make_room(&mut self, all: impl Iterator<Item = Settings>) {
        let size = |settings: Settings| {
            let config = defaults::resolve(&settings, &self.shape).ok()?;
            Some(model_bytes(&config, &self.shape)).filter(|&bytes| bytes <= self.limit)
        };
        let largest = all.filter_map(size).max().unwrap_or(0).max(1);
        self.jobs = self.jobs.min(usize::try_from(self.limit / largest).unwrap_or(usize::MAX));
    }

    /// What makes two runs the same one: the first line of their journal.
    pub(crate) fn header(&self, args: &TuningArgs, division: Division, rest: &Value) -> Value {
        let [data, valid] = &self.fingerprints;
        serde_json::json!({
            "llfm": env!("CARGO_PKG_VERSION"),
            "command": self.facts.command,
            "data": data,
            "valid": valid,
            "device": self.facts.adapter.as_deref().unwrap_or(self.facts.device),
            "row_storage": args.gpu_rows.row_storage,
            "division": division,
            "settings": fixed(args),
            "choice": rest,
        })
    }

    /// Says what was read.
    pub(crate) fn introduce(
        &self,
        console: &mut Console,
        args: &TuningArgs,
        more: &[(&str, String)],
    ) -> Result<()> {
        if args.talk.json {
            return console.event(&self.facts);
        }
        if args.talk.quiet {
            return Ok(());
        }
        let title = console.bold(&self.facts.method);
        console.line(&format!("{title} · {} · {} loss", self.facts.task, self.facts.loss))?;
        let data = format!(
            "{}, {}",
            counted(self.facts.rows, "row"),
            counted(self.facts.features, "feature")
        );
        let device = format!("{}, {} at once", self.compute.describe(), counted(self.jobs, "fit"));
        let more = more.iter().map(|(name, text)| (*name, text.clone()));
        for (name, text) in [("data", data)].into_iter().chain(more).chain([("device", device)]) {
            let name = console.dim(&format!("{name:<9}"));
            console.line(&format!("  {name}{text}"))?;
        }
        console.flush()
    }

    /// Runs a fit that a signal, or an error beside it, ends after its step; it is then `None`.
    pub(crate) fn unless_ended<R>(
        &self,
        ending: &AtomicBool,
        fit: impl FnOnce(&mut dyn FnMut(&Event<'_>) -> Flow) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let ends = || self.signals.received().is_some() || ending.load(Ordering::Relaxed);
        if ends() {
            return Ok(None);
        }
        fit(&mut |_event| if ends() { Flow::Stop } else { Flow::Continue })
    }

    /// What fits are made on; `check` is [`Self::check`], which the bench borrows.
    pub(crate) fn bench<'a>(&'a self, check: &'a Check<'a>) -> Bench<'a> {
        Bench { rows: &self.rows, valid: self.valid.as_ref(), device: &self.compute.device, check }
    }

    /// Refuses a model that is too large.
    pub(crate) fn check(&self, config: &TrainConfig, shape: &DataShape) -> Result<()> {
        // All of it, or what is refused would depend on --jobs.
        check_model(config, shape, self.limit)?;
        self.compute.device.check_model(config, shape)
    }
}

/// Opens the journal where one is wanted; what it has already is returned, but for what is to be
/// done `again`.
pub(crate) fn open_journal<T: DeserializeOwned>(
    path: Option<&Path>,
    header: &Value,
    args: &TuningArgs,
    mut again: impl FnMut(&T) -> bool,
) -> Result<(Option<Journal>, Vec<T>)> {
    let Some(path) = path else { return Ok((None, Vec::new())) };
    if !args.resume {
        return Ok((Some(Journal::create(path, header, args.force)?), Vec::new()));
    }
    let there = path.exists();
    let mut failed = 0;
    let (journal, done) = Journal::resume_without(path, header, |entry| {
        let again = again(entry);
        failed += usize::from(again);
        again
    })?;
    if !args.talk.quiet {
        let text = match (there, failed) {
            (false, _) => format!("there is no {}: starting from the beginning", path.display()),
            (true, 0) => format!("{} has {} of them done", path.display(), done.len()),
            (true, failed) => format!(
                "{} has {} of them done; {failed} that failed are tried again",
                path.display(),
                done.len()
            ),
        };
        complain("note", &text);
    }
    Ok((Some(journal), done))
}

/// The flags of the settings, preparation and reading that the command line gives, as TOML keys.
pub(crate) fn fixed(args: &TuningArgs) -> Map<String, Value> {
    tried::flags(&args.read, &args.prepare, &args.settings)
}

/// One line of a csv.
pub(crate) fn csv_line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

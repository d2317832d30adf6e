//! `llfm compare`: the GPU beside the CPU, on the user's rows or on generated ones.

mod args;
mod page;

use std::process::ExitCode;

use clap::ValueEnum;
use llfm::backend::Device;
use llfm::compare::{self, Run};
use llfm::config::defaults::{self, DataShape};
use llfm::config::{Method, TrainConfig};
use llfm::data::{ClassWeight, Dataset, Missing, Task};
use llfm::event::Flow;
use llfm::experiment::Prepared;
use llfm::gpu::adapter::Request;
use llfm::settings::Settings;
use llfm::train::TrainData;
use llfm::{Error, Result};

use super::args::{GpuRowArgs, RunArgs, TalkArgs};
use super::console::Console;
use super::device::Compute;
use super::load::{Loaded, Source};
use super::memory::check_model;
use super::progress::Progress;
use super::report::Facts;
use super::signals::Signals;
use super::train::{check_settings, check_watch};
pub(crate) use args::CompareArgs;
use page::Page;

/// Rows of a generated set, and those its model is measured on: a row more or less right is then
/// a twentieth of a point.
const TRAIN_ROWS: usize = 600;
const TEST_ROWS: usize = 2000;

/// Rows to compare on.
struct Set {
    /// `dense` or `sparse` where there are both.
    name: Option<&'static str>,
    train: Dataset,
    valid: Option<Dataset>,
    test: Option<Dataset>,
    never_seen: Vec<u32>,
    range: Option<(f32, f32)>,
    shape: DataShape,
    classes: usize,
}

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode> {
    check_settings(&args.settings)?;
    if args.data.is_none() {
        refuse_idle(args)?;
    }
    let compute = open(args)?;
    let signals = Signals::install()?;
    let sets = match Source::of(args) {
        Some(source) => {
            let reading = signals.end_at_once(Vec::new())?;
            let loaded = Loaded::read(source, None)?;
            drop(reading);
            vec![Set::loaded(loaded.rows)]
        }
        None => {
            vec![Set::generated(false), Set::generated(true)]
        }
    };
    let mut page = Page::new(&args.talk, Console::new(false));
    for set in &sets {
        check_watch(&args.settings, set.valid.is_some())?;
        let config = defaults::resolve(&args.settings, &set.shape)?;
        let limit = args.read.limit();
        check_model(&config, &set.shape, limit)?;
        compute.device.check_model(&config, &set.shape)?;
        let sizes = (set.shape.rows, set.shape.features, set.shape.nonzeros);
        page.begin(set, &compute, Facts::new("compare", &config, &compute, set.classes, sizes))?;
        set.compare(args, &config, &compute.device, &signals, &mut page)?;
    }
    page.end()
}

/// Sets up the threads, and opens the adapter that is asked for.
fn open(args: &CompareArgs) -> Result<Compute> {
    let device = match &args.run.device {
        Request::Cpu => {
            return Err(Error::Usage(
                "compare needs a GPU beside the CPU: leave --device out, or name one".into(),
            ));
        }
        Request::Auto => Request::Gpu(None),
        named @ Request::Gpu(_) => named.clone(),
    };
    let run = RunArgs { threads: args.run.threads, device };
    let rows = GpuRowArgs { data_placement: args.data_placement, ..GpuRowArgs::default() };
    run.start(rows, args.talk.quiet)
}

/// Refuses flags about rows that are generated.
fn refuse_idle(args: &CompareArgs) -> Result<()> {
    let (parts, read, prepare) = (&args.parts, &args.read, &args.prepare);
    let flags = [
        ("--valid", parts.valid.is_some()),
        ("--valid-fraction", parts.valid_fraction > 0.0),
        ("--test", parts.test.is_some()),
        ("--test-fraction", parts.test_fraction > 0.0),
        ("--split-seed", parts.split_seed != 0),
        ("--cache", parts.cache),
        ("--format", read.format.is_some()),
        ("--header", read.header.is_some()),
        ("--label", read.label.is_some()),
        ("--labels", read.labels.is_some()),
        ("--ignore", !prepare.ignore.is_empty()),
        ("--categorical", !prepare.categorical.is_empty()),
        ("--weights", prepare.weights.is_some()),
        ("--missing", prepare.missing != Missing::default()),
        ("--index-base", prepare.index_base.is_some()),
        ("--hash-bits", prepare.hash_bits.is_some()),
        ("--positive", prepare.positive.is_some()),
        ("--scale", prepare.scale.is_some()),
        ("--clip", prepare.clip.is_some()),
        ("--class-weight", prepare.class_weight != ClassWeight::None),
        ("--task", args.settings.task.flatten().is_some_and(|task| task != Task::Binary)),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::Usage(format!(
            "{flag} needs DATA: without it the rows are generated, two classes of them"
        ))),
        None => Ok(()),
    }
}

impl Set {
    fn loaded(rows: Prepared) -> Self {
        Self {
            name: None,
            shape: rows.shape(),
            classes: rows.labels.n_classes(),
            range: rows.labels.clamp().map(Into::into),
            never_seen: rows.preprocess.never_seen(),
            train: rows.train,
            valid: rows.valid,
            test: rows.test,
        }
    }

    fn generated(sparse: bool) -> Self {
        let train = compare::rings(TRAIN_ROWS, 1, sparse);
        let shape = DataShape {
            rows: TRAIN_ROWS,
            features: train.features.n_cols(),
            nonzeros: train.features.n_stored(),
            sparse,
            classes: 2,
            task: Task::Binary,
        };
        Self {
            name: Some(if sparse { "sparse" } else { "dense" }),
            train,
            valid: None,
            test: Some(compare::rings(TEST_ROWS, 2, sparse)),
            never_seen: Vec::new(),
            range: None,
            shape,
            classes: 2,
        }
    }

    fn data(&self) -> TrainData<'_> {
        TrainData {
            valid: self.valid.as_ref(),
            test: self.test.as_ref(),
            never_seen: &self.never_seen,
            range: self.range,
            ..TrainData::new(&self.train, self.classes.max(1))
        }
    }

    /// Kernels and steps of each method, then the run of the one that was asked for.
    fn compare(
        &self,
        args: &CompareArgs,
        config: &TrainConfig,
        device: &Device,
        signals: &Signals,
        page: &mut Page,
    ) -> Result<()> {
        let Device::Gpu { gpu, .. } = device else { unreachable!("a GPU was asked for") };
        let methods = match args.settings.method {
            Some(method) => vec![method],
            None => Method::value_variants().to_vec(),
        };
        for method in methods {
            let settings = Settings { method: Some(method), ..args.settings.clone() };
            let config = match defaults::resolve(&settings, &self.shape) {
                Ok(config) => config,
                // Settings that suit the method of the run need not suit the others.
                Err(error) if method != config.method => {
                    page.left_out(method, &error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            page.kernels(method, &compare::kernels(&self.data(), &config, gpu)?)?;
            signals.check()?;
            page.steps(method, &compare::steps(&self.data(), &config, device)?)?;
            signals.check()?;
        }
        page.run(config.method, &self.train_twice(args, config, device, signals)?)
    }

    fn train_twice(
        &self,
        args: &CompareArgs,
        config: &TrainConfig,
        device: &Device,
        signals: &Signals,
    ) -> Result<Run> {
        // The epochs are no results here: they stay on standard error.
        let talk = TalkArgs {
            quiet: args.talk.quiet || !args.talk.verbose,
            verbose: args.talk.verbose,
            json: false,
        };
        let mut progress = Progress::new(&talk, config);
        let mut console = Console::new(false);
        let mut failed = None;
        let run = compare::run(&self.data(), config, device, &mut |event| {
            if let Err(error) = progress.show(event, &mut console) {
                failed.get_or_insert(error);
            }
            if failed.is_some() || signals.received().is_some() {
                Flow::Stop
            } else {
                Flow::Continue
            }
        });
        progress.finish();
        failed.map_or(Ok(()), Err)?;
        signals.check()?;
        Ok(run?.expect("nothing stopped it"))
    }
}

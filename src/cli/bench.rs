//! `llfm bench`: how fast training is here, by phase or kernel, beside what the machine can do.

mod page;
mod trace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use llfm::backend::Device;
use llfm::bench::{Floors, GpuFloors, Job, RowShape, SHAPES, config_of};
use llfm::config::{Method, name_of};
use llfm::data::Dataset;
use llfm::gpu::adapter::Request;
use llfm::settings::Settings;
use llfm::{Error, Result};

use super::args::{GpuRowArgs, RunArgs};
use super::console::Console;
use super::device::Compute;
use super::machine::Machine;
use super::memory::{check_model, default_limit};
use super::outputs;
use super::report::Facts;
use super::signals::Signals;
use page::{Best, Page, Timed};
use trace::TraceFile;

/// How long epochs of a shape and method are timed, and with --quick.
const BUDGET: Duration = Duration::from_secs(3);
const QUICK_BUDGET: Duration = Duration::from_millis(200);
/// Most rows of --quick.
const QUICK_ROWS: usize = 5000;

/// Measure how fast training is on this machine, on generated rows at the shapes of public sets.
///
/// Scores and the gradient of a step are checked against the equations in f64 before anything is timed. Then
/// whole epochs are: their median, rows per second, and on the CPU for each phase of a step the time, the
/// rates of the operations and bytes that it needs, and how near that comes to the machine's best, which is
/// measured first: a small product on every thread, and copies. On a GPU the same for each kernel, by
/// the adapter's own clock, in steps of their own; its best is measured by kernels, with the time from one
/// dispatch to the next. Other work on the machine spoils every figure.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Shapes to train at [default: all]
    #[arg(value_name = "SHAPE", value_parser = shape_parser(), ignore_case = true)]
    shapes: Vec<&'static RowShape>,
    /// Methods, comma-separated
    #[arg(
        long = "method",
        value_name = "METHOD",
        value_enum,
        value_delimiter = ',',
        default_value = "fm,llfm-jo"
    )]
    methods: Vec<Method>,
    /// Anchor points m, of methods that have some [default: by the shape]
    #[arg(long, value_name = "M")]
    anchors: Option<usize>,
    /// Factors d [default: 10]
    #[arg(long, value_name = "D")]
    factors: Option<usize>,
    /// Rows a step [default: by the shape]
    #[arg(long, value_name = "B")]
    batch_size: Option<usize>,
    /// Mean number of active anchors that L is calibrated to [default: by the anchors]
    #[arg(long, value_name = "K")]
    target_active: Option<f64>,
    /// Rows to generate; all else stays as the shape's own rows want it [default: as many as the set]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    rows: Option<u32>,
    /// A short look: at most 5,000 rows, epochs for a fifth of a second
    #[arg(long)]
    quick: bool,
    /// Write every dispatch of a GPU that was timed, with its step and workgroups, in the trace-event format
    /// of Chrome: a file for ui.perfetto.dev, chrome://tracing or speedscope, replaced where it exists
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    trace: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
    /// Print JSON Lines on standard output, and nothing else there
    #[arg(long, help_heading = "Run")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llfm bench --quick
      a look at every shape
  llfm bench mnist --method llfm-jo --threads 1
      one shape, one method, one core
  llfm bench criteo --rows 200000 --anchors 5 --json
      sparse rows out of a million columns, one JSON object a line
  llfm bench mnist --method llfm-jo --device gpu --trace mnist.json
      a GPU kernel by kernel, and a file that shows its dispatches";

fn shape_parser() -> impl TypedValueParser<Value = &'static RowShape> {
    PossibleValuesParser::new(SHAPES.iter().map(|shape| shape.name))
        .map(|name| RowShape::named(&name).expect("one of the shapes"))
}

/// Runs the command.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let all: Vec<&RowShape> = SHAPES.iter().collect();
    let shapes = if args.shapes.is_empty() { &all } else { &args.shapes };
    // Whatever is wrong with the flags is said before any work.
    for shape in shapes {
        for &method in &args.methods {
            check_model(
                &config_of(shape, &args.settings(method))?,
                &shape.data_shape(),
                default_limit(),
            )?;
        }
    }
    args.check_trace()?;
    let compute = args.run.start(GpuRowArgs::default(), false)?;
    let mut trace = args.trace.as_deref().map(|path| trace_of(&compute, path)).transpose()?;
    for shape in &args.shapes {
        for &method in &args.methods {
            args.check_device(shape, method, &compute).map_err(|error| match error {
                Error::Device(why) => {
                    Error::Device(format!("{}, {}: {why}", shape.name, name_of(method)))
                }
                error => error,
            })?;
        }
    }
    let signals = Signals::install()?;
    let machine = Machine::new(&compute);
    let best = match &compute.device {
        Device::Cpu => Best::Cpu(Floors::measure()),
        Device::Gpu { gpu, .. } => Best::Gpu(GpuFloors::measure(gpu)?),
    };
    let mut page = Page::new(args.json, Console::new(false), best);
    page.begin(&machine, &compute)?;
    let done = args.run_jobs(shapes, &compute, &signals, &mut page, trace.as_mut());
    // Of an interrupted run, too: nothing that was measured is lost.
    if let Some(trace) = trace {
        trace.write()?;
    }
    done?;
    page.end()
}

/// The file of a GPU's dispatches, which it must be able to time.
fn trace_of(compute: &Compute, path: &Path) -> Result<TraceFile> {
    match &compute.device {
        Device::Cpu => Err(no_trace_of_the_cpu()),
        Device::Gpu { gpu, .. } => TraceFile::new(gpu, path),
    }
}

fn no_trace_of_the_cpu() -> Error {
    Error::Usage(
        "--trace takes the times of a GPU's kernels, and the CPU computes: leave it out, or choose \
         --device gpu, software adapters included"
            .into(),
    )
}

impl BenchArgs {
    /// Refuses a trace that cannot be.
    fn check_trace(&self) -> Result<()> {
        let Some(path) = &self.trace else { return Ok(()) };
        if self.run.device == Request::Cpu {
            return Err(no_trace_of_the_cpu());
        }
        outputs::check(&[("--trace", path)], &[], true)
    }

    fn settings(&self, method: Method) -> Settings {
        let local = method != Method::Fm;
        Settings {
            method: Some(method),
            anchors: self.anchors.filter(|_| local),
            target_active: self.target_active.filter(|_| local),
            factors: self.factors,
            batch_size: self.batch_size,
            ..Settings::default()
        }
    }

    fn n_rows(&self, shape: &RowShape) -> usize {
        let most = if self.quick { QUICK_ROWS } else { usize::MAX };
        self.rows.map_or(shape.rows.min(most), |rows| rows as usize)
    }

    /// Takes the shapes and methods one after the other.
    fn run_jobs(
        &self,
        shapes: &[&RowShape],
        compute: &Compute,
        signals: &Signals,
        page: &mut Page,
        mut trace: Option<&mut TraceFile>,
    ) -> Result<()> {
        for shape in shapes {
            let rows = shape.generate(self.n_rows(shape));
            page.shape(shape, &rows)?;
            for &method in &self.methods {
                signals.check()?;
                // What was named is refused before any work.
                if let Err(why) = self.check_device(shape, method, compute) {
                    page.refused(shape.name, method, &why)?;
                    continue;
                }
                let timed = self.time(shape, method, &rows, compute, signals)?;
                page.timed(&timed)?;
                if let (Some(trace), Some(kernels)) = (&mut trace, timed.kernels) {
                    let job = format!("{} {}", shape.name, timed.facts.method);
                    trace.add(job, kernels.dispatches);
                }
            }
        }
        signals.check()
    }

    /// Refuses what does not fit the device.
    fn check_device(&self, shape: &RowShape, method: Method, compute: &Compute) -> Result<()> {
        let config = config_of(shape, &self.settings(method))?;
        compute.device.check_model(&config, &shape.data_shape())
    }

    /// Checks and times one method.
    fn time(
        &self,
        shape: &RowShape,
        method: Method,
        rows: &Dataset,
        compute: &Compute,
        signals: &Signals,
    ) -> Result<Timed> {
        let config = config_of(shape, &self.settings(method))?;
        let (features, classes) = (&rows.features, shape.classes);
        let sizes = (features.n_rows(), features.n_cols(), features.n_stored());
        let facts = Facts {
            event: "bench",
            ..Facts::new("bench", &config, compute, if classes > 1 { classes } else { 0 }, sizes)
        };
        let job = Job::new(shape, config, rows);
        let checked = job.check(&compute.device)?;
        signals.check()?;
        let budget = if self.quick { QUICK_BUDGET } else { BUDGET };
        let mut goes_on = || signals.received().is_none();
        let timing = job.time(&compute.device, budget, &mut goes_on)?;
        // Apart from the epochs before, which nothing may hold up.
        let kernels = match &compute.device {
            Device::Cpu => None,
            Device::Gpu { gpu, placement, storage } => {
                let rows = (*placement, *storage);
                Some(job.time_kernels(gpu, rows, budget, &mut goes_on)?)
            }
        };
        Ok(Timed { shape: shape.name, facts, checked, timing, kernels })
    }
}

//! `llfm bench`: how fast training is here, phase by phase, beside what the machine can do.

mod page;

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use llfm::Result;
use llfm::backend::Device;
use llfm::bench::{Floors, Job, RowShape, SHAPES, config_of};
use llfm::config::Method;
use llfm::data::Dataset;
use llfm::settings::Settings;

use super::args::{GpuRowArgs, RunArgs};
use super::console::Console;
use super::device::Compute;
use super::machine::Machine;
use super::memory::{check_model, default_limit};
use super::report::Facts;
use super::signals::Signals;
use page::{Page, Timed};

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
/// measured first: a small product on every thread, and copies. Other work on the machine spoils
/// every figure.
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
      sparse rows out of a million columns, one JSON object a line";

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
    let compute = args.run.start(GpuRowArgs::default(), false)?;
    let signals = Signals::install()?;
    let machine = Machine::new(&compute);
    let floors = matches!(compute.device, Device::Cpu).then(Floors::measure);
    let mut page = Page::new(args.json, Console::new(false), floors);
    page.begin(&machine, &compute)?;
    for shape in shapes {
        let rows = shape.generate(args.n_rows(shape));
        page.shape(shape, &rows)?;
        for &method in &args.methods {
            signals.check()?;
            page.timed(&args.time(shape, method, &rows, &compute, &signals)?)?;
        }
    }
    signals.check()?;
    page.end()
}

impl BenchArgs {
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
        compute.device.check_model(&config, &shape.data_shape())?;
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
        let timing = job.time(&compute.device, budget, &mut || signals.received().is_none())?;
        Ok(Timed { shape: shape.name, facts, checked, timing })
    }
}

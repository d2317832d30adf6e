//! `llfm evaluate`: every metric of a model on labelled rows.

use std::time::Instant;

use llfm::Result;
use llfm::data::{Notes, Reader, check_memory, visible};
use llfm::experiment::dataset;
use llfm::metrics::{Metrics, Tally};
use llfm::model::Model;
use llfm::outcome::Outcome;
use llfm::predict::Scorer;

use super::args::{EvaluateArgs, GpuRowArgs};
use super::console::{Console, show_notes};
use super::device::Compute;
use super::load::predicting_model;
use super::predict::CHUNK;
use super::report::{self, Facts, Seconds, counted};

/// Runs the command.
pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    let compute = args.run.start(GpuRowArgs::default(), args.quiet)?;
    let mut notes = Notes::new();
    let evaluated = evaluate(args, &compute, &mut notes);
    show_notes(&mut notes, args.quiet, false);
    evaluated?.print(args, &compute)
}

/// What was measured, and on how much.
struct Evaluated {
    model: Model,
    metrics: Metrics,
    rows: usize,
    nonzeros: usize,
    mean_active: f64,
    seconds: Seconds,
}

/// Rows are read in chunks, and little is kept of them.
fn evaluate(args: &EvaluateArgs, compute: &Compute, notes: &mut Notes) -> Result<Evaluated> {
    let start = Instant::now();
    let limit = args.read.limit();
    let model = predicting_model(&args.model, &args.data, limit)?;
    let preprocess = &model.preprocess;
    let options = args.read.options(args.read.labels.as_deref());
    let mut reader = Reader::open(&args.data, &options, Some(preprocess.schema()), true)?;
    let mut scorer =
        Scorer::new(&model.members, &model.config, preprocess.is_sparse(), &compute.device)?;
    let outcome = Outcome::of(&model);
    let mut tally = Tally::new(&outcome, None);
    let (mut nonzeros, mut pairs, mut evaluating) = (0, 0, 0.0);
    while let Some(rows) = reader.next(CHUNK, notes)? {
        let chunk = dataset(rows, &model.labels, preprocess, &args.data, notes)?;
        nonzeros += chunk.features.n_stored();
        check_memory(tally.bytes() + chunk.bytes(), limit, &args.data)?;
        let scoring = Instant::now();
        let scores = scorer.score(&chunk.features)?;
        pairs += scores.pairs;
        for (row, number) in scores.outputs.outer_iter().zip(tally.rows() + 1..) {
            outcome.check(&row.to_vec(), number, &args.data)?;
        }
        tally.add(&scores.outputs, &chunk.targets);
        evaluating += scoring.elapsed().as_secs_f64();
    }
    drop(scorer);
    let loading = start.elapsed().as_secs_f64() - evaluating;
    let measuring = Instant::now();
    let rows = tally.rows() as usize;
    let metrics = tally.metrics();
    evaluating += measuring.elapsed().as_secs_f64();
    let seconds = Seconds { load: loading, evaluate: evaluating, ..Seconds::default() };
    Ok(Evaluated {
        model,
        metrics,
        rows,
        nonzeros,
        mean_active: pairs as f64 / rows as f64,
        seconds,
    })
}

impl Evaluated {
    fn print(&self, args: &EvaluateArgs, compute: &Compute) -> Result<()> {
        let mut console = Console::new(false);
        if args.json {
            return self.outcome(compute).print(&mut console);
        }
        let title =
            format!("{} of {}", counted(self.rows, "row"), visible(&args.data.to_string_lossy()));
        console.line(&format!(
            "{}, {:.1} anchors active a row",
            console.bold(&title),
            self.mean_active
        ))?;
        console.line("")?;
        report::table(&mut console, &[("test", Some(&self.metrics))])?;
        console.flush()
    }

    fn outcome(&self, compute: &Compute) -> report::Outcome<'_> {
        let (config, p) = (&self.model.config, self.model.preprocess.n_features());
        let sizes = (self.rows, p, self.nonzeros);
        let facts = Facts::new("evaluate", config, compute, self.model.labels.n_classes(), sizes);
        report::Outcome {
            facts: Facts { anchors: self.model.members[0].n_anchors(), ..facts },
            seconds: self.seconds,
            rows_per_second: self.rows as f64 / self.seconds.evaluate.max(1e-9),
            mean_active: self.mean_active,
            peak_memory_bytes: None,
            data_placement: None,
            row_storage: None,
            device_memory_bytes: None,
            stopped: None,
            epochs_run: 0.0,
            best_epochs: &self.model.summary.best_epochs,
            train: None,
            valid: None,
            test: Some(&self.metrics),
        }
    }
}

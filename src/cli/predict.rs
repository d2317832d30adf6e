//! `llfm predict`: rows in, a line each out, never more than a chunk in memory.

use std::io::Write;
use std::path::{Path, PathBuf};

use llfm::data::{Features, Notes, Reader, visible};
use llfm::explain::Explainer;
use llfm::gpu::adapter::Request;
use llfm::model::Model;
use llfm::outcome::Outcome;
use llfm::output::{AtomicFile, OutputLock};
use llfm::predict::Scorer;
use llfm::{Error, Result};

use super::args::{GpuRowArgs, PredictArgs, RunArgs};
use super::console::{Console, show_notes};
use super::explain;
use super::load::predicting_model;
use super::outputs;
use super::signals::Signals;

/// Rows in memory at a time: enough to keep every core busy.
pub(crate) const CHUNK: usize = 8192;

/// Runs the command.
pub(crate) fn run(args: &PredictArgs) -> Result<()> {
    if let Some(path) = &args.output {
        let inputs = [Some(&args.model), Some(&args.data), args.read.labels.as_ref()];
        let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        outputs::check(&[("--output", path)], &inputs, args.force)?;
    }
    let compute = computing(args)?.start(GpuRowArgs::default(), args.quiet)?;
    let model = predicting_model(&args.model, &args.data, args.read.limit())?;
    let printer = Printer::new(&model, Form::of(args))?;
    let locked = args.output.as_deref().filter(|path| !outputs::is_special(path));
    let _lock = locked.map(OutputLock::acquire).transpose()?;
    // Another run may have finished the file between the first look and the lock.
    locked.map_or(Ok(()), |path| outputs::refuse_existing(path, "--output", args.force))?;
    let mut sink = match &args.output {
        Some(path) => Sink::File(AtomicFile::create(path)?, path),
        None => Sink::Stdout(Console::new(false)),
    };
    let signals = args.output.as_ref().map(|_| Signals::install()).transpose()?;
    let mut check = || signals.as_ref().map_or(Ok(()), Signals::check);
    let mut notes = Notes::new();
    let outcome = match args.explain {
        Some(most) => explain(&model, args, &mut notes, most, &mut sink, &mut check),
        None => {
            let sparse = model.preprocess.is_sparse();
            let mut scorer = Scorer::new(&model.members, &model.config, sparse, &compute.device)?;
            let mut rows = 0;
            each_chunk(&model, args, &mut notes, |features| {
                check()?;
                let scores = scorer.score(features)?.outputs;
                let mut text = String::new();
                for scores in scores.outer_iter().map(|row| row.to_vec()) {
                    rows += 1;
                    printer.outcome.check(&scores, rows, &args.data)?;
                    printer.row(&scores, &mut text);
                }
                sink.write(text.as_bytes())
            })
        }
    };
    show_notes(&mut notes, args.quiet, false);
    outcome?;
    sink.finish()
}

/// What computes: explanations are the CPU's alone.
fn computing(args: &PredictArgs) -> Result<RunArgs> {
    let RunArgs { threads, device } = &args.run;
    match (args.explain, device) {
        (Some(_), Request::Gpu(_)) => {
            Err(Error::Usage("--explain computes on the CPU: leave --device out".into()))
        }
        (Some(_), _) => Ok(RunArgs { threads: *threads, device: Request::Cpu }),
        (None, _) => Ok(RunArgs { threads: *threads, device: device.clone() }),
    }
}

fn explain(
    model: &Model,
    args: &PredictArgs,
    notes: &mut Notes,
    most: usize,
    sink: &mut Sink<'_>,
    check: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let (mut explainer, mut lines) = (Explainer::new(model), explain::Lines::new(model));
    each_chunk(model, args, notes, |features| {
        explainer.explain(features, most, |explained| {
            check()?;
            sink.write(lines.next(explained, &args.data)?.as_bytes())
        })
    })
}

fn each_chunk(
    model: &Model,
    args: &PredictArgs,
    notes: &mut Notes,
    mut with: impl FnMut(&Features) -> Result<()>,
) -> Result<()> {
    let preprocess = &model.preprocess;
    let options = args.read.options(args.read.labels.as_deref());
    let mut reader = Reader::open(&args.data, &options, Some(preprocess.schema()), false)?;
    while let Some(rows) = reader.next(CHUNK, notes)? {
        with(&preprocess.apply(rows, &args.data, notes)?)?;
    }
    Ok(())
}

/// What is printed of a row.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Prediction,
    Probabilities,
    Scores,
}

impl Form {
    fn of(args: &PredictArgs) -> Self {
        match (args.proba, args.raw) {
            (true, _) => Self::Probabilities,
            (_, true) => Self::Scores,
            _ => Self::Prediction,
        }
    }
}

/// How a row's scores become a line.
struct Printer<'a> {
    model: &'a Model,
    outcome: Outcome,
    form: Form,
    /// What classes are called, in one line each.
    names: Vec<String>,
}

impl<'a> Printer<'a> {
    fn new(model: &'a Model, form: Form) -> Result<Self> {
        let outcome = Outcome::of(model);
        let probe = vec![0.0; model.config.loss.n_outputs(model.labels.n_classes())];
        if form == Form::Probabilities && outcome.probabilities(&probe).is_none() {
            return Err(Error::Usage(format!(
                "--proba: a model trained with {} loss has no probabilities; leave --proba out",
                llfm::config::name_of(model.config.loss)
            )));
        }
        let labels = &model.labels;
        let names = (0..labels.n_classes()).map(|class| visible(labels.class_name(class)));
        Ok(Self { model, outcome, form, names: names.collect() })
    }

    fn row(&self, scores: &[f32], text: &mut String) {
        match (self.model.labels.n_classes(), self.form) {
            (0, Form::Scores) => push_number(text, self.outcome.unclamped(scores)),
            (0, _) => push_number(text, self.outcome.value(scores)),
            (_, Form::Scores) => push_list(text, scores.iter().copied()),
            (_, Form::Probabilities) => {
                let p = self.outcome.probabilities(scores).unwrap_or_default();
                let wanted = if scores.len() == 1 { &p[1..] } else { &p[..] };
                push_list(text, wanted.iter().map(|&p| p as f32));
            }
            (_, Form::Prediction) => {
                text.push_str(&self.names[self.outcome.class(scores) as usize]);
            }
        }
        text.push('\n');
    }
}

/// Numbers with commas between them.
fn push_list(text: &mut String, numbers: impl Iterator<Item = f32>) {
    for (i, number) in numbers.enumerate() {
        if i > 0 {
            text.push(',');
        }
        push_number(text, number);
    }
}

/// The shortest decimal that reads back as the same number; tiny and huge ones with an exponent.
pub(super) fn push_number(text: &mut String, number: f32) {
    use std::fmt::Write;
    let size = number.abs();
    let _ = if size != 0.0 && !(1e-4..1e16).contains(&size) {
        write!(text, "{number:e}")
    } else {
        write!(text, "{number}")
    };
}

/// Where the lines go.
enum Sink<'a> {
    Stdout(Console),
    File(AtomicFile, &'a Path),
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(console) => console.bytes(bytes),
            Self::File(file, path) => file.write_all(bytes).map_err(Error::io("write", path)),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut console) => console.flush(),
            Self::File(file, _) => file.finish(),
        }
    }
}

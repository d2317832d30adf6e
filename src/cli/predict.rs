//! `llfm predict`: rows in, a line each out, never more than a chunk in memory.

use std::io::Write;
use std::path::{Path, PathBuf};

use llfm::backend::{Device, Placement};
use llfm::data::{Features, Notes, Reader};
use llfm::model::Model;
use llfm::outcome::Outcome;
use llfm::output::AtomicFile;
use llfm::predict::Scorer;
use llfm::{Error, Result};

use super::args::PredictArgs;
use super::console::{Console, show_notes};
use super::memory::default_limit;
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
    let compute = args.run.start(Placement::Auto, args.quiet)?;
    let mut model = Model::load(&args.model)?;
    model.preprocess.set_max_memory(args.read.max_memory.unwrap_or_else(default_limit));
    let printer = Printer::new(&model, args.proba)?;
    let mut sink = match &args.output {
        Some(path) => Sink::File(AtomicFile::create(path)?, path),
        None => Sink::Stdout(Console::new(false)),
    };
    let signals = args.output.as_ref().map(|_| Signals::install()).transpose()?;
    let mut notes = Notes::new();
    let outcome = each_chunk(&model, args, &compute.device, &mut notes, |scorer, features| {
        signals.as_ref().map_or(Ok(()), Signals::check)?;
        let scores = scorer.score(features)?.outputs;
        let mut text = String::new();
        for row in scores.outer_iter() {
            printer.row(&row.to_vec(), &mut text);
        }
        sink.write(text.as_bytes())
    });
    show_notes(&mut notes, args.quiet);
    outcome?;
    sink.finish()
}

fn each_chunk(
    model: &Model,
    args: &PredictArgs,
    device: &Device,
    notes: &mut Notes,
    mut with: impl FnMut(&mut Scorer, &Features) -> Result<()>,
) -> Result<()> {
    let preprocess = &model.preprocess;
    let options = args.read.options(args.read.labels.as_deref());
    let mut reader = Reader::open(&args.data, &options, Some(preprocess.schema()), false)?;
    let mut scorer = Scorer::new(&model.members, &model.config, preprocess.is_sparse(), device)?;
    while let Some(rows) = reader.next(CHUNK, notes)? {
        let features = preprocess.apply(rows, &args.data, notes)?;
        with(&mut scorer, &features)?;
    }
    Ok(())
}

/// How a row's scores become a line.
struct Printer<'a> {
    model: &'a Model,
    outcome: Outcome,
    proba: bool,
}

impl<'a> Printer<'a> {
    fn new(model: &'a Model, proba: bool) -> Result<Self> {
        let outcome = Outcome::of(model);
        let probe = vec![0.0; model.config.loss.n_outputs(model.labels.n_classes())];
        if proba && outcome.probabilities(&probe).is_none() {
            return Err(Error::Usage(format!(
                "--proba: a model trained with {} loss has no probabilities; leave --proba out",
                llfm::config::name_of(model.config.loss)
            )));
        }
        Ok(Self { model, outcome, proba })
    }

    fn row(&self, scores: &[f32], text: &mut String) {
        if self.model.labels.n_classes() == 0 {
            push_number(text, self.outcome.value(scores));
        } else if let (true, Some(p)) = (self.proba, self.outcome.probabilities(scores)) {
            let wanted = if scores.len() == 1 { &p[1..] } else { &p[..] };
            for (i, &p) in wanted.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                push_number(text, p as f32);
            }
        } else {
            text.push_str(self.model.labels.class_name(self.outcome.class(scores) as usize));
        }
        text.push('\n');
    }
}

/// The shortest decimal that reads back as the same number; tiny and huge ones with an exponent.
fn push_number(text: &mut String, number: f32) {
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

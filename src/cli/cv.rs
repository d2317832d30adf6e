//! `llfm cv`: how well settings do on rows they were not trained on.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use llfm::journal::Journal;
use llfm::metrics::Metrics;
use llfm::output::write_atomic;
use llfm::tune::trial::Fit;
use llfm::tune::{Estimate, pool};
use llfm::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::console::{Console, complain, tell};
use super::outputs::Output;
use super::report::{self, Facts, duration};
use super::train::watching;
use super::tuning::{Division, Session, TuningArgs, csv_line, open_journal};

/// Cross-validate: train on all folds but one, measure on that one, in turn.
///
/// Rows are dealt into folds by --split-seed, classes evenly. A fold is only measured: it chooses no
/// epoch; with --valid-fraction F a part of the rows that train does. What is learned from the data
/// (levels, scales) is learned from the rows that train alone.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub(crate) struct CvArgs {
    /// Number of folds, at least 2
    #[arg(long, value_name = "K", default_value = "5", help_heading = "Tuning")]
    pub(crate) folds: usize,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
}

const EXAMPLES: &str = "\
Examples:
  llfm cv letter.libsvm
      five folds, default settings; a row a fold, and the mean and deviation of each metric
  llfm cv data.csv --folds 10 --repeats 3 --anchors 40 --output cv40
      three times ten folds; cv40.csv has a row a fold, and with --resume a run that was ended goes on
  llfm cv data.csv --config best.toml --json
      settings from a file, as `llfm search` writes them; one JSON object a line";

/// One fold: a line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fold {
    /// From 1, as is `fold`.
    repeat: usize,
    fold: usize,
    #[serde(flatten)]
    fit: Fit,
}

#[derive(Serialize)]
struct Line<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    of: &'a T,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    facts: Facts,
    folds: usize,
    repeats: u16,
    fits: usize,
    metrics: BTreeMap<String, Estimate>,
    kept_epochs: Option<Estimate>,
    /// Of all fits together.
    seconds: f64,
}

/// Runs the command.
pub(crate) fn run(args: &CvArgs) -> Result<()> {
    let division = check(args)?;
    let path = args.tuning.named(".jsonl");
    let session = Session::open("cv", &args.tuning, division, path.as_deref())?;
    let header = session.header(&args.tuning, division, &json!(null));
    let (mut journal, done) = open_journal(path.as_deref(), &header, &args.tuning, |_| false)?;
    let mut folds = Folds { of: BTreeMap::new() };
    for fold in done {
        folds.add(fold);
    }
    let said = match args.tuning.repeats {
        1 => args.folds.to_string(),
        repeats => format!("{}, {repeats} times", args.folds),
    };
    // With files to write, working for a closed pipe is for somebody.
    let mut console = Console::new(path.is_some());
    session.introduce(&mut console, &args.tuning, &[("folds", said)])?;
    let worked = work(args, &session, &mut journal, &mut folds, &mut console);
    let written = args.tuning.named(".csv").map_or(Ok(()), |path| folds.write_csv(&path));
    worked?;
    if session.signals.received().is_some() && path.is_some() && !args.tuning.talk.quiet {
        complain("note", "the folds done are kept: the same command with --resume goes on");
    }
    session.signals.check()?;
    report(args, &session, &folds, &mut console)?;
    written
}

fn check(args: &CvArgs) -> Result<Division> {
    let tuning = &args.tuning;
    let parts = &tuning.parts;
    if parts.valid.is_some() || parts.test.is_some() || parts.test_fraction > 0.0 {
        return Err(Error::Usage(
            "llfm cv measures every row of DATA once, each held out of its own training: --valid, \
             --test and --test-fraction have no place there; leave them out"
                .into(),
        ));
    }
    if let (Some(flag), true) = (watching(&tuning.settings), parts.valid_fraction == 0.0) {
        return Err(Error::Usage(format!(
            "{flag} needs validation rows, and a fold is only measured, by every metric: leave it out, \
             or have --valid-fraction hold out a part of the rows that train, to choose the epoch"
        )));
    }
    let files = [tuning.named(".jsonl"), tuning.named(".csv")];
    let outputs: Vec<Output<'_>> =
        files.iter().flatten().map(|path| ("--output", path.as_path())).collect();
    tuning.check(&outputs)?;
    if args.folds < 2 {
        return Err(Error::Usage(format!("--folds must be at least 2, found {}", args.folds)));
    }
    Ok(Division {
        folds: Some(args.folds),
        valid_fraction: parts.valid_fraction,
        split_seed: parts.split_seed,
        repeats: tuning.repeats,
    })
}

/// Does the folds that are missing.
fn work(
    args: &CvArgs,
    session: &Session,
    journal: &mut Option<Journal>,
    folds: &mut Folds,
    console: &mut Console,
) -> Result<()> {
    let missing: Vec<(usize, usize)> =
        session.splits.turns().filter(|&turn| !folds.has(turn)).collect();
    let total = session.splits.len();
    let check = |config: &_, shape: &_| session.check(config, shape);
    let bench = session.bench(&check);
    let fit = |&turn: &_, ending: &_| {
        session.unless_ended(ending, |watch| {
            bench.fit(&session.splits.split(turn)?, &session.setup, watch)
        })
    };
    pool::run(&missing, session.jobs, session.threads, fit, |&(repeat, fold), fit| {
        let Some(fit) = fit else { return Ok(()) };
        let fold = Fold { repeat: repeat + 1, fold: fold + 1, fit };
        journal.as_mut().map_or(Ok(()), |journal| journal.append(&fold))?;
        if !args.tuning.talk.quiet {
            tell(&progress(&fold, folds.of.len() + 1, total));
        }
        if args.tuning.talk.json {
            console.event(&Line { event: "fold", of: &fold })?;
        }
        folds.add(fold);
        Ok(())
    })
}

fn progress(fold: &Fold, done: usize, total: usize) -> String {
    let metrics = &fold.fit.metrics;
    let main = match (metrics.accuracy, metrics.rmse) {
        (Some(accuracy), _) => format!("  accuracy {:.2} %", 100.0 * accuracy),
        (None, Some(rmse)) => format!("  RMSE {rmse:.4}"),
        (None, None) => String::new(),
    };
    let of = format!("repeat {} fold {}", fold.repeat, fold.fold);
    let time = duration(fold.fit.seconds);
    format!("{done:>4}/{total}  {of}  loss {:.5}{main}  {time}", metrics.loss)
}

/// The folds measured, by repeat and fold.
struct Folds {
    of: BTreeMap<(usize, usize), Fold>,
}

impl Folds {
    fn add(&mut self, fold: Fold) {
        self.of.insert((fold.repeat, fold.fold), fold);
    }

    fn has(&self, (repeat, fold): (usize, usize)) -> bool {
        self.of.contains_key(&(repeat + 1, fold + 1))
    }

    fn write_csv(&self, path: &Path) -> Result<()> {
        let metrics = |fold: &Fold| match serde_json::to_value(&fold.fit.metrics) {
            Ok(Value::Object(metrics)) => metrics,
            _ => serde_json::Map::new(),
        };
        let names: Vec<String> = report::METRICS
            .iter()
            .filter(|name| self.of.values().any(|fold| metrics(fold).contains_key(**name)))
            .map(|name| (*name).to_owned())
            .collect();
        let fixed = ["repeat", "fold", "rows"].map(str::to_owned).to_vec();
        let last = ["epochs", "seconds"].map(str::to_owned).to_vec();
        let mut text = csv_line(&[fixed, names.clone(), last].concat());
        for fold in self.of.values() {
            let measured = metrics(fold);
            let cell = |name: &String| measured.get(name).map_or_else(String::new, report::plain);
            let fixed = [fold.repeat, fold.fold, fold.fit.rows].map(|n| n.to_string()).to_vec();
            let last = [fold.fit.epochs, fold.fit.seconds].map(|x| x.to_string()).to_vec();
            let names = names.iter().map(cell).collect();
            text += &csv_line(&[fixed, names, last].concat());
        }
        write_atomic(path, text.as_bytes())
    }
}

fn report(args: &CvArgs, session: &Session, folds: &Folds, console: &mut Console) -> Result<()> {
    let fits: Vec<&Fit> = folds.of.values().map(|fold| &fold.fit).collect();
    let all: Vec<Metrics> = fits.iter().map(|fit| fit.metrics.clone()).collect();
    let metrics = Estimate::of_all(&all);
    let kept: Vec<f64> = fits.iter().map(|fit| fit.epochs).collect();
    if args.tuning.talk.json {
        return console.event(&Outcome {
            facts: Facts { event: "result", ..session.facts.clone() },
            folds: args.folds,
            repeats: args.tuning.repeats,
            fits: fits.len(),
            metrics,
            kept_epochs: Estimate::of(&kept),
            seconds: fits.iter().map(|fit| fit.seconds).sum(),
        });
    }
    if args.tuning.talk.quiet {
        return Ok(());
    }
    console.line("")?;
    let names: Vec<String> = folds
        .of
        .values()
        .map(|fold| match args.tuning.repeats {
            1 => format!("fold {}", fold.fold),
            _ => format!("{}.{}", fold.repeat, fold.fold),
        })
        .collect();
    let of = |pick: fn(&Estimate) -> f64| {
        let object: serde_json::Map<String, Value> =
            metrics.iter().map(|(name, of)| (name.clone(), pick(of).into())).collect();
        serde_json::from_value::<Metrics>(object.into()).unwrap_or_default()
    };
    let (mean, sd) = (of(|e| e.mean), of(|e| e.sd));
    let rows = names.iter().map(String::as_str).zip(&all).chain([("mean", &mean), ("±", &sd)]);
    let rows: Vec<(&str, Option<&Metrics>)> = rows.map(|(name, of)| (name, Some(of))).collect();
    report::table(console, &rows)?;
    for path in [args.tuning.named(".csv"), args.tuning.named(".jsonl")].iter().flatten() {
        console.line(&format!("folds written to {}", path.display()))?;
    }
    console.flush()
}

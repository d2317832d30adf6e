//! What a search comes to: the best settings, as a table and as a file.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;

use llfm::config::name_of;
use llfm::metrics::EvalMetric;
use llfm::output::write_atomic;
use llfm::tune::halving::ranked;
use llfm::tune::space::Point;
use llfm::tune::trial::{Status, Trial};
use llfm::{Error, Result};
use serde::Serialize;

use super::record::{Record, settings_of, shown};
use super::{Plan, SearchArgs};
use crate::cli::console::Console;
use crate::cli::report::{Facts, counted, duration};
use crate::cli::tuning::Session;
use crate::cli::tuning::tried;

/// Trials of the table.
const SHOWN: usize = 10;

/// Flags that say how to run or talk, and not what was found.
const NOT_SAID: [&str; 7] = ["--resume", "--force", "--json", "--quiet", "-q", "--verbose", "-v"];

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    facts: Facts,
    metric: EvalMetric,
    points: usize,
    trials: usize,
    ok: usize,
    diverged: usize,
    failed: usize,
    best: Option<&'a Trial>,
    /// Of all trials together.
    seconds: f64,
}

/// The points that have a score, each by its highest rung; the highest rung first, in it the best.
fn ranking<'a>(record: &'a Record<'_>, metric: EvalMetric) -> Vec<&'a Trial> {
    let scored = record.trials.values().filter(|trial| trial.score.is_some());
    let mut rungs: BTreeMap<usize, Vec<(usize, Option<f64>)>> = BTreeMap::new();
    for trial in scored {
        let score = trial.score.map(|score| score.mean);
        rungs.entry(trial.rung).or_default().push((trial.trial, score));
    }
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (rung, scores) in rungs.iter().rev() {
        let fresh = ranked(scores, metric).into_iter().filter(|&point| seen.insert(point));
        all.extend(fresh.filter_map(|point| record.trials.get(&(*rung, point))));
    }
    all
}

/// The best trial; `None` where a shard has nothing to do.
///
/// # Errors
/// When every trial went wrong: what the first one said.
pub(super) fn best<'a>(record: &'a Record<'_>, metric: EvalMetric) -> Result<Option<&'a Trial>> {
    let best = ranking(record, metric).first().copied();
    let (None, Some(first)) = (best, record.trials.values().next()) else { return Ok(best) };
    let message = format!(
        "none of {} has a score; trial {} ({}): {}",
        counted(record.trials.len(), "trial"),
        first.trial,
        settings_of(first),
        first.message.as_deref().unwrap_or_default()
    );
    let diverged = record.trials.values().all(|trial| trial.status == Status::Diverged);
    Err(if diverged { Error::Diverged(message) } else { Error::Usage(message) })
}

/// What is to be known of a best trial that is none of the last rung: all of those went wrong.
pub(super) fn lower_rung(best: Option<&Trial>, rungs: &[Option<usize>]) -> Option<String> {
    let rung = best.map(|best| best.rung).filter(|&rung| rung < rungs.len())?;
    let epochs = rungs[rung - 1]
        .map_or_else(String::new, |epochs| format!(", of {}", counted(epochs, "epoch")));
    let last = rungs.len();
    Some(format!("no point of rung {last} has a score: the best is one of rung {rung}{epochs}"))
}

/// Writes the best settings where they are wanted.
pub(super) fn write_best(
    args: &SearchArgs,
    plan: &Plan,
    session: &Session,
    best: Option<&Trial>,
    rungs: &[Option<usize>],
) -> Result<()> {
    let (Some(path), Some(best), None) = (args.best_path(), best, args.shard) else {
        return Ok(());
    };
    let tuning = &args.tuning;
    let point: Point = best.settings.clone().into_iter().collect();
    let tried = args.base().with(&point)?;
    let score = best.score.map_or_else(String::new, shown);
    let mut notes = String::new();
    if let Some(epoch) = best.epochs.filter(|_| plan.division.chooses_epochs(args)) {
        let mean = if session.splits.len() > 1 { " (the mean over splits)" } else { "" };
        notes += &format!("# Validation rows chose epoch {epoch}{mean}: the score is that of it\n");
    }
    notes.extend(lower_rung(Some(best), rungs).map(|text| format!("# But {text}\n")));
    let text = format!(
        "# Found by: llfm {}\n# Trial {} of {}, {} {score} on {}\n{notes}{}",
        command(),
        best.trial,
        plan.points.len(),
        name_of(plan.metric),
        counted(session.splits.len(), "split"),
        tried::toml(&tried::flags(&tuning.read, &tried.prepare, &tried.settings))
    );
    write_atomic(&path, text.as_bytes())
}

/// The command line, as it can be given again.
fn command() -> String {
    let word = |word: &OsStr| {
        let word = word.to_string_lossy();
        // A comment is one line.
        let word: String = word
            .chars()
            .flat_map(|c| {
                let escaped: String =
                    if c.is_control() { c.escape_default().collect() } else { c.into() };
                escaped.chars().collect::<Vec<_>>()
            })
            .collect();
        let plain = |c: char| c.is_alphanumeric() || "-_=.,/:+%@".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = std::env::args_os().skip(1).filter(|arg| NOT_SAID.iter().all(|flag| arg != flag));
    words.map(|arg| word(&arg)).collect::<Vec<_>>().join(" ")
}

/// Prints the best trials, or the last event.
pub(super) fn report(
    args: &SearchArgs,
    plan: &Plan,
    session: &Session,
    record: &Record<'_>,
    best: Option<&Trial>,
    console: &mut Console,
) -> Result<()> {
    let with = |status| record.trials.values().filter(|trial| trial.status == status).count();
    let seconds = record.trials.values().map(|trial| trial.seconds).sum();
    if args.tuning.talk.json {
        return console.event(&Outcome {
            facts: Facts { event: "result", ..session.facts.clone() },
            metric: plan.metric,
            points: plan.points.len(),
            trials: record.trials.len(),
            ok: with(Status::Ok),
            diverged: with(Status::Diverged),
            failed: with(Status::Failed),
            best,
            seconds,
        });
    }
    if args.tuning.talk.quiet {
        return Ok(());
    }
    console.line("")?;
    let heads = format!("  {:>6}  {:<21}  settings", "trial", name_of(plan.metric));
    let heads = console.dim(&heads);
    console.line(&heads)?;
    for trial in ranking(record, plan.metric).into_iter().take(SHOWN) {
        let score = trial.score.map_or_else(String::new, shown);
        console.line(&format!("  {:>6}  {score:<21}  {}", trial.trial, settings_of(trial)))?;
    }
    console.line("")?;
    console.line(&format!(
        "{}, {} diverged, {} failed, {} of training",
        counted(record.trials.len(), "trial"),
        with(Status::Diverged),
        with(Status::Failed),
        duration(seconds)
    ))?;
    for path in [args.csv(), args.journal()].iter().flatten() {
        console.line(&format!("trials written to {}", path.display()))?;
    }
    if let (Some(path), Some(_), None) = (args.best_path(), best, args.shard) {
        console.line(&format!("best settings written to {}", path.display()))?;
    }
    console.flush()
}

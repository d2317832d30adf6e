//! The trials done: kept, shown as they end, and written as a table.

use std::collections::BTreeMap;
use std::path::Path;

use llfm::config::name_of;
use llfm::journal::Journal;
use llfm::metrics::EvalMetric;
use llfm::output::write_atomic;
use llfm::tune::Estimate;
use llfm::tune::trial::{Status, Trial};
use llfm::{Error, Result};
use serde::Serialize;
use serde_json::Value;

use super::SearchArgs;
use crate::cli::console::{Console, complain, tell};
use crate::cli::report::{self, counted, duration};
use crate::cli::tuning::csv_line;

/// Every trial done, by rung and number.
pub(super) struct Record<'a> {
    args: &'a SearchArgs,
    journal: Option<Journal>,
    pub(super) trials: BTreeMap<(usize, usize), Trial>,
    /// Points of the search.
    points: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(flatten)]
    trial: &'a Trial,
}

impl<'a> Record<'a> {
    pub(super) fn new(
        args: &'a SearchArgs,
        journal: Option<Journal>,
        done: Vec<Trial>,
        points: usize,
    ) -> Self {
        // A shorter draw than before leaves the points beyond it alone.
        let done = done.into_iter().filter(|trial| trial.trial <= points);
        let trials = done.map(|trial| ((trial.rung, trial.trial), trial)).collect();
        Self { args, journal, trials, points }
    }

    pub(super) fn has(&self, rung: usize, trial: usize) -> bool {
        self.trials.contains_key(&(rung, trial))
    }

    pub(super) fn score(&self, rung: usize, trial: usize) -> Option<f64> {
        self.trials.get(&(rung, trial))?.score.map(|score| score.mean)
    }

    /// Takes over what shards of this search have done; files of another one are left out.
    pub(super) fn take_shards(&mut self, header: &Value) -> Result<()> {
        if !self.args.tuning.resume {
            return Ok(());
        }
        for path in self.args.shard_journals() {
            // Opened as if to write: a shard that is still at work must not be done twice.
            let done = match Journal::resume::<Trial>(&path, header) {
                Ok((_journal, done)) => done,
                Err(Error::Usage(_)) => {
                    self.note(&format!("{} is of another search: left out", path.display()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let before = self.trials.len();
            for trial in done {
                let key = (trial.rung, trial.trial);
                let wanted = trial.trial <= self.points && !is_tried_again(&trial, self.points);
                if wanted && !self.trials.contains_key(&key) {
                    self.journal.as_mut().map_or(Ok(()), |journal| journal.append(&trial))?;
                    self.trials.insert(key, trial);
                }
            }
            let taken = counted(self.trials.len() - before, "trial");
            self.note(&format!("{taken} taken from {}", path.display()));
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        if !self.args.tuning.talk.quiet {
            complain("note", text);
        }
    }

    /// Keeps a trial, and shows it.
    pub(super) fn add(
        &mut self,
        trial: Trial,
        metric: EvalMetric,
        console: &mut Console,
    ) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(&trial))?;
        if !self.args.tuning.talk.quiet {
            tell(&self.progress(&trial, metric));
        }
        if self.args.tuning.talk.json {
            console.event(&Line { event: "trial", trial: &trial })?;
        }
        self.trials.insert((trial.rung, trial.trial), trial);
        Ok(())
    }

    fn progress(&self, trial: &Trial, metric: EvalMetric) -> String {
        let what = match (trial.status, trial.score) {
            (Status::Ok, Some(score)) => format!("{} {}", name_of(metric), shown(score)),
            (Status::Diverged, _) => "diverged".into(),
            _ => format!("failed: {}", trial.message.as_deref().unwrap_or_default()),
        };
        let width = self.points.to_string().len();
        let settings = settings_of(trial);
        let time = duration(trial.seconds);
        format!("trial {:>width$}/{}  {settings}  {what}  {time}", trial.trial, self.points)
    }

    /// One row a trial, in the order of their numbers, then of rungs.
    pub(super) fn write_csv(&self, path: Option<&Path>) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let keys = self.args.keys();
        let measured = |name: &&str| self.trials.values().any(|t| t.metrics.contains_key(*name));
        let metrics: Vec<&str> = report::METRICS.into_iter().filter(measured).collect();
        let mut heads: Vec<String> = ["trial", "rung"].map(str::to_owned).to_vec();
        heads.extend(keys.iter().cloned());
        for name in ["score"].iter().chain(&metrics) {
            heads.extend([(*name).to_owned(), format!("{name}_sd")]);
        }
        heads.extend(["kept_epochs", "seconds", "status", "message"].map(str::to_owned));
        let mut text = csv_line(&heads);
        let mut trials: Vec<&Trial> = self.trials.values().collect();
        trials.sort_by_key(|trial| (trial.trial, trial.rung));
        for trial in trials {
            let mut cells = vec![trial.trial.to_string(), trial.rung.to_string()];
            cells.extend(
                keys.iter().map(|key| trial.settings.get(key).cloned().unwrap_or_default()),
            );
            let all = metrics.iter().map(|name| trial.metrics.get(*name).copied());
            for estimate in std::iter::once(trial.score).chain(all) {
                let cell = |x: Option<f64>| x.map_or_else(String::new, |x| x.to_string());
                cells.extend([cell(estimate.map(|e| e.mean)), cell(estimate.map(|e| e.sd))]);
            }
            cells.push(trial.epochs.map_or_else(String::new, |epochs| epochs.to_string()));
            cells.push(format!("{:.3}", trial.seconds));
            cells.push(status(trial.status).to_owned());
            cells.push(trial.message.clone().unwrap_or_default());
            text += &csv_line(&cells);
        }
        write_atomic(path, text.as_bytes())
    }
}

/// Whether --resume tries a trial again: what failed may not fail with more memory allowed, which is
/// no part of the header; what diverged does so again. A trial beyond a shorter draw is left alone.
pub(super) fn is_tried_again(trial: &Trial, points: usize) -> bool {
    trial.status == Status::Failed && trial.trial <= points
}

/// What a trial tried, in short.
pub(super) fn settings_of(trial: &Trial) -> String {
    let all = trial.settings.iter().map(|(key, value)| format!("{key}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

/// Mean and deviation; no deviation where there was one fit.
pub(super) fn shown(of: Estimate) -> String {
    if of.sd == 0.0 { format!("{:.5}", of.mean) } else { format!("{:.5} ± {:.5}", of.mean, of.sd) }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Diverged => "diverged",
        Status::Failed => "failed",
    }
}

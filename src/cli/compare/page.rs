//! What `llfm compare` prints: a table for people, or events for programs.

use std::process::ExitCode;

use llfm::compare::{Row, Run};
use llfm::config::{Method, name_of};
use llfm::{Error, Result};
use serde::Serialize;

use super::Set;
use crate::cli::args::TalkArgs;
use crate::cli::console::{Console, complain};
use crate::cli::device::Compute;
use crate::cli::report::{Facts, count, counted, duration};

/// The comparison as it grows.
pub(super) struct Page {
    console: Console,
    quiet: bool,
    json: bool,
    set: Option<&'static str>,
    facts: Option<Facts>,
    compared: usize,
    /// What is beyond its tolerance.
    failed: Vec<String>,
}

#[derive(Serialize)]
struct RowEvent<'a> {
    event: &'static str,
    set: Option<&'static str>,
    method: String,
    #[serde(flatten)]
    row: &'a Row,
}

#[derive(Serialize)]
struct RunEvent {
    event: &'static str,
    set: Option<&'static str>,
    method: String,
    part: &'static str,
    rows: usize,
    metric: &'static str,
    seeds: usize,
    cpu: f64,
    gpu: f64,
    /// Of training: the CPU's, the GPU's.
    seconds: [f64; 2],
    max_error: f64,
    tolerance: f64,
    pass: bool,
}

#[derive(Serialize)]
struct Verdict<'a> {
    #[serde(flatten)]
    facts: Facts,
    compared: usize,
    failed: &'a [String],
    pass: bool,
}

impl Page {
    pub(super) fn new(talk: &TalkArgs, console: Console) -> Self {
        Self {
            console,
            quiet: talk.quiet,
            json: talk.json,
            set: None,
            facts: None,
            compared: 0,
            failed: Vec::new(),
        }
    }

    fn talks(&self) -> bool {
        !self.json && !self.quiet
    }

    /// Says which rows follow.
    pub(super) fn begin(&mut self, set: &Set, compute: &Compute, facts: Facts) -> Result<()> {
        self.set = set.name;
        if self.json && self.facts.is_none() {
            self.console.event(&facts)?;
        }
        if self.talks() {
            if self.facts.is_none() {
                let title = self.console.bold(&compute.describe());
                self.console.line(&format!("{title} beside the CPU"))?;
            }
            let kind = if set.shape.sparse { "sparse" } else { "dense" };
            let generated = set.name.map_or("", |_| "generated ");
            self.console.line("")?;
            self.console.line(&format!(
                "{} {generated}training rows, {} {kind} features",
                count(facts.rows),
                count(facts.features)
            ))?;
        }
        self.facts.get_or_insert(facts);
        self.console.flush()
    }

    /// Says why a method is not compared.
    pub(super) fn left_out(&self, method: Method, why: &Error) {
        if !self.quiet {
            complain("note", &format!("{} is left out: {why}", name_of(method)));
        }
    }

    pub(super) fn kernels(&mut self, method: Method, rows: &[Row]) -> Result<()> {
        if self.talks() {
            self.console.line("")?;
            let name = self.console.bold(&format!("{:<24}", name_of(method)));
            let heads = format!("{:<32}{:>10}{:>11}", "shape", "max error", "tolerance");
            let heads = self.console.dim(&heads);
            self.console.line(&format!("{name}{heads}"))?;
        }
        self.rows("kernel", method, rows)
    }

    pub(super) fn steps(&mut self, method: Method, rows: &[Row]) -> Result<()> {
        if self.talks() {
            let title = self.console.dim("after 20 steps");
            self.console.line(&title)?;
        }
        self.rows("steps", method, rows)
    }

    fn rows(&mut self, event: &'static str, method: Method, rows: &[Row]) -> Result<()> {
        let method = name_of(method);
        for row in rows {
            self.note(&method, row);
            if self.json {
                let (set, method) = (self.set, method.clone());
                self.console.event(&RowEvent { event, set, method, row })?;
            } else if self.talks() {
                let verdict = self.verdict(row);
                self.console.line(&format!(
                    "  {:<22}{:<32}{:>10}{:>11}  {verdict}",
                    row.name,
                    row.shape,
                    scientific(row.max_error),
                    scientific(row.tolerance)
                ))?;
            }
        }
        self.console.flush()
    }

    /// Both models of the whole run.
    pub(super) fn run(&mut self, method: Method, run: &Run) -> Result<()> {
        let (method, row) = (name_of(method), &run.row);
        self.note(&method, row);
        if self.json {
            return self.console.event(&RunEvent {
                event: "run",
                set: self.set,
                method,
                part: run.part,
                rows: run.rows,
                metric: run.metric,
                seeds: run.seeds,
                cpu: run.cpu,
                gpu: run.gpu,
                seconds: run.seconds,
                max_error: row.max_error,
                tolerance: row.tolerance,
                pass: row.pass,
            });
        }
        if !self.talks() {
            return Ok(());
        }
        let part = match run.part {
            "train" => "training",
            "valid" => "validation",
            other => other,
        };
        let is_share = run.metric == "accuracy";
        let value = |x: f64| {
            if is_share { format!("{:.2} %", 100.0 * x) } else { format!("{x:.5}") }
        };
        let seeds = match run.seeds {
            1 => String::new(),
            seeds => format!(", mean of {seeds} seeds"),
        };
        let unit = if is_share { "points" } else { "%" };
        let name = if is_share { "accuracy" } else { "RMSE" };
        let verdict = self.verdict(row);
        self.console.line("")?;
        let title = self.console.bold(&format!("whole run, {method}"));
        let rows = count(run.rows);
        self.console.line(&format!("{title}: {name} on {rows} {part} rows{seeds}"))?;
        for (device, found, seconds) in
            [("cpu", run.cpu, run.seconds[0]), ("gpu", run.gpu, run.seconds[1])]
        {
            let time = self.console.dim(&format!("trained in {}", duration(seconds)));
            self.console.line(&format!("  {device}  {:>9}  {time}", value(found)))?;
        }
        self.console.line(&format!(
            "  {:.2} {unit} apart, tolerance {:.2}  {verdict}",
            100.0 * row.max_error,
            100.0 * row.tolerance
        ))?;
        self.console.flush()
    }

    fn note(&mut self, method: &str, row: &Row) {
        self.compared += 1;
        if !row.pass {
            let set = self.set.map_or_else(String::new, |set| format!("{set} "));
            self.failed.push(format!("{} ({set}{method})", row.name));
        }
    }

    fn verdict(&self, row: &Row) -> String {
        if row.pass {
            return "ok".into();
        }
        let what = if row.output == row.name { "" } else { row.output };
        self.console.bold(format!("FAILED {what}").trim_end())
    }

    /// Says what it comes to: the exit code.
    pub(super) fn end(mut self) -> Result<ExitCode> {
        let (compared, failed) = (self.compared, self.failed.len());
        let pass = failed == 0;
        let text = if pass {
            format!("GPU and CPU agree: {} within tolerance", counted(compared, "comparison"))
        } else {
            let names = self.failed.join(", ");
            format!("GPU and CPU DIFFER: {failed} of {compared} beyond tolerance: {names}")
        };
        if let (true, Some(facts)) = (self.json, self.facts.take()) {
            let facts = Facts { event: "result", ..facts };
            let failed = &self.failed;
            self.console.event(&Verdict { facts, compared, failed, pass })?;
        } else if self.talks() {
            let text = self.console.bold(&text);
            self.console.line(&format!("\n{text}"))?;
        } else if !pass {
            complain("error", &text);
        }
        self.console.flush()?;
        Ok(if pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// An error as people compare them; counts and places have none to allow.
fn scientific(error: f64) -> String {
    if error == 0.0 { "0".into() } else { format!("{error:.1e}") }
}

//! `llfm reproduce`: the papers' protocol, tables and figures.

mod args;
mod files;
mod origin;
mod page;
mod pictures;
mod presets;
mod published;
mod record;
mod runs;
mod sets;

use std::path::Path;

use clap::ValueEnum;
use llfm::config::Method;
use llfm::journal::Journal;
use llfm::output::write_atomic;
use llfm::{Error, Result};
use serde::Serialize;

pub(crate) use args::ReproduceArgs;

use super::console::{Console, complain, tell};
use super::device::Compute;
use super::machine::Machine;
use super::report::duration;
use super::signals::Signals;
use args::PresetName;
use files::{Folders, Found};
use page::Page;
use presets::Preset;
use published::Published;
use record::{Cell, Contender, Record};
use runs::{Rows, Trainer};

/// The journal of an output folder.
const JOURNAL: &str = "runs.jsonl";

/// What the runs of a journal have in common.
#[derive(Serialize)]
struct Header {
    command: &'static str,
    version: &'static str,
    preset: PresetName,
    /// Where the command line overruled the preset.
    epochs: Option<u32>,
    device: String,
}

/// Runs the command.
pub(crate) fn run(args: &ReproduceArgs) -> Result<()> {
    let mut found = Folders::new(args.data.as_deref()).find(&args.sets)?;
    check_runs(args, &found)?;
    check_output(args)?;
    let compute = args.run.start(super::args::GpuRowArgs::default(), args.talk.quiet)?;
    let signals = Signals::install()?;
    for one in &mut found {
        one.check(args.talk.quiet)?;
    }
    std::fs::create_dir_all(&args.output).map_err(Error::io("create", &args.output))?;
    let path = args.output.join(JOURNAL);
    let header = Header::new(args, &compute);
    let (journal, records) = if args.resume {
        Journal::resume(&path, &header)?
    } else {
        (Journal::create(&path, &header, args.force)?, Vec::new())
    };
    let machine = Machine::new(&compute);
    let published = Published::read()?;
    let console = Console::new(true);
    let job = Job { args, compute, signals, machine: &machine, published: &published, console };
    job.run(&found, journal, records)
}

/// Refuses a number of runs for a set that is not trained on.
fn check_runs(args: &ReproduceArgs, found: &[Found]) -> Result<()> {
    let stray = args.runs.named().find(|name| found.iter().all(|one| one.set.name != *name));
    stray.map_or(Ok(()), |name| {
        Err(Error::Usage(format!("--runs: {name} is not among the sets to train on")))
    })
}

/// Refuses to mix results with others, or to replace them unasked.
fn check_output(args: &ReproduceArgs) -> Result<()> {
    let folder = &args.output;
    let shown = folder.display();
    if folder.is_file() {
        return Err(Error::Usage(format!("--output {shown} is a file: name a folder")));
    }
    let filled = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if filled && !args.force && !args.resume {
        return Err(Error::Usage(format!(
            "--output {shown} exists: go on with it by --resume, replace the results in it by --force, \
             or choose another name"
        )));
    }
    Ok(())
}

impl Header {
    fn new(args: &ReproduceArgs, compute: &Compute) -> Self {
        Self {
            command: "reproduce",
            version: env!("CARGO_PKG_VERSION"),
            preset: args.preset,
            epochs: args.epochs,
            // A journal goes on with other threads; on another device it would mix two results.
            device: compute.adapter().unwrap_or("cpu").to_owned(),
        }
    }
}

/// Everything but the data.
struct Job<'a> {
    args: &'a ReproduceArgs,
    compute: Compute,
    signals: Signals,
    machine: &'a Machine,
    published: &'a Published,
    console: Console,
}

impl Job<'_> {
    fn run(mut self, found: &[Found], mut journal: Journal, mut done: Vec<Record>) -> Result<()> {
        let contenders = self.contenders();
        if !self.args.talk.quiet {
            let names: Vec<&str> = found.iter().map(|one| one.set.name).collect();
            let runs: u64 = names.iter().map(|name| self.args.runs.of(name)).sum();
            tell(&format!("{}: {runs} × {} models", names.join(", "), contenders.len()));
        }
        let path = self.args.output.join(JOURNAL);
        for one in found {
            origin::check_recorded(self.args, &path, one, &contenders, &done)?;
        }
        let mut cells = Vec::new();
        for one in found {
            let ended = self.run_set(one, &contenders, &mut journal, &mut done);
            if matches!(ended, Err(Error::Interrupted { .. } | Error::Device(_))) {
                self.say_how_to_resume();
            }
            ended?;
            for &contender in &contenders {
                cells.extend(self.sum_up(one, contender, &done)?);
            }
        }
        let page = Page::new(self.args, self.machine, self.published, &cells);
        self.write(&page, &cells, &done)?;
        self.conclude(&page, &cells)
    }

    /// The methods asked for, and averages.
    fn contenders(&self) -> Vec<Contender> {
        let all = Method::value_variants();
        let wanted = self.args.methods.as_deref().unwrap_or(all);
        // In the order of the tables; FM first, which the others are timed against.
        let methods = all.iter().filter(|method| wanted.contains(method));
        let mut contenders: Vec<Contender> =
            methods.map(|&method| Contender { method, ensemble: 1 }).collect();
        if let Some(ensemble) = self.args.ensemble {
            contenders.push(Contender { method: Method::LlfmJo, ensemble: ensemble.into() });
        }
        contenders
    }

    /// Does the runs of a set that the journal lacks.
    fn run_set(
        &self,
        found: &Found,
        contenders: &[Contender],
        journal: &mut Journal,
        done: &mut Vec<Record>,
    ) -> Result<()> {
        let (set, quiet) = (found.set, self.args.talk.quiet);
        let is_done = |done: &[Record], contender: Contender, run: u64| {
            done.iter().any(|r| r.set == set.name && r.contender == contender && r.run == run)
        };
        let runs = 0..self.args.runs.of(set.name);
        if runs.clone().all(|run| contenders.iter().all(|&one| is_done(done, one, run))) {
            return Ok(());
        }
        let mut rows = Rows::read(found, quiet)?;
        let trainer =
            Trainer { args: self.args, device: &self.compute.device, signals: &self.signals };
        for run in runs {
            for &contender in contenders {
                if is_done(done, contender, run) {
                    continue;
                }
                self.signals.check()?;
                let preset = Preset::of(self.args.preset, set.name, contender.method)?;
                let ready = rows.prepared(run, &preset, quiet)?;
                let finished = trainer.run(ready, found, contender, run, &preset)?;
                if run == 0 && pictures::has_boundary(&finished) {
                    pictures::draw_boundary(
                        &self.args.output,
                        set,
                        ready,
                        &finished,
                        &self.compute.device,
                    )?;
                }
                // After its picture: a run that is done is not done again.
                journal.append(&finished.record)?;
                if !quiet {
                    tell(&self.line(&finished.record));
                }
                done.push(finished.record);
            }
        }
        Ok(())
    }

    /// A finished run on standard error.
    fn line(&self, record: &Record) -> String {
        let value = match (record.test.accuracy, record.test.rmse) {
            (Some(accuracy), _) => format!("accuracy {:.2} %", 100.0 * accuracy),
            (None, rmse) => format!("RMSE {:.4}", rmse.unwrap_or(f64::NAN)),
        };
        format!(
            "{:<12}{:<8} run {}/{}  {value}  test loss {:.4}  active {:.1}  {}",
            record.set,
            record.contender.title(),
            record.run + 1,
            self.args.runs.of(&record.set),
            record.test.loss,
            record.mean_active,
            duration(record.train_seconds)
        )
    }

    /// The cell of a set and contender, told to programs at once.
    fn sum_up(
        &mut self,
        found: &Found,
        contender: Contender,
        done: &[Record],
    ) -> Result<Option<Cell>> {
        let asked: Vec<Record> =
            done.iter().filter(|r| r.run < self.args.runs.of(&r.set)).cloned().collect();
        let how = (self.args.preset, self.args.epochs);
        let cell = Cell::of(found.set, contender, &asked, how, self.published);
        if let (Some(cell), true) = (&cell, self.args.talk.json) {
            self.console.event(cell)?;
        }
        Ok(cell)
    }

    fn say_how_to_resume(&self) {
        if !self.args.talk.quiet {
            let journal = self.args.output.join(JOURNAL);
            complain(
                "note",
                &format!(
                    "finished runs are in {}: the same command with --resume goes on from there",
                    journal.display()
                ),
            );
        }
    }

    /// Writes the page, the same for programs, and the figure.
    fn write(&self, page: &Page, cells: &[Cell], done: &[Record]) -> Result<()> {
        let file = |name: &str| self.args.output.join(name);
        let json = serde_json::to_vec_pretty(&page.json())
            .map_err(|e| Error::io("write", Path::new("results.json"))(std::io::Error::other(e)))?;
        write_atomic(&file("results.json"), &json)?;
        pictures::draw_losses(&file("figure1.svg"), cells, done)?;
        write_atomic(&file("results.md"), page.markdown().as_bytes())
    }

    /// Prints the results; then fails where a loss diverged.
    fn conclude(mut self, page: &Page, cells: &[Cell]) -> Result<()> {
        let quiet = self.args.talk.quiet;
        if self.args.talk.json {
            self.console.event(&page.result())?;
        } else if !quiet {
            self.console.bytes(page.markdown().as_bytes())?;
            self.console.flush()?;
        }
        if !quiet {
            tell(&format!("tables, figures and runs are in {}", self.args.output.display()));
        }
        let diverged: Vec<String> = cells
            .iter()
            .filter(|cell| cell.diverged > 0)
            .map(|cell| {
                format!("{} {} ({} of {})", cell.set, cell.method, cell.diverged, cell.runs)
            })
            .collect();
        if diverged.is_empty() {
            return Ok(());
        }
        let runs = diverged.join(", ");
        Err(Error::Diverged(format!("the loss diverged in runs of {runs}; the tables say so")))
    }
}

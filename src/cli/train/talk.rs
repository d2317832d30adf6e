//! What `llfm train` says: what it read and decided, and what came of it.

use std::env::temp_dir;

use llfm::config::{TrainConfig, name_of};
use llfm::data::Dataset;
use llfm::experiment::Measured;
use llfm::train::Trained;
use llfm::{Error, Result};

use super::Job;
use super::checkpoints::Keeper;
use crate::cli::console::complain;
use crate::cli::memory::show_size;
use crate::cli::progress::Progress;
use crate::cli::report::{self, Facts, Seconds, count, counted, duration};

#[derive(serde::Serialize)]
struct StartEvent<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    settings: &'a TrainConfig,
}

impl Job<'_> {
    pub(super) fn talks(&self) -> bool {
        !self.args.talk.json && !self.args.talk.quiet
    }

    /// Says what was read and decided.
    pub(super) fn introduce(&mut self) -> Result<()> {
        if self.args.talk.json {
            return self.console.event(&StartEvent { facts: &self.facts, settings: &self.config });
        }
        if !self.talks() {
            return Ok(());
        }
        let (facts, config, console) = (&self.facts, &self.config, &mut self.console);
        let title = console.bold(&facts.method);
        console.line(&format!("{title} · {} · {} loss", facts.task, facts.loss))?;
        let kind = if self.loaded.rows.preprocess.is_sparse() { "sparse" } else { "dense" };
        let classes = facts.classes.map_or_else(String::new, |n| format!(", {} classes", count(n)));
        let rows = |set: &Option<Dataset>, name: &str| {
            set.as_ref().map_or_else(String::new, |set| {
                format!(", {} {name}", count(set.features.n_rows()))
            })
        };
        // The word belongs to the last number of the list.
        let last = self.loaded.rows.test.as_ref().or(self.loaded.rows.valid.as_ref());
        let all = last.map_or(facts.rows, |set| set.features.n_rows());
        let data = format!(
            "{} training{}{} {}, {} {kind} {}{classes}",
            count(facts.rows),
            rows(&self.loaded.rows.valid, "validation"),
            rows(&self.loaded.rows.test, "test"),
            if all == 1 { "row" } else { "rows" },
            count(facts.features),
            if facts.features == 1 { "feature" } else { "features" },
        );
        let learning = format!(
            "{}, rate {:.3}, batches of {}, {}, seed {}",
            name_of(config.optimizer),
            config.learning_rate,
            config.batch_size,
            counted(config.epochs, "epoch"),
            config.seed
        );
        let device = self.compute.describe();
        let start = self.args.init_model.as_ref();
        let start = start.map(|path| ("start", path.display().to_string()));
        let stream = self.loaded.rows.stream.as_ref().map(|rows| {
            let windows = counted(rows.n_windows(), "window");
            ("stream", format!("{windows} an epoch, from a file in {}", temp_dir().display()))
        });
        let resume = self.found.as_ref().map(|found| {
            let at = &found.checkpoint.snapshot.position;
            let epochs = format!("{} of {}", at.epoch, counted(config.epochs, "epoch"));
            ("resume", format!("after {epochs}, from {}", found.path.display()))
        });
        let data = [("data", data)].into_iter().chain(stream).chain(resume);
        let lines = [("training", learning), ("device", device)];
        for (name, text) in start.into_iter().chain(data).chain(lines) {
            let name = console.dim(&format!("{name:<9}"));
            console.line(&format!("  {name}{text}"))?;
        }
        for line in report::settings(config).iter().filter(|_| self.args.talk.verbose) {
            let line = console.dim(&format!("           {line}"));
            console.line(&line)?;
        }
        console.flush()
    }

    /// Says where an interrupted run is kept.
    pub(super) fn say_how_to_resume(&self) {
        if let (false, Some(path)) =
            (self.args.talk.quiet, self.keeper.as_ref().and_then(Keeper::newest))
        {
            let path = path.display();
            let text = format!("the run is kept in {path}: the same command with --resume goes on");
            complain("note", &text);
        }
    }

    fn rows_per_second(&self, trained: &Trained) -> f64 {
        self.facts.rows as f64 * trained.epochs_run / trained.train_seconds.max(1e-9)
    }

    pub(super) fn print_result(
        &mut self,
        facts: Facts,
        progress: &Progress,
        trained: &Trained,
        measured: &Measured,
    ) -> Result<()> {
        let part = |name: &str| measured.model.summary.metrics.get(name);
        report::Outcome {
            facts,
            seconds: Seconds {
                load: self.loaded.seconds,
                seed: trained.seed_seconds,
                train: trained.train_seconds,
                evaluate: measured.seconds,
            },
            rows_per_second: self.rows_per_second(trained),
            mean_active: measured.model.summary.mean_active,
            peak_memory_bytes: None,
            data_placement: progress.device_use.map(|found| found.placement),
            row_storage: progress.device_use.map(|found| found.storage),
            device_memory_bytes: progress.device_use.map(|found| found.bytes),
            stopped: self.why_stopped(trained),
            epochs_run: trained.epochs_run,
            best_epochs: &trained.best_epochs,
            train: part("train"),
            valid: part("valid"),
            test: part("test"),
        }
        .print(&mut self.console)
    }

    pub(super) fn why_stopped(&self, trained: &Trained) -> Option<&'static str> {
        match &trained.failed {
            Some(Error::Device(_)) => return Some("device"),
            Some(_) => return Some("unreadable-rows"),
            None => {}
        }
        if trained.diverged.is_some() {
            return Some("diverged");
        }
        if trained.stopped {
            return Some("interrupted");
        }
        let all = (self.config.epochs * self.config.ensemble) as f64;
        (trained.epochs_run < all - 0.5).then_some("patience")
    }

    pub(super) fn print_summary(
        &mut self,
        progress: &Progress,
        trained: &Trained,
        measured: &Measured,
    ) -> Result<()> {
        let rate = self.rows_per_second(trained);
        let summary = &measured.model.summary;
        let model = format!(
            "{} × {}, {:.1} active a row, {} distance, L {:.3}{}",
            counted(progress.anchors, "anchor"),
            counted(self.config.factors, "factor"),
            summary.mean_active,
            name_of(self.config.distance),
            progress.lipschitz,
            if self.config.ensemble > 1 {
                format!(", {}", counted(trained.members.len(), "member"))
            } else {
                String::new()
            },
        );
        let epochs = match self.why_stopped(trained) {
            Some("patience") => " (ended by --patience)".into(),
            Some("device") => " (ended by the device)".into(),
            Some("unreadable-rows") => " (ended by rows that cannot be read)".into(),
            Some("diverged") => " (ended by divergence)".into(),
            Some(_) => " (ended by an interrupt)".into(),
            None => String::new(),
        };
        let time =
            format!("{}{epochs}, {} rows/s", duration(trained.train_seconds), count(rate as u64));
        let mut lines = vec![("model", model), ("time", time)];
        if self.loaded.rows.valid.is_some() {
            let best: Vec<String> = trained.best_epochs.iter().map(ToString::to_string).collect();
            let (best, metric) = (best.join(", "), name_of(self.config.eval_metric));
            lines.push(("kept", format!("epoch {best}, the best by validation {metric}")));
        }
        for (name, text) in lines {
            let name = self.console.dim(&format!("{name:<9}"));
            self.console.line(&format!("  {name}{text}"))?;
        }
        self.console.line("")?;
        let parts = ["train", "valid", "test"].map(|part| (part, summary.metrics.get(part)));
        report::table(&mut self.console, &parts)?;
        self.console.line("")?;
        for (name, path) in &self.written {
            let size = show_size(std::fs::metadata(path).map_or(0, |meta| meta.len()));
            self.console.line(&format!("{name} written to {} ({size})", path.display()))?;
        }
        self.console.flush()
    }
}

//! Draws the events of a run: a bar on a terminal, plain lines elsewhere, JSON for programs.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use llfm::Result;
use llfm::backend::{DeviceUse, Placement, RowStorage};
use llfm::config::{TrainConfig, name_of};
use llfm::event::{EpochReport, Event};
use llfm::metrics::EvalMetric;
use serde::Serialize;

use super::args::TalkArgs;
use super::console::{Console, complain, tell};
use super::memory::show_size;

/// Epochs of a run that are kept, at most: more than a picture has pixels across.
const KEPT: usize = 8192;

/// Watches a run and keeps its epochs: all, or every second, fourth … of a run so long that its
/// memory would grow with them.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    json: bool,
    /// Whether every epoch gets a line.
    lines: bool,
    members: usize,
    rows_per_step: u64,
    metric: EvalMetric,
    pub(crate) epochs: Vec<EpochReport>,
    /// Epochs seen, and of how many one is kept.
    seen: usize,
    stride: usize,
    kept: usize,
    pub(crate) lipschitz: f64,
    pub(crate) anchors: usize,
    pub(crate) device_use: Option<DeviceUse>,
    interrupted: bool,
}

#[derive(Serialize)]
struct EpochEvent<'a> {
    event: &'static str,
    #[serde(flatten)]
    report: &'a EpochReport,
}

fn device_line(device_use: &DeviceUse) -> String {
    let rows = match device_use.placement {
        Placement::Stream => "streamed from the host",
        _ => "resident on the device",
    };
    let stored = match device_use.storage {
        RowStorage::F32 => String::new(),
        storage => format!(" as {}", name_of(storage)),
    };
    format!("training rows {rows}{stored}, {} of device buffers", show_size(device_use.bytes))
}

impl Progress {
    /// Follows a run.
    pub(crate) fn new(talk: &TalkArgs, config: &TrainConfig) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            bar: (terminal && !talk.quiet).then(bar),
            quiet: talk.quiet,
            json: talk.json,
            lines: !talk.quiet && (!terminal || talk.verbose),
            members: config.ensemble,
            rows_per_step: config.batch_size as u64,
            metric: config.eval_metric,
            epochs: Vec::new(),
            seen: 0,
            stride: 1,
            kept: KEPT,
            lipschitz: 0.0,
            anchors: 0,
            device_use: None,
            interrupted: false,
        }
    }

    /// One of many runs: the bar, and a line an epoch only where more was asked for; programs are told
    /// when all is done. Every epoch is kept, for the record of the run.
    pub(crate) fn only_bar(&mut self, verbose: bool) {
        self.kept = usize::MAX;
        self.lines &= verbose;
        self.json = false;
    }

    /// Takes over what was kept of the first `seen` epochs, before a break.
    pub(crate) fn go_on(&mut self, history: &[EpochReport], seen: usize) {
        self.epochs = history.to_vec();
        (self.seen, self.stride) = (seen, 1);
        // It doubled whenever too many were kept.
        while seen.div_ceil(self.stride) > history.len() && self.stride < seen {
            self.stride = self.stride.saturating_mul(2);
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event, console: &mut Console) -> Result<()> {
        match event {
            Event::MemberStart { member, lipschitz, anchors } => {
                if let Some(bar) = &self.bar {
                    bar.set_message("training");
                }
                if *member == 0 {
                    self.lipschitz = *lipschitz;
                    self.anchors = *anchors;
                }
            }
            Event::Device(device_use) => {
                if self.device_use.is_none() && !self.quiet && !self.json {
                    self.aside(|| tell(&device_line(device_use)));
                }
                self.device_use = Some(*device_use);
            }
            Event::Step { done, total } => self.step(*done, *total),
            Event::Epoch(report) => self.epoch(report, console)?,
            Event::Warning(text) => self.warn(text),
            Event::Kept { .. } | Event::Snapshot(_) => {}
        }
        Ok(())
    }

    /// Warns past the bar.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            self.aside(|| complain("warning", text));
        }
    }

    /// Says once that an interrupt was heard.
    pub(crate) fn interrupt(&mut self) {
        if !std::mem::replace(&mut self.interrupted, true) && !self.quiet {
            self.aside(|| {
                complain("note", "interrupted: ending after this step; once more ends at once");
            });
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn step(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            // In rows, so that the rate does not depend on the batch size.
            bar.set_length(total * self.rows_per_step);
            bar.set_position(done * self.rows_per_step);
        }
    }

    fn epoch(&mut self, report: &EpochReport, console: &mut Console) -> Result<()> {
        self.keep(report);
        if self.lines {
            self.aside(|| tell(&self.epoch_line(report)));
        }
        if let Some(bar) = &self.bar {
            let valid = self.valid(report).map(|(name, value)| format!(" · {name} {value:.4}"));
            let valid = valid.collect::<String>();
            bar.set_message(format!(
                "epoch {}/{} · loss {:.4}{valid}",
                report.epoch, report.epochs, report.train_loss
            ));
        }
        if self.json {
            console.event(&EpochEvent { event: "epoch", report })?;
        }
        Ok(())
    }

    fn keep(&mut self, report: &EpochReport) {
        if self.seen.is_multiple_of(self.stride) {
            self.epochs.push(report.clone());
        }
        self.seen += 1;
        if self.epochs.len() > self.kept {
            let mut place = 0_usize;
            self.epochs.retain(|_| {
                place += 1;
                !place.is_multiple_of(2)
            });
            self.stride *= 2;
        }
    }

    fn epoch_line(&self, report: &EpochReport) -> String {
        use std::fmt::Write;
        let mut line = String::new();
        if self.members > 1 {
            let _ = write!(line, "member {}/{}  ", report.member + 1, self.members);
        }
        let width = report.epochs.to_string().len();
        let _ = write!(
            line,
            "epoch {:>width$}/{}  train {:.5}",
            report.epoch, report.epochs, report.train_loss
        );
        for (name, value) in self.valid(report).chain(named("test", report.test_loss)) {
            let _ = write!(line, "  {name} {value:.5}");
        }
        let _ = write!(line, "  active {:.2}", report.mean_active);
        if report.dead_anchors > 0 {
            let _ = write!(line, "  unused anchors {}", report.dead_anchors);
        }
        let _ = write!(line, "  rate {:.2e}  {:.1} s", report.learning_rate, report.seconds);
        line
    }

    /// What the validation rows came to, with its names.
    fn valid(&self, report: &EpochReport) -> impl Iterator<Item = (String, f64)> + use<> {
        let metric = format!("valid {}", name_of(self.metric));
        named("valid", report.valid_loss).chain(named(&metric, report.valid_metric))
    }

    /// Prints past the bar.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn named(name: &str, value: Option<f64>) -> impl Iterator<Item = (String, f64)> + use<> {
    value.map(|value| (name.to_owned(), value)).into_iter()
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template(
        "{bar:32.cyan/dim} {percent:>3} % · {msg} · {per_sec} · {eta} left",
    );
    if let Ok(style) = style {
        let style = style.progress_chars("━━─").with_key(
            "per_sec",
            |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{} rows/s", super::report::count(state.per_sec() as u64));
            },
        );
        bar.set_style(style);
    }
    bar.set_message("seeding anchors");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use llfm::bench::{RowShape, config_of};
    use llfm::settings::Settings;

    use super::*;

    /// The epochs kept of so many.
    fn kept(epochs: usize, only_bar: bool) -> Vec<usize> {
        let shape = RowShape::named("letter").expect("a shape");
        let config = config_of(shape, &Settings::default()).expect("sound settings");
        let talk = TalkArgs { quiet: true, verbose: false, json: false };
        let mut progress = Progress::new(&talk, &config);
        if only_bar {
            progress.only_bar(false);
        }
        for epoch in 1..=epochs {
            progress.keep(&EpochReport {
                member: 0,
                epoch,
                epochs,
                train_loss: 0.5,
                objective: 0.5,
                valid_loss: None,
                valid_metric: None,
                test_loss: None,
                mean_active: 1.0,
                dead_anchors: 0,
                learning_rate: 0.1,
                seconds: 1.0,
            });
        }
        progress.epochs.iter().map(|report| report.epoch).collect()
    }

    #[test]
    fn a_long_run_keeps_epochs_evenly_and_no_more_than_a_picture_shows() {
        assert_eq!(kept(KEPT, false), (1..=KEPT).collect::<Vec<_>>());
        for epochs in [KEPT + 1, 10 * KEPT, 100_003] {
            let kept = kept(epochs, false);
            assert!(kept.len() > KEPT / 2 - 1 && kept.len() <= KEPT, "{epochs}: {}", kept.len());
            let stride = kept[1] - kept[0];
            assert!(kept.windows(2).all(|two| two[1] - two[0] == stride), "{epochs}");
            assert!(kept[0] == 1 && kept.last() > Some(&(epochs - stride)), "{epochs}");
        }
        assert_eq!(kept(3 * KEPT, true).len(), 3 * KEPT, "one of many runs");
    }
}

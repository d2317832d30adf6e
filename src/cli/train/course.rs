//! A training run as the command follows it: events shown, checkpoints written, signals heard, and a
//! device that failed opened once more.

use llfm::checkpoint::Found;
use llfm::event::{Event, Flow};
use llfm::train::{Snapshot, Trained};
use llfm::{Error, Result};
use serde_json::{Value, json};

use super::Job;
use super::checkpoints::{CheckpointEvent, Keeper};
use crate::cli::console::{Console, complain};
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;

impl Job<'_> {
    /// Finds what to go on from, or makes ready for checkpoints of a new run.
    pub(super) fn take_up(&mut self) -> Result<()> {
        let run = self.keeper.is_some().then(|| self.identity());
        let (Some(run), Some(keeper)) = (run, &mut self.keeper) else { return Ok(()) };
        self.found = keeper.begin(run, self.args.keep.resume)?;
        if self.args.talk.quiet {
            return Ok(());
        }
        for error in self.found.iter().flat_map(|found| &found.damaged) {
            complain("warning", &format!("{error}: going on from the one before"));
        }
        if let Some(adapters) = &keeper.other_adapter {
            let text = format!("another GPU, {adapters}: the model will not have the same bits");
            complain("warning", &text);
        }
        if self.args.keep.resume && self.found.is_none() {
            let folder = keeper.folder().display();
            complain("note", &format!("nothing to resume in {folder}: starting afresh"));
        }
        Ok(())
    }

    /// What the run is: another one does not go on from its checkpoints.
    fn identity(&self) -> Value {
        let mut run = self.loaded.rows.identity(&self.config);
        run["device"] = self.compute.kind().into();
        run["adapter"] = json!(self.compute.adapter());
        if self.compute.adapter().is_some() {
            run["row_storage"] = json!(self.args.gpu_rows.row_storage);
        }
        run["init_model"] = json!(self.start);
        run
    }

    /// Trains with the progress shown; a signal ends it after the step.
    pub(super) fn train(&mut self) -> Result<(Trained, Progress)> {
        let mut progress = Progress::new(&self.args.talk, &self.config);
        let found = self.found.take();
        let mut trained = self.fit(found.as_ref(), &mut progress)?;
        drop(found);
        if let Some(found) = self.open_again(&trained) {
            trained = self.fit(Some(&found), &mut progress)?;
        }
        progress.finish();
        Ok((trained, progress))
    }

    fn fit(&mut self, found: Option<&Found>, progress: &mut Progress) -> Result<Trained> {
        if let Some(Found { checkpoint, path, .. }) = found {
            let at = &checkpoint.snapshot.position;
            progress.go_on(&checkpoint.history, at.before.epochs as usize + at.epoch);
            if self.args.talk.json {
                let resume = CheckpointEvent::new("resume", path, &checkpoint.snapshot);
                self.console.event(&resume)?;
            }
        }
        let Self { config, compute, loaded, signals, console, keeper, left, .. } = self;
        let (json, snapshot) = (self.args.talk.json, found.map(|found| &found.checkpoint.snapshot));
        let keeper = keeper.as_mut();
        let mut follower =
            Follower { signals, console, progress, keeper, json, left: false, failed: None };
        let trained = loaded
            .rows
            .fit_from(config, &compute.device, snapshot, &mut |event| follower.follow(event));
        *left = follower.left;
        follower.failed.map_or(trained, Err)
    }

    /// Opens a device that failed in the middle of a run once more; returns what to go on from, where both
    /// are there.
    fn open_again(&mut self, trained: &Trained) -> Option<Found> {
        let (Some(Error::Device(why)), Some(keeper)) = (&trained.failed, &mut self.keeper) else {
            return None;
        };
        keeper.newest()?;
        let found = keeper.reload().ok().flatten()?;
        self.compute = self.args.run.reopen(self.args.gpu_rows).ok()?;
        if !self.args.talk.quiet {
            let path = found.path.display();
            complain("warning", &format!("{why}; opened it again, going on from {path}"));
        }
        Some(found)
    }
}

/// Whoever follows the events of a run.
struct Follower<'a> {
    signals: &'a Signals,
    console: &'a mut Console,
    progress: &'a mut Progress,
    keeper: Option<&'a mut Keeper>,
    json: bool,
    /// Whether the run is left for a checkpoint that was written.
    left: bool,
    /// Why nothing more can be told.
    failed: Option<Error>,
}

impl Follower<'_> {
    fn follow(&mut self, event: &Event<'_>) -> Flow {
        let told = self.progress.show(event, self.console);
        self.remember(told);
        let ending = self.signals.received().is_some();
        if ending {
            self.progress.interrupt();
        }
        let wish = match (event, &mut self.keeper) {
            (Event::Snapshot(snapshot), _) => self.keep(snapshot, ending),
            (event, Some(keeper)) => keeper.wish(event, ending),
            (_, None) => Flow::Continue,
        };
        let ends = self.failed.is_some() || (ending && wish == Flow::Continue);
        if ends { Flow::Stop } else { wish }
    }

    /// Writes a checkpoint. Where that fails the run goes on, and ends as one without checkpoints.
    fn keep(&mut self, snapshot: &Snapshot<'_>, ending: bool) -> Flow {
        let Some(keeper) = &mut self.keeper else { return Flow::Continue };
        match keeper.save(snapshot, &self.progress.epochs) {
            Ok(path) => {
                self.left = ending;
                let written = CheckpointEvent::new("checkpoint", path, snapshot);
                let told = if self.json { self.console.event(&written) } else { Ok(()) };
                self.remember(told);
                if ending { Flow::Stop } else { Flow::Continue }
            }
            Err(error) => {
                let then = if ending { "the model so far is saved" } else { "training goes on" };
                self.progress.warn(&format!("no checkpoint: {error}; {then}"));
                // Not to be asked to stop in return: that would leave the run with nothing kept.
                Flow::Snapshot
            }
        }
    }

    fn remember(&mut self, told: Result<()>) {
        if let Err(error) = told {
            self.failed.get_or_insert(error);
        }
    }
}

//! A training run as the command follows it: events shown, checkpoints written, signals heard, and a
//! device that failed opened once more.

use llfm::checkpoint::Found;
use llfm::event::{Event, Flow};
use llfm::train::{Snapshot, Trained};
use llfm::{Error, Result};
use serde_json::{Value, json};

use super::Job;
use super::checkpoints::{CheckpointEvent, Keeper};
use super::circumstances::Circumstances;
use crate::cli::console::{Console, complain};
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;

impl Job<'_> {
    /// Finds what to go on from, or makes ready for checkpoints of a new run.
    pub(super) fn take_up(&mut self) -> Result<()> {
        self.found = self.find(self.args.keep.resume)?;
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let folder = keeper.folder();
        if let Some(before) = &keeper.before {
            before.refuse_other_outputs(&self.args.outputs(), folder)?;
        }
        if self.args.keep.resume && self.found.is_none() && !self.args.talk.quiet {
            let text = format!("nothing to resume in {}: starting afresh", folder.display());
            complain("note", &text);
        }
        Ok(())
    }

    /// The checkpoint to go on from on the device there is now. What is lost by it is said even by those who
    /// are quiet.
    fn find(&mut self, resume: bool) -> Result<Option<Found>> {
        let parts = |job: &Self| (job.identity(), Circumstances::new(job.args, &job.compute));
        let parts = self.keeper.is_some().then(|| parts(self));
        let (Some((run, now)), Some(keeper)) = (parts, &mut self.keeper) else { return Ok(None) };
        let found = keeper.begin(run, now, resume)?;
        for error in found.iter().flat_map(|found| &found.damaged) {
            complain("warning", &format!("{error}: going on from the one before"));
        }
        if let Some(difference) = keeper.differ() {
            complain("warning", &format!("{difference}: the model may not have the same bits"));
        }
        Ok(found)
    }

    /// What the run is: another one does not go on from its checkpoints.
    fn identity(&self) -> Value {
        let mut run = self.loaded.rows.identity(&self.config);
        run["device"] = self.compute.kind().into();
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
            match self.fit(Some(&found), &mut progress) {
                // The best model is that of before.
                Err(error @ Error::Device(_)) => trained.failed = Some(error),
                ended => trained = ended?,
            }
        }
        progress.finish();
        Ok((trained, progress))
    }

    fn fit(&mut self, found: Option<&Found>, progress: &mut Progress) -> Result<Trained> {
        if let Some(Found { checkpoint, path, .. }) = found {
            let at = &checkpoint.snapshot.position;
            let seen = (at.before.epochs as usize).saturating_add(at.epoch);
            progress.go_on(&checkpoint.history, seen);
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
        let Some(Error::Device(why)) = &trained.failed else { return None };
        self.keeper.as_ref()?.newest()?;
        self.compute = self.args.run.reopen(self.args.gpu_rows).ok()?;
        let found = self.find(true).ok().flatten()?;
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
                let mut written = CheckpointEvent::new("checkpoint", path, snapshot);
                written.stopped = ending.then_some("interrupted");
                let told = if self.json { self.console.event(&written) } else { Ok(()) };
                self.remember(told);
                if ending { Flow::Stop } else { Flow::Continue }
            }
            Err(error) => {
                let then =
                    if ending { "the run ends with the model so far" } else { "training goes on" };
                self.progress
                    .aside(|| complain("warning", &format!("no checkpoint: {error}; {then}")));
                keeper.unkept = ending.then_some(error);
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

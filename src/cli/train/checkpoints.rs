//! `--checkpoint`: when a run is kept, and where it goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use llfm::checkpoint::{Checkpoints, Found};
use llfm::event::{EpochReport, Event, Flow};
use llfm::train::Snapshot;
use llfm::{Error, Result};
use serde::Serialize;
use serde_json::Value;

use super::circumstances::Circumstances;
use crate::cli::args::checkpoint::{CheckpointArgs, Every};

/// Where nothing is said.
const DEFAULT: Every = Every::Time(Duration::from_secs(600));

/// Keeps a run.
pub(super) struct Keeper {
    checkpoints: Checkpoints,
    folder: PathBuf,
    every: Every,
    /// Most bytes that going on from a checkpoint may take.
    max_memory: u64,
    /// What the run is.
    run: Value,
    now: Circumstances,
    /// The newest checkpoint.
    newest: Option<PathBuf>,
    last: Instant,
    /// Why the one that was to end the run could not be written.
    pub(super) unkept: Option<Error>,
    /// How the part of the run that wrote the checkpoint was begun.
    pub(super) before: Option<Circumstances>,
}

#[derive(Serialize)]
pub(super) struct CheckpointEvent {
    /// `checkpoint` where it was written, `resume` where the run goes on from it.
    pub(super) event: &'static str,
    pub(super) path: String,
    pub(super) member: usize,
    pub(super) epoch: usize,
    pub(super) steps: u64,
    /// Why the run ends with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped: Option<&'static str>,
}

impl CheckpointEvent {
    pub(super) fn new(event: &'static str, path: &Path, snapshot: &Snapshot<'_>) -> Self {
        let (epoch, steps) = (snapshot.position.epoch, snapshot.position.steps);
        let path = path.display().to_string();
        Self { event, path, member: snapshot.member(), epoch, steps, stopped: None }
    }
}

impl Keeper {
    /// Takes hold of the folder, before any work is done. Going on takes at most `max_memory` bytes.
    pub(super) fn open(
        args: &CheckpointArgs,
        force: bool,
        max_memory: u64,
    ) -> Result<Option<Self>> {
        let Some(folder) = &args.checkpoint else {
            let given = [
                ("--resume", args.resume),
                ("--checkpoint-every", args.checkpoint_every.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((flag, _)) => {
                    let message = format!("{flag} needs the folder of the run: --checkpoint DIR");
                    Err(Error::Usage(message))
                }
                None => Ok(None),
            };
        };
        let shown = folder.display();
        if folder.exists() && !folder.is_dir() {
            return Err(Error::Usage(format!("--checkpoint {shown} is no folder: name another")));
        }
        let checkpoints = Checkpoints::open(folder)?;
        if !(args.resume || force) && Checkpoints::are_in(folder) {
            return Err(Error::Usage(format!(
                "--checkpoint {shown} holds a run: go on with it by --resume, replace it by --force, or \
                 name another folder"
            )));
        }
        Ok(Some(Self {
            checkpoints,
            folder: folder.clone(),
            every: args.checkpoint_every.unwrap_or(DEFAULT),
            max_memory,
            run: Value::Null,
            now: Circumstances::default(),
            newest: None,
            last: Instant::now(),
            unkept: None,
            before: None,
        }))
    }

    /// The lock on the folder.
    pub(super) fn lock(&self) -> &Path {
        self.checkpoints.lock()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the newest checkpoint of this run.
    pub(super) fn newest(&self) -> Option<&Path> {
        self.newest.as_deref()
    }

    /// Makes ready for a run: finds its newest checkpoint, or lets the first one replace all that are there.
    pub(super) fn begin(
        &mut self,
        run: Value,
        now: Circumstances,
        resume: bool,
    ) -> Result<Option<Found>> {
        (self.run, self.now) = (run, now);
        self.now.replace_in(&mut self.run);
        self.last = Instant::now();
        self.checkpoints.remove_litter()?;
        if !resume {
            self.checkpoints.replace_all()?;
            return Ok(None);
        }
        self.find()
    }

    /// The newest checkpoint, if it is of this run.
    fn find(&mut self) -> Result<Option<Found>> {
        let mut found = self.checkpoints.newest(self.max_memory).map_err(|error| match error {
            Error::Model { path, message } => {
                let way_out =
                    "no checkpoint here is whole: start afresh with --force in place of --resume";
                Error::Model { path, message: format!("{message}; {way_out}") }
            }
            error => error,
        })?;
        if let Some(found) = &mut found {
            let before = self.now.replace_in(&mut found.checkpoint.run);
            found.check(&self.run).map_err(|error| before.explain(error))?;
            self.now.follow(&before);
            self.now.replace_in(&mut self.run);
            self.before = Some(before);
            self.newest = Some(found.path.clone());
        }
        Ok(found)
    }

    /// Whether the run is to be kept now; `ending` where it is about to end unfinished.
    pub(super) fn wish(&mut self, event: &Event<'_>, ending: bool) -> Flow {
        let due = match (event, self.every) {
            (Event::Step { .. } | Event::Epoch(_), _) if ending => self.unkept.is_none(),
            (Event::Epoch(report), _) if report.epoch == report.epochs => true,
            (Event::Epoch(report), Every::Epochs(n)) => report.epoch % n == 0,
            (Event::Step { .. }, Every::Time(time)) => self.last.elapsed() >= time,
            _ => false,
        };
        if due { Flow::Snapshot } else { Flow::Continue }
    }

    /// Writes a checkpoint; returns its file.
    pub(super) fn save(
        &mut self,
        snapshot: &Snapshot<'_>,
        history: &[EpochReport],
    ) -> Result<&Path> {
        self.last = Instant::now();
        let path = self.checkpoints.save(&self.run, snapshot, history)?;
        Ok(self.newest.insert(path))
    }

    /// Why the model may not have the bits of a run without a break.
    pub(super) fn differ(&self) -> Option<String> {
        self.before.as_ref()?.differ(&self.now)
    }
}

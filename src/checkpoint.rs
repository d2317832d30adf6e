//! Checkpoints: a run as it was between two steps, kept in a folder so that it can go on from there.
//!
//! The two newest are kept. Each is written whole under another name, brought to the disk and renamed:
//! whatever ends the process, the newest file with a checkpoint's name is whole. One that was damaged
//! afterwards is told by its checksum, and the one before is taken.

mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use file::{Checkpoint, FORMAT_VERSION};

use crate::container;
use crate::difference::difference;
use crate::error::{Error, Result};
use crate::event::EpochReport;
use crate::output::{OutputLock, TEMPORARY, sync_folder};
use crate::train::Snapshot;

/// Checkpoints that are kept.
const KEPT: usize = 2;

/// What reading one takes, in lengths of its file: the bytes, and the snapshot.
const COPIES: u64 = 2;

/// A name is this, the number of the step in at least twelve digits, and the end.
const PREFIX: &str = "checkpoint-";
const END: &str = ".safetensors";

/// A folder of checkpoints of one run, which nobody else writes to meanwhile.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    lock: OutputLock,
    /// Those that give way to the next that is written, as the damaged ones do.
    gone: Vec<PathBuf>,
}

/// What there is to go on from.
#[derive(Debug)]
pub struct Found {
    /// The newest checkpoint that is whole.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// Why newer ones are passed over.
    pub damaged: Vec<Error>,
}

impl Checkpoints {
    /// Takes hold of a folder, and makes it where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be made or written, or another process writes to it.
    pub fn open(folder: &Path) -> Result<Self> {
        match fs::create_dir(folder) {
            // What is there and is no folder cannot be locked in.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::io("create", folder))?,
        }
        sync_folder(folder);
        let lock =
            OutputLock::acquire(&folder.join("checkpoint")).map_err(|error| match error {
                Error::Io { action, source, .. } => Error::io(action, folder)(source),
                error => error,
            })?;
        Ok(Self { folder: folder.to_owned(), lock, gone: Vec::new() })
    }

    /// Whether a folder has checkpoints, whole or not; one that is missing has none.
    pub fn are_in(folder: &Path) -> bool {
        checkpoints(folder).is_ok_and(|files| !files.is_empty())
    }

    /// The lock file.
    pub fn lock(&self) -> &Path {
        self.lock.path()
    }

    /// The newest checkpoint that is whole, read in at most `max_memory` bytes, or a little more where that
    /// is very small.
    ///
    /// # Errors
    /// That of the newest where none is whole: [`Error::Model`], or [`Error::Io`] where it cannot be read;
    /// [`Error::Usage`] where one is too long for the limit.
    pub fn newest(&mut self, max_memory: u64) -> Result<Option<Found>> {
        let mut damaged = Vec::new();
        self.gone.clear();
        for path in checkpoints(&self.folder)?.into_iter().rev() {
            let bytes = container::read(&path, COPIES, max_memory);
            match bytes.and_then(|bytes| Checkpoint::from_bytes(&bytes, &path)) {
                Ok(checkpoint) => return Ok(Some(Found { checkpoint, path, damaged })),
                Err(error @ Error::Usage(_)) => return Err(error),
                Err(error) => damaged.push(error),
            }
            self.gone.push(path);
        }
        damaged.into_iter().next().map_or(Ok(None), Err)
    }

    /// Lets the next checkpoint replace all that are there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn replace_all(&mut self) -> Result<()> {
        self.gone = checkpoints(&self.folder)?;
        Ok(())
    }

    /// Removes what a killed run left half written.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_litter(&self) -> Result<()> {
        let of_checkpoint = |name: &str| {
            // A dot, the output's name, and what makes it the name of one under construction.
            let output = name.strip_prefix('.').and_then(|name| name.strip_suffix(TEMPORARY));
            let output = output.and_then(|name| name.rsplit_once('-'));
            output.is_some_and(|(output, _)| number(output).is_some())
        };
        names(&self.folder, of_checkpoint)?.iter().try_for_each(|path| remove(path))
    }

    /// Writes a checkpoint, then removes all but the newest two. Returns its file.
    ///
    /// `run` is what the run is, a JSON object; `history`: the epochs so far.
    ///
    /// # Errors
    /// [`Error::Io`]; where it cannot be written the checkpoints before are untouched.
    pub fn save(
        &mut self,
        run: &Value,
        snapshot: &Snapshot<'_>,
        history: &[EpochReport],
    ) -> Result<PathBuf> {
        let number = snapshot.position.done;
        let path = self.folder.join(format!("{PREFIX}{number:012}{END}"));
        let file = file::write(&path, run, snapshot, history)?;
        // One of a run before may have a higher number: it must not be taken for the newest.
        self.gone.retain(|file| remove(file).is_err() && file.exists());
        sync_folder(&path);
        file.finish()?;
        let files = checkpoints(&self.folder)?;
        let others = files.iter().filter(|file| **file != path && !self.gone.contains(file));
        // What cannot be removed is in nobody's way.
        others.rev().skip(KEPT - 1).for_each(|file| drop(remove(file)));
        Ok(path)
    }
}

/// The checkpoints in a folder, oldest first.
fn checkpoints(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = names(folder, |name| number(name).is_some())?;
    files.retain(|file| file.is_file());
    files.sort_by_key(|path| path.file_name().and_then(|name| number(name.to_str()?)));
    Ok(files)
}

/// The number in the name of a checkpoint.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(END)?;
    let all_digits = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

/// Files in a folder with such names.
fn names(folder: &Path, such: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let fail = || Error::io("read", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        if entry.file_name().to_str().is_some_and(&such) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

impl Found {
    /// Refuses to go on with another run, by naming what differs.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self, run: &Value) -> Result<()> {
        match difference(&self.path, &self.checkpoint.run, run)? {
            None => Ok(()),
            Some(differences) => Err(Error::Usage(format!(
                "--resume: {} is of another run: {differences}. Give the same data and settings, start \
                 afresh with --force in place of --resume, or go on from a finished model with \
                 --init-model",
                self.path.display()
            ))),
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::io("remove", path))
}

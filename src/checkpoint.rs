//! Checkpoints: a run as it was between two steps, kept in a folder so that it can go on from there.
//!
//! The two newest are kept. Each is written whole under another name, brought to the disk and renamed:
//! whatever ends the process, the newest file with a checkpoint's name is whole. One that was damaged
//! afterwards is told by its checksum, and the one before is taken.

mod file;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use file::{Checkpoint, FORMAT_VERSION};

use crate::error::{Error, Result};
use crate::event::EpochReport;
use crate::journal::difference;
use crate::output::{OutputLock, TEMPORARY};
use crate::train::Snapshot;

/// Checkpoints that are kept.
const KEPT: usize = 2;

/// A name is this, the number of the step in twelve digits, and the end.
const PREFIX: &str = "checkpoint-";
const END: &str = ".safetensors";

/// A folder of checkpoints of one run, which nobody else writes to meanwhile.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    _lock: OutputLock,
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
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = OutputLock::acquire(&folder.join("checkpoint"))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The lock file.
    pub fn lock(&self) -> &Path {
        self._lock.path()
    }

    /// Whether there is a checkpoint, whole or not.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.files()?.is_empty())
    }

    /// The newest checkpoint that is whole.
    ///
    /// # Errors
    /// [`Error::Model`] where there are checkpoints and none is whole; [`Error::Io`].
    pub fn newest(&self) -> Result<Option<Found>> {
        let mut damaged = Vec::new();
        for path in self.files()?.into_iter().rev() {
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            match Checkpoint::from_bytes(&bytes, &path) {
                Ok(checkpoint) => return Ok(Some(Found { checkpoint, path, damaged })),
                Err(error) => damaged.push(error),
            }
        }
        damaged.into_iter().next().map_or(Ok(None), Err)
    }

    /// Removes every checkpoint, and what a killed run left of one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clear(&self) -> Result<()> {
        self.remove_litter()?;
        self.files()?.iter().try_for_each(|path| remove(path))
    }

    /// Removes what a killed run left half written.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_litter(&self) -> Result<()> {
        let start = format!(".{PREFIX}");
        self.names(&start, TEMPORARY)?.iter().try_for_each(|path| remove(path))
    }

    /// Writes a checkpoint, then removes all but the newest two. Returns its file.
    ///
    /// `run` is what the run is; `number` orders the checkpoints: the steps done, of all members;
    /// `history`: the epochs so far.
    ///
    /// # Errors
    /// [`Error::Io`]; the checkpoints before are then untouched.
    pub fn save(
        &self,
        run: &Value,
        number: u64,
        snapshot: &Snapshot<'_>,
        history: &[EpochReport],
    ) -> Result<PathBuf> {
        let path = self.folder.join(format!("{PREFIX}{number:012}{END}"));
        file::save(&path, run, snapshot, history)?;
        let files = self.files()?;
        let old = files.len().saturating_sub(KEPT);
        // What cannot be removed is in nobody's way.
        files[..old].iter().filter(|file| **file != path).for_each(|file| drop(remove(file)));
        Ok(path)
    }

    /// The checkpoints, oldest first.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = self.names(PREFIX, END)?;
        // Twelve digits and more sort by length first.
        files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        Ok(files)
    }

    /// Files in the folder whose names begin and end so.
    fn names(&self, start: &str, end: &str) -> Result<Vec<PathBuf>> {
        let fail = || Error::io("read", &self.folder);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail())? {
            let entry = entry.map_err(fail())?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(end)) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
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
                 afresh with --force, or go on from a finished model with --init-model",
                self.path.display()
            ))),
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::io("remove", path))
}

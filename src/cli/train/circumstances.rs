//! What may differ between the parts of a run that was left and taken up again.

use std::path::Path;

use llfm::data::visible;
use llfm::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::args::TrainArgs;
use crate::cli::device::Compute;
use crate::cli::outputs::{Output, is_special, resolved};

/// Letters of a command that are kept, and shown.
const MOST: usize = 1000;

/// The key under which it stands in what a run is.
const KEY: &str = "circumstances";

/// How a part of a run was begun. A forged file may say anything, or nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Circumstances {
    /// The arguments of the first part.
    command: String,
    /// The files that this part and those before write.
    outputs: Vec<String>,
    /// The GPU, and what tells this program from others: bits may differ where they do.
    adapter: Option<String>,
    program: Option<String>,
}

impl Circumstances {
    pub(super) fn new(args: &TrainArgs, compute: &Compute) -> Self {
        let words: Vec<_> = std::env::args_os().skip(1).collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let program = std::env::current_exe().and_then(std::fs::read);
        Self {
            command: words.join(" ").chars().take(MOST).collect(),
            outputs: args.outputs().iter().map(|(_, path)| known_as(path)).collect(),
            adapter: compute.adapter().map(str::to_owned),
            program: program.ok().map(|bytes| format!("{:x}", Sha256::digest(bytes))),
        }
    }

    /// Stands in what a run is from now on; returns what stood there.
    pub(super) fn replace_in(&self, run: &mut Value) -> Self {
        let there = std::mem::replace(&mut run[KEY], json!(self));
        serde_json::from_value(there).unwrap_or_default()
    }

    /// Takes over what is true of all parts of the run.
    pub(super) fn follow(&mut self, before: &Self) {
        self.command.clone_from(&before.command);
        let others = before.outputs.iter().filter(|path| !self.outputs.contains(path));
        let others: Vec<String> = others.cloned().collect();
        self.outputs.extend(others);
    }

    /// Why the model may not have the same bits where the run goes on under others.
    pub(super) fn differ(&self, now: &Self) -> Option<String> {
        let or_none = |adapter: &Option<String>| adapter.as_deref().unwrap_or("none").to_owned();
        let adapters = (self.adapter != now.adapter).then(|| {
            let (before, now) = (or_none(&self.adapter), or_none(&now.adapter));
            format!("another GPU, {} before and {now} now", visible(&before))
        });
        let both = self.program.as_ref().zip(now.program.as_ref());
        let programs = both.is_some_and(|(before, now)| before != now);
        adapters.or_else(|| programs.then(|| "another build of llfm".to_owned()))
    }

    /// How it was called, for whoever calls it otherwise.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Usage(text) if !self.command.is_empty() => {
                let command: String = self.command.chars().take(MOST).collect();
                Error::Usage(format!("{text}. It was begun by: llfm {}", visible(&command)))
            }
            error => error,
        }
    }

    /// Refuses to replace what this part of the run would not have written.
    pub(super) fn refuse_other_outputs(&self, outputs: &[Output<'_>], folder: &Path) -> Result<()> {
        for (flag, path) in outputs {
            if path.exists() && !is_special(path) && !self.outputs.contains(&known_as(path)) {
                return Err(Error::Usage(format!(
                    "{flag} {} exists, and is not of the run in {}: choose another name",
                    path.display(),
                    folder.display()
                )));
            }
        }
        Ok(())
    }
}

fn known_as(path: &Path) -> String {
    // Also where it is not UTF-8 no other file is known as this.
    format!("{:?}", resolved(path))
}

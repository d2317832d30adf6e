//! What a run was made of: a recorded run of other data or settings is refused, not reused.

use std::collections::BTreeMap;
use std::path::Path;

use llfm::config::TrainConfig;
use llfm::config::defaults::{self, DataShape};
use llfm::data::Scale;
use llfm::journal::difference;
use llfm::settings::Settings;
use llfm::{Error, Result};
use serde::{Deserialize, Serialize};

use super::args::ReproduceArgs;
use super::files::Found;
use super::presets::Preset;
use super::record::{Contender, Record};
use super::sets::Split;

/// The data of a run, and how they are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// SHA-256 of the content of each file, by its path below the folder.
    pub(super) files: BTreeMap<String, String>,
    pub(super) split: Split,
    pub(super) positive: Option<String>,
    pub(super) scale: Option<Scale>,
    pub(super) clip: Option<f32>,
}

impl Origin {
    /// Of a set as a preset wants it.
    pub(super) fn of(found: &Found, preset: &Preset) -> Self {
        let files = found.digests.iter();
        Self {
            files: files.map(|digest| (digest.path.to_owned(), digest.sha256.clone())).collect(),
            split: found.layout.split,
            positive: found.set.positive.map(str::to_owned),
            scale: preset.scale,
            clip: preset.clip,
        }
    }
}

/// A preset's settings for a run, all decided.
///
/// # Errors
/// As [`defaults::resolve`].
pub(super) fn settings_of(
    args: &ReproduceArgs,
    preset: &Preset,
    contender: Contender,
    run: u64,
    shape: &DataShape,
) -> Result<TrainConfig> {
    let settings = Settings {
        seed: Some(run),
        ensemble: Some(contender.ensemble),
        epochs: args.epochs.map(|n| n as usize).or(preset.settings.epochs),
        ..preset.settings.clone()
    };
    defaults::resolve(&settings, shape)
}

/// Refuses the runs of a set in a journal that would come out otherwise today.
///
/// # Errors
/// [`Error::Usage`] naming the set, the method and what differs.
pub(super) fn check_recorded(
    args: &ReproduceArgs,
    journal: &Path,
    found: &Found,
    contenders: &[Contender],
    done: &[Record],
) -> Result<()> {
    let reused = done.iter().filter(|record| {
        record.set == found.set.name
            && contenders.contains(&record.contender)
            && record.run < args.runs.of(found.set.name)
    });
    for record in reused {
        let Record { contender, run, .. } = *record;
        let preset = Preset::of(args.preset, found.set.name, contender.method)?;
        let mut differs = difference(journal, &record.data, &Origin::of(found, &preset))?;
        if differs.is_none() {
            // The same data have the same shape, so that they need not be read for this.
            let settings = settings_of(args, &preset, contender, run, &record.shape)?;
            differs = difference(journal, &record.settings, &settings)?;
        }
        if let Some(differs) = differs {
            return Err(Error::Usage(format!(
                "{}: run {run} of {} on {} was another one: {differs}. Go on with the data and \
                 the version of llfm it was made with, choose another --output, or begin anew by \
                 --force",
                journal.display(),
                contender.title(),
                record.set
            )));
        }
    }
    Ok(())
}

//! From files to data sets: read, split, label, prepare.

use std::path::{Path, PathBuf};
use std::time::Instant;

use llfm::config::defaults::{DataShape, clip_of};
use llfm::data::{
    self, Dataset, LabelMap, Notes, Preprocess, PreprocessOptions, RawRows, ReadOptions, Scale,
    SplitOptions, Task,
};
use llfm::error::Place;
use llfm::{Error, Result};

use super::args::{CompareArgs, IndexBase, PartArgs, PrepareArgs, ReadArgs, TrainArgs, YesNo};
use super::console::show_notes;
use super::memory::default_limit;

/// Everything training needs from the files.
pub(crate) struct Loaded {
    pub(crate) train: Dataset,
    pub(crate) valid: Option<Dataset>,
    pub(crate) test: Option<Dataset>,
    pub(crate) task: Task,
    pub(crate) labels: LabelMap,
    pub(crate) preprocess: Preprocess,
    /// Seconds it took.
    pub(crate) seconds: f64,
}

/// What of a command line says which rows to read, and how.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    data: &'a Path,
    parts: &'a PartArgs,
    read: &'a ReadArgs,
    prepare: &'a PrepareArgs,
    task: Option<Task>,
    quiet: bool,
}

impl<'a> From<&'a TrainArgs> for Source<'a> {
    fn from(args: &'a TrainArgs) -> Self {
        Self {
            data: &args.data,
            parts: &args.parts,
            read: &args.read,
            prepare: &args.prepare,
            task: args.settings.task.flatten(),
            quiet: args.talk.quiet,
        }
    }
}

impl<'a> Source<'a> {
    /// What `llfm compare` names; nothing where it leaves the data to us.
    pub(crate) fn of(args: &'a CompareArgs) -> Option<Self> {
        Some(Self {
            data: args.data.as_deref()?,
            parts: &args.parts,
            read: &args.read,
            prepare: &args.prepare,
            task: args.settings.task.flatten(),
            quiet: args.talk.quiet,
        })
    }
}

/// The rows of each part, as read.
struct Parts {
    train: RawRows,
    valid: Option<RawRows>,
    test: Option<RawRows>,
}

impl ReadArgs {
    /// The options of the library, for a file whose labels may be in another one.
    pub(crate) fn options(&self, labels: Option<&Path>) -> ReadOptions {
        ReadOptions {
            format: self.format,
            header: self.header.map(|header| header == YesNo::Yes),
            label: self.label.clone(),
            labels: labels.map(Path::to_owned),
            max_memory: self.max_memory.unwrap_or_else(default_limit),
            ..ReadOptions::default()
        }
    }
}

impl Loaded {
    /// Reads and prepares what the command line names.
    pub(crate) fn read<'a>(source: impl Into<Source<'a>>) -> Result<Self> {
        let args = source.into();
        let start = Instant::now();
        let mut notes = Notes::new();
        let loaded = Self::read_with(args, start, &mut notes);
        // Also when reading failed: what was guessed before may be why.
        show_notes(&mut notes, args.quiet);
        loaded
    }

    fn read_with(args: Source<'_>, start: Instant, notes: &mut Notes) -> Result<Self> {
        let parts = read_parts(args, notes)?;
        let place = args.data;
        let raw_labels = parts.train.labels.as_ref().ok_or_else(|| unlabelled(place))?;
        let positive = args.prepare.positive.as_deref();
        let (task, mut labels) = LabelMap::fit(raw_labels, args.task, positive, place, notes)?;
        // Nobody can rate beyond the scale.
        labels.set_clamp(parts.train.schema.is_ratings());
        let options = PreprocessOptions {
            scale: args.prepare.scale,
            clip: args.prepare.clip.or_else(|| default_clip(args.prepare.scale, task)),
            missing: args.prepare.missing,
            max_memory: args.read.max_memory.unwrap_or_else(default_limit),
        };
        let preprocess = Preprocess::fit(&parts.train, &options, place, notes)?;
        let mut prepare = |rows, file: Option<&Path>| {
            dataset(rows, &labels, &preprocess, file.unwrap_or(place), notes)
        };
        let valid_place = args.parts.valid.as_deref();
        let test_place = args.parts.test.as_deref();
        let mut train = prepare(parts.train, None)?;
        args.prepare.class_weight.weigh(&mut train)?;
        Ok(Self {
            train,
            valid: parts.valid.map(|rows| prepare(rows, valid_place)).transpose()?,
            test: parts.test.map(|rows| prepare(rows, test_place)).transpose()?,
            task,
            labels,
            preprocess,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// What the defaults look at.
    pub(crate) fn shape(&self) -> DataShape {
        DataShape {
            rows: self.train.features.n_rows(),
            features: self.train.features.n_cols(),
            nonzeros: self.train.features.n_stored(),
            sparse: self.preprocess.is_sparse(),
            classes: self.labels.n_classes().max(1),
            task: self.task,
        }
    }
}

/// Only deviations have a length beyond which a value is rare.
fn default_clip(scale: Option<Scale>, task: Task) -> Option<f32> {
    matches!(scale, None | Some(Scale::Standard)).then(|| clip_of(task))
}

/// Encodes rows and looks up their labels.
pub(crate) fn dataset(
    mut rows: RawRows,
    labels: &LabelMap,
    preprocess: &Preprocess,
    place: &Path,
    notes: &mut Notes,
) -> Result<Dataset> {
    let raw_labels = rows.labels.as_ref().ok_or_else(|| unlabelled(place))?;
    let targets = labels.targets(raw_labels, place, notes)?;
    let weights = rows.weights.take();
    Ok(Dataset { features: preprocess.apply(rows, place, notes)?, targets, weights })
}

fn read_parts(args: Source<'_>, notes: &mut Notes) -> Result<Parts> {
    let mut options = args.read.options(args.read.labels.as_deref());
    options.index_base = match args.prepare.index_base {
        Some(IndexBase::Zero) => Some(0),
        Some(IndexBase::One) => Some(1),
        Some(IndexBase::Auto) | None => None,
    };
    options.ignore.clone_from(&args.prepare.ignore);
    options.categorical.clone_from(&args.prepare.categorical);
    options.weights.clone_from(&args.prepare.weights);
    options.hash_bits = args.prepare.hash_bits;
    let rows = data::read(args.data, &options, notes)?;
    let parts = args.parts;
    let [train, valid, test] = data::split_rows(rows.n_rows(), &split_options(parts))?;
    let (has_valid, has_test) = (!valid.is_empty(), !test.is_empty());
    let (train, valid, test) = if has_valid || has_test {
        let mut cut = rows.split(&[train, valid, test]).into_iter();
        let mut next = || cut.next().ok_or_else(|| unlabelled(args.data));
        (next()?, Some(next()?).filter(|_| has_valid), Some(next()?).filter(|_| has_test))
    } else {
        (rows, None, None)
    };
    let mut other = |path: &Option<PathBuf>, labels: &Option<PathBuf>| -> Result<Option<RawRows>> {
        let Some(path) = path else { return Ok(None) };
        let options = ReadOptions { labels: labels.clone(), ..options.clone() };
        data::read_with_schema(path, &options, &train.schema, true, notes).map(Some)
    };
    let valid = valid.map_or_else(|| other(&parts.valid, &parts.valid_labels), |v| Ok(Some(v)))?;
    let test = test.map_or_else(|| other(&parts.test, &parts.test_labels), |t| Ok(Some(t)))?;
    Ok(Parts { train, valid, test })
}

fn split_options(parts: &PartArgs) -> SplitOptions {
    SplitOptions {
        test_fraction: parts.test_fraction,
        valid_fraction: parts.valid_fraction,
        seed: parts.split_seed,
    }
}

fn unlabelled(place: &Path) -> Error {
    Error::data(Place::file(place), "the rows have no labels")
}

//! From raw rows to a measured model: encode, decide, train, measure.

mod identity;
mod streamed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::backend::Device;
use crate::config::TrainConfig;
use crate::config::defaults::{DataShape, clip_of};
use crate::data::{
    ClassWeight, Dataset, LabelMap, Missing, Notes, Preprocess, PreprocessOptions, RawLabels,
    RawRows, Scale, Task,
};
use crate::error::{Error, Place, Result};
use crate::event::{Event, Flow};
use crate::metrics::{self, Metrics, Tally};
use crate::model::{Model, Parameters, Summary, fingerprint};
use crate::outcome::Outcome;
use crate::predict::Scorer;
use crate::stream::Stream;
use crate::train::{Snapshot, Start, TrainData, Trained, train};

pub use streamed::{Apart, StreamedParts};

/// Raw rows, and the file that errors about them name.
#[derive(Debug, Clone)]
pub struct Part {
    /// As a reader made them.
    pub rows: RawRows,
    /// Where they came from.
    pub place: PathBuf,
}

impl Part {
    /// The labels of the rows.
    ///
    /// # Errors
    /// [`Error::Data`] where there are none.
    pub fn labels(&self) -> Result<&RawLabels> {
        labels_of(&self.rows, &self.place)
    }
}

/// The rows of an experiment, as read.
#[derive(Debug, Clone)]
pub struct RawParts {
    /// Rows to train on.
    pub train: Part,
    /// Rows that choose the best epoch.
    pub valid: Option<Part>,
    /// Rows that are measured, and chosen by never.
    pub test: Option<Part>,
}

/// What a user may say about the way from raw rows to features and targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// What is predicted; `None`: decided by the labels.
    pub task: Option<Task>,
    /// Classes that are known beforehand; `None`: those of the training rows. The folds of a
    /// cross-validation have the same classes this way, also where one is rare.
    pub classes: Option<LabelMap>,
    /// The class that is told from the rest, where a label of many classes is made binary.
    pub positive: Option<String>,
    /// How to scale; `None`: standard for dense rows, maxabs for sparse ones.
    pub scale: Option<Scale>,
    /// Limit of scaled features; `None`: by task where features are standardised, else none.
    pub clip: Option<f32>,
    /// What to do about missing numeric cells.
    pub missing: Missing,
    /// Whether rare classes weigh more in training.
    pub class_weight: ClassWeight,
    /// The most memory the features of a part may take, in bytes.
    pub max_memory: u64,
}

impl Default for Preparation {
    fn default() -> Self {
        let options = PreprocessOptions::default();
        Self {
            task: None,
            classes: None,
            positive: None,
            scale: options.scale,
            clip: None,
            missing: options.missing,
            class_weight: ClassWeight::default(),
            max_memory: options.max_memory,
        }
    }
}

impl Preparation {
    /// The task and the mapping of labels for these training rows.
    fn labels(&self, train: &Part, notes: &mut Notes) -> Result<(Task, LabelMap)> {
        if let (Some(task), Some(classes)) = (self.task, &self.classes) {
            return Ok((task, classes.clone()));
        }
        LabelMap::fit(train.labels()?, self.task, self.positive.as_deref(), &train.place, notes)
    }

    fn options(&self, task: Task) -> PreprocessOptions {
        PreprocessOptions {
            scale: self.scale,
            clip: self.clip.or_else(|| default_clip(self.scale, task)),
            missing: self.missing,
            max_memory: self.max_memory,
        }
    }
}

/// What may be kept of the rows beside them whatever is allowed, in bytes.
const IN_ANY_CASE: u64 = 4 << 20;

/// Rows ready for training: encoded and scaled by what the training rows alone say.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Rows to train on.
    pub train: Dataset,
    /// Rows to train on that stay on the disk; `train` is then empty.
    pub stream: Option<Arc<Stream>>,
    /// Rows that choose the best epoch.
    pub valid: Option<Dataset>,
    /// Rows that are measured, and chosen by never.
    pub test: Option<Dataset>,
    /// What is predicted.
    pub task: Task,
    /// Classes, or the range of the targets.
    pub labels: LabelMap,
    /// The way from raw rows to features.
    pub preprocess: Preprocess,
    /// What training goes on from; `None`: seeded parameters.
    pub start: Option<Start>,
}

/// A trained model with the metrics of each part, and what measuring cost.
#[derive(Debug)]
pub struct Measured {
    /// The model; its summary has the metrics of `train`, `valid` and `test`.
    pub model: Model,
    /// Why streamed training rows could not be read again; there are then no metrics of `train`.
    pub unread: Option<Error>,
    /// Seconds it took to score and measure all parts.
    pub seconds: f64,
}

impl Prepared {
    /// Learns labels, levels and scales from the training rows, and applies them to every part.
    ///
    /// # Errors
    /// Rows without labels, labels that do not fit the task, features beyond `max_memory`: whatever
    /// [`LabelMap::fit`] and [`Preprocess::fit`] refuse.
    pub fn new(parts: RawParts, how: &Preparation, notes: &mut Notes) -> Result<Self> {
        let train = &parts.train;
        let (task, mut labels) = how.labels(train, notes)?;
        // Nobody can rate beyond the scale.
        labels.set_clamp(train.rows.schema.is_ratings());
        let preprocess = Preprocess::fit(&train.rows, &how.options(task), &train.place, notes)?;
        Self::apply(parts, task, labels, preprocess, how.class_weight, notes)
    }

    /// Applies labels, levels and scales of a model to every part, to go on training from it.
    ///
    /// # Errors
    /// Rows without labels, training rows of classes the model does not have, and rows that
    /// [`Preprocess::apply`] refuses.
    pub fn from_model(
        parts: RawParts,
        model: Model,
        class_weight: ClassWeight,
        notes: &mut Notes,
    ) -> Result<Self> {
        let Model { config, preprocess, labels, target_scale, members, .. } = model;
        labels.check_known(parts.train.labels()?, &parts.train.place)?;
        let prepared = Self::apply(parts, config.task, labels, preprocess, class_weight, notes)?;
        Ok(Self { start: Some(Start { members, target_scale }), ..prepared })
    }

    /// The parts, encoded and labelled as the training rows said, or a model.
    fn apply(
        parts: RawParts,
        task: Task,
        labels: LabelMap,
        preprocess: Preprocess,
        class_weight: ClassWeight,
        notes: &mut Notes,
    ) -> Result<Self> {
        let RawParts { train, valid, test } = parts;
        let mut prepare = |part: Part| dataset(part.rows, &labels, &preprocess, &part.place, notes);
        let mut train = prepare(train)?;
        class_weight.weigh(&mut train)?;
        Ok(Self {
            train,
            stream: None,
            valid: valid.map(&mut prepare).transpose()?,
            test: test.map(&mut prepare).transpose()?,
            task,
            labels,
            preprocess,
            start: None,
        })
    }

    /// What the defaults look at.
    pub fn shape(&self) -> DataShape {
        DataShape {
            rows: self.n_rows(),
            features: self.train.features.n_cols(),
            nonzeros: self.n_stored(),
            sparse: self.preprocess.is_sparse(),
            classes: self.labels.n_classes().max(1),
            task: self.task,
        }
    }

    /// Bytes of the rows that are held in memory, of what training goes on from, and of what is kept of each
    /// row while it is trained on and measured.
    pub fn bytes(&self) -> u64 {
        let start = self.start.iter().flat_map(|start| &start.members).map(Parameters::bytes);
        let held = self.parts().map(|part| part.features.n_rows()).max().unwrap_or(0);
        let outputs = if self.task == Task::Multiclass { self.labels.n_classes() } else { 1 };
        // Place in the order, target as standardised and weight; scores, of a member and their sum. An AUC
        // orders the scores of all rows.
        let ordered = if self.task == Task::Binary { 8 * self.n_rows() } else { 0 };
        let kept = held * (12 + 8 * outputs) + ordered;
        let kept = (kept as u64).saturating_sub(IN_ANY_CASE);
        self.parts().map(Dataset::bytes).chain(start).sum::<u64>() + kept
    }

    fn parts(&self) -> impl Iterator<Item = &Dataset> {
        [Some(&self.train), self.valid.as_ref(), self.test.as_ref()].into_iter().flatten()
    }

    /// Number of training rows.
    fn n_rows(&self) -> usize {
        self.stream.as_ref().map_or_else(|| self.train.features.n_rows(), |rows| rows.n_rows())
    }

    /// Stored entries of the training rows.
    fn n_stored(&self) -> usize {
        self.stream.as_ref().map_or_else(|| self.train.features.n_stored(), |rows| rows.n_stored())
    }

    /// Trains on the training rows.
    ///
    /// # Errors
    /// Those of [`train()`](crate::train::train()).
    pub fn fit(
        &self,
        config: &TrainConfig,
        device: &Device,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Trained> {
        self.fit_from(config, device, None, on_event)
    }

    /// The same from where a run like it was, if one was kept.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit), and [`Error::Usage`] for a snapshot of another run or another kind of
    /// device.
    pub fn fit_from(
        &self,
        config: &TrainConfig,
        device: &Device,
        resume: Option<&Snapshot<'_>>,
        on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Trained> {
        let data = TrainData {
            stream: self.stream.as_deref(),
            valid: self.valid.as_ref(),
            test: self.test.as_ref(),
            clipped: self.preprocess.is_clipped(),
            never_seen: &self.preprocess.never_seen(),
            range: self.labels.clamp().map(Into::into),
            start: self.start.as_ref(),
            resume,
            ..TrainData::new(&self.train, self.labels.n_classes().max(1))
        };
        train(&data, config, device, on_event)
    }

    /// Makes a model of what was trained, and measures it on every part.
    ///
    /// # Errors
    /// A device that fails.
    pub fn measure(
        &self,
        config: &TrainConfig,
        trained: &Trained,
        device: &Device,
    ) -> Result<Measured> {
        let start = Instant::now();
        let mut model = Model {
            config: config.clone(),
            preprocess: self.preprocess.clone(),
            labels: self.labels.clone(),
            target_scale: trained.target_scale,
            members: trained.members.clone(),
            summary: Summary {
                rows: self.n_rows(),
                nonzeros: self.n_stored(),
                data_fingerprint: self
                    .stream
                    .as_ref()
                    .map_or_else(|| fingerprint(&self.train), |rows| rows.fingerprint().to_owned()),
                best_epochs: trained.best_epochs.clone(),
                ..Summary::default()
            },
        };
        let outcome = Outcome::of(&model);
        let mut scorer = Scorer::new(&model.members, config, self.preprocess.is_sparse(), device)?;
        let mut unread = None;
        match self.measure_train(&outcome, &mut scorer, &mut model.summary) {
            Ok(train) => drop(model.summary.metrics.insert("train".to_owned(), train)),
            // Training is done: a disk that fails now must not take the model with it.
            Err(error @ (Error::Io { .. } | Error::Data { .. })) => unread = Some(error),
            Err(error) => return Err(error),
        }
        for (name, set) in [("valid", &self.valid), ("test", &self.test)] {
            let Some(set) = set else { continue };
            let scores = scorer.score(&set.features)?;
            let found = metrics::compute(&outcome, &scores.outputs, &set.targets);
            model.summary.metrics.insert(name.to_owned(), found);
        }
        drop(scorer);
        Ok(Measured { model, unread, seconds: start.elapsed().as_secs_f64() })
    }
}

impl Prepared {
    /// Metrics of the training rows, and how many anchors score them.
    fn measure_train(
        &self,
        outcome: &Outcome,
        scorer: &mut Scorer,
        summary: &mut Summary,
    ) -> Result<Metrics> {
        let mut tally = Tally::new(outcome, Some(self.train_mean()));
        let (mut pairs, mut gamma) = (0, Vec::new());
        let mut add = |set: &Dataset| -> Result<()> {
            let scores = scorer.score(&set.features)?;
            pairs += scores.pairs;
            gamma.resize(scores.gamma.len(), 0.0);
            gamma.iter_mut().zip(&scores.gamma).for_each(|(all, more)| *all += more);
            tally.add(&scores.outputs, &set.targets);
            Ok(())
        };
        match &self.stream {
            None => add(&self.train)?,
            Some(rows) => {
                for window in rows.in_order() {
                    add(&rows.window(&window)?)?;
                }
            }
        }
        let rows = self.n_rows() as f64;
        summary.mean_active = pairs as f64 / rows;
        summary.anchor_share = gamma.iter().map(|sum: &f64| sum / rows).collect();
        Ok(tally.metrics())
    }

    /// Mean of the values of a regression.
    fn train_mean(&self) -> f64 {
        match &self.stream {
            None => metrics::mean(&self.train.targets),
            Some(rows) => rows.mean(),
        }
    }
}

/// Only deviations have a length beyond which a value is rare.
fn default_clip(scale: Option<Scale>, task: Task) -> Option<f32> {
    matches!(scale, None | Some(Scale::Standard)).then(|| clip_of(task))
}

/// Encodes rows and looks up their labels, both as some training rows said.
///
/// # Errors
/// Rows without labels, and those that [`LabelMap::targets`] and [`Preprocess::apply`] refuse.
pub fn dataset(
    mut rows: RawRows,
    labels: &LabelMap,
    preprocess: &Preprocess,
    place: &Path,
    notes: &mut Notes,
) -> Result<Dataset> {
    let targets = labels.targets(labels_of(&rows, place)?, place, notes)?;
    let weights = rows.weights.take();
    Ok(Dataset { features: preprocess.apply(rows, place, notes)?, targets, weights })
}

/// The labels of some rows.
pub(crate) fn labels_of<'a>(rows: &'a RawRows, place: &Path) -> Result<&'a RawLabels> {
    rows.labels.as_ref().ok_or_else(|| Error::data(Place::file(place), "the rows have no labels"))
}

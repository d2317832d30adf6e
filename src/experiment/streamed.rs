//! Experiments whose training rows stay on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Part, Preparation, Prepared, dataset, labels_of};
use crate::data::chunks::Chunks;
use crate::data::source::check_memory;
use crate::data::{ClassWeight, Dataset, LabelMap, Notes, Preprocess, StoredRows, Task};
use crate::error::{Error, Place, Result};
use crate::model::Model;
use crate::stream::{Stream, bytes_of};
use crate::train::Start;

/// The rows of an experiment, those to train on in a file.
#[derive(Debug)]
pub struct StreamedParts {
    /// All rows that were read.
    pub rows: StoredRows,
    /// Where they came from.
    pub place: PathBuf,
    /// Rows that choose the best epoch.
    pub valid: Option<Apart>,
    /// Rows that are measured, and chosen by never.
    pub test: Option<Apart>,
}

/// Rows that do not train; they fit memory.
#[derive(Debug)]
pub enum Apart {
    /// Sorted numbers of rows that are taken out of those in the file.
    Rows(Vec<usize>),
    /// Rows of their own.
    Part(Box<Part>),
}

impl Prepared {
    /// [`Prepared::new`] with training rows that stay on the disk.
    ///
    /// # Errors
    /// Those of [`Prepared::new`], and of reading.
    pub fn streamed(
        mut parts: StreamedParts,
        how: &Preparation,
        notes: &mut Notes,
    ) -> Result<Self> {
        take_apart(&mut parts);
        let (rows, place) = (&parts.rows, &parts.place);
        let (task, mut labels) = match (how.task, &how.classes) {
            (Some(task), Some(classes)) => (task, classes.clone()),
            _ => LabelMap::fit_chunks(
                &|each| rows.visit(&mut |chunk| each(labels_of(chunk, place)?)),
                how.task,
                how.positive.as_deref(),
                place,
                notes,
            )?,
        };
        labels.set_clamp(rows.schema().is_ratings());
        let preprocess = Preprocess::fit(rows, &how.options(task), place, notes)?;
        Self::apply_streamed(parts, task, labels, preprocess, how.class_weight, notes)
    }

    /// [`Prepared::from_model`] with training rows that stay on the disk.
    ///
    /// # Errors
    /// Those of [`Prepared::from_model`], and of reading.
    pub fn streamed_from_model(
        mut parts: StreamedParts,
        model: Model,
        class_weight: ClassWeight,
        notes: &mut Notes,
    ) -> Result<Self> {
        take_apart(&mut parts);
        let Model { config, preprocess, labels, target_scale, members, .. } = model;
        let place = &parts.place;
        parts.rows.visit(&mut |chunk| labels.check_known(labels_of(chunk, place)?, place))?;
        let prepared =
            Self::apply_streamed(parts, config.task, labels, preprocess, class_weight, notes)?;
        Ok(Self { start: Some(Start { members, target_scale }), ..prepared })
    }

    fn apply_streamed(
        parts: StreamedParts,
        task: Task,
        labels: LabelMap,
        preprocess: Preprocess,
        class_weight: ClassWeight,
        notes: &mut Notes,
    ) -> Result<Self> {
        let StreamedParts { rows, place, valid, test } = parts;
        let how = (&labels, &preprocess);
        let apart = |part: Option<Apart>, notes: &mut Notes| match part {
            None => Ok(None),
            Some(Apart::Part(part)) => {
                dataset(part.rows, &labels, &preprocess, &part.place, notes).map(Some)
            }
            Some(Apart::Rows(numbers)) => gather(&rows, &numbers, how, &place, notes).map(Some),
        };
        let valid = apart(valid, notes)?;
        let test = apart(test, notes)?;
        let both = (labels.clone(), preprocess.clone());
        let stream = Stream::new(rows, place, both, class_weight, notes)?;
        Ok(Self {
            train: stream.no_rows(),
            stream: Some(Arc::new(stream)),
            valid,
            test,
            task,
            labels,
            preprocess,
            start: None,
        })
    }
}

/// Rows that do not train are none of the training rows, for nothing is learned from them.
fn take_apart(parts: &mut StreamedParts) {
    for apart in [&parts.valid, &parts.test] {
        if let Some(Apart::Rows(rows)) = apart {
            parts.rows.take_out(rows);
        }
    }
}

/// Some rows of a file in memory, prepared.
fn gather(
    rows: &StoredRows,
    numbers: &[usize],
    (labels, preprocess): (&LabelMap, &Preprocess),
    place: &Path,
    notes: &mut Notes,
) -> Result<Dataset> {
    let mut all: Option<Dataset> = None;
    rows.pick_from_file(numbers, &mut |rows| {
        let more = dataset(rows, labels, preprocess, place, notes)?;
        match &mut all {
            Some(all) => all.append(more),
            None => all = Some(more),
        }
        let bytes = all.as_ref().map_or(0, |all| {
            bytes_of(all.features.n_rows(), all.features.n_stored(), preprocess.is_sparse())
        });
        check_memory(bytes, preprocess.max_memory(), place)
    })?;
    all.ok_or_else(|| Error::data(Place::file(place), "no rows"))
}

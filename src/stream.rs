//! Training rows that stay on the disk, and are prepared a window at a time.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::data::chunks::Chunks;
use crate::data::preprocess::Steps;
use crate::data::weights::{ClassCounts, WeightTotal};
use crate::data::{
    ClassWeight, Dataset, Features, LabelMap, Notes, Preprocess, RawRows, StoredRows, Targets,
};
use crate::error::{Error, Place, Result};
use crate::experiment::labels_of;
use crate::model::Fingerprint;
use crate::seed::Pool;
use crate::train::Units;

/// Windows that memory holds at the most: one to train on, and one that is made ready. A third of the
/// bound is left for chunks on their way into a window.
const WINDOWS_IN_MEMORY: u64 = 3;

/// Chunks of a window at the least, so that it has rows from all over the file.
const CHUNKS_IN_WINDOW: u64 = 8;

/// Rows that are read again in every epoch.
#[derive(Debug)]
pub struct Stream {
    rows: StoredRows,
    /// What errors name.
    place: PathBuf,
    labels: LabelMap,
    preprocess: Preprocess,
    /// How chunks with the levels of the whole file are encoded.
    steps: Steps,
    classes: Option<ClassCounts>,
    weights: Option<WeightTotal>,
    units: Units,
    /// Mean of the values of a regression.
    mean: f64,
    /// Stored entries of each chunk.
    stored: Vec<usize>,
    fingerprint: String,
    max_memory: u64,
}

impl Stream {
    /// Goes over all rows, and refuses what training would stumble over.
    ///
    /// # Errors
    /// Those of [`dataset`](crate::experiment::dataset), of weights that are none, and of reading.
    pub(crate) fn new(
        mut rows: StoredRows,
        place: PathBuf,
        (labels, preprocess): (LabelMap, Preprocess),
        class_weight: ClassWeight,
        notes: &mut Notes,
    ) -> Result<Self> {
        let steps = preprocess.steps(rows.schema(), &place)?;
        if !preprocess.is_sparse() {
            // A word of 4 bytes may become hundreds of features.
            let row = bytes_of(1, preprocess.n_features(), false);
            let bytes = preprocess.max_memory() / WINDOWS_IN_MEMORY / CHUNKS_IN_WINDOW;
            rows.cut(usize::try_from(bytes / row).unwrap_or(usize::MAX));
        }
        let mut stream = Self {
            max_memory: preprocess.max_memory(),
            rows,
            place,
            labels,
            preprocess,
            steps,
            classes: None,
            weights: None,
            units: Units::default(),
            mean: 0.0,
            stored: Vec::new(),
            fingerprint: String::new(),
        };
        if class_weight == ClassWeight::Balanced {
            let mut counts = ClassCounts::default();
            stream.visit_targets(&mut |rows| counts.add(&rows.targets))?;
            stream.classes = Some(counts);
        }
        stream.survey(notes)?;
        stream.units = stream.fit_units()?;
        Ok(stream)
    }

    /// Prepares every chunk once: sums, sizes, and what there is to say.
    fn survey(&mut self, notes: &mut Notes) -> Result<()> {
        let mut print = Fingerprint::default();
        let mut total = WeightTotal::default();
        let mut sum = 0.0;
        self.stored = vec![0; self.rows.n_chunks()];
        for i in (0..self.rows.n_chunks()).filter(|&i| self.rows.rows_in(i) > 0) {
            let rows = self.chunk(i, notes)?;
            print.add(&rows);
            self.stored[i] = rows.features.n_stored();
            self.check_room(i)?;
            if let Some(weights) = &rows.weights {
                total.add(weights)?;
                self.weights = Some(total);
            }
            if let Targets::Values(values) = &rows.targets {
                values.iter().for_each(|&y| sum += f64::from(y));
            }
        }
        self.fingerprint = print.finish();
        self.mean = sum / self.n_rows() as f64;
        self.weights.map_or(Ok(()), WeightTotal::check)
    }

    /// Refuses a chunk that is more than a window may be.
    fn check_room(&self, i: usize) -> Result<()> {
        let (bytes, most) = (self.bytes(i), self.most_in_window());
        if bytes <= most {
            return Ok(());
        }
        let message = format!(
            "{} rows that are read at once take {} kB as features, a window may take {} kB, a third \
             of --max-memory; raise it to {} kB",
            self.rows.rows_in(i),
            bytes.div_ceil(1000),
            most / 1000,
            (WINDOWS_IN_MEMORY * bytes).div_ceil(1000)
        );
        Err(Error::data(Place::file(&self.place), message))
    }

    fn fit_units(&self) -> Result<Units> {
        if self.labels.n_classes() > 0 {
            return Ok(Units::default());
        }
        Units::of_parts(&|each| {
            self.visit_targets(&mut |rows| {
                let Targets::Values(values) = &rows.targets else { return Ok(()) };
                let weights = rows.weights.as_ref().zip(self.weights);
                each(values, weights.map(|(all, total)| total.mean_one(all)).as_deref())
            })
        })
    }

    /// Rows of all chunks.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    /// Chunks that an order is of.
    pub(crate) fn n_chunks(&self) -> usize {
        self.rows.n_chunks()
    }

    /// Stored entries of the features of all rows.
    pub(crate) fn n_stored(&self) -> usize {
        self.stored.iter().sum()
    }

    /// That of the same rows in memory.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// How the targets of a regression are standardised.
    pub(crate) fn units(&self) -> Units {
        self.units
    }

    /// Mean of the values of a regression.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// A data set of the same storage without rows.
    pub(crate) fn no_rows(&self) -> Dataset {
        Dataset::with_room(&self.preprocess, &self.labels, 0, 0)
    }

    /// Cuts the chunks, in the order given, into windows that memory holds two of; those of a window
    /// come in file order.
    pub(crate) fn windows(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let most = self.most_in_window();
        let total: u64 = order.iter().map(|&i| self.bytes(i)).sum();
        // All about the same size.
        let enough = total.div_ceil(total.div_ceil(most.max(1)).max(1));
        let mut windows: Vec<Vec<usize>> = vec![Vec::new()];
        let mut filled = 0;
        for &i in order.iter().filter(|&&i| self.rows.rows_in(i) > 0) {
            let bytes = self.bytes(i);
            if filled > 0 && (filled >= enough || filled + bytes > most) {
                windows.push(Vec::new());
                filled = 0;
            }
            filled += bytes;
            windows.last_mut().expect("begun above").push(i);
        }
        windows.iter_mut().for_each(|window| window.sort_unstable());
        windows
    }

    /// Windows of an epoch; the sizes of chunks differ, so some epochs may have one more.
    pub fn n_windows(&self) -> usize {
        self.in_order().len()
    }

    /// All windows in file order.
    pub(crate) fn in_order(&self) -> Vec<Vec<usize>> {
        self.windows(&(0..self.rows.n_chunks()).collect::<Vec<_>>())
    }

    /// The rows of some chunks, as in memory.
    pub(crate) fn window(&self, chunks: &[usize]) -> Result<Dataset> {
        let rows = self.rows_of(chunks);
        let stored = chunks.iter().map(|&i| self.stored[i]).sum();
        let mut window = Dataset::with_room(&self.preprocess, &self.labels, rows, stored);
        for &i in chunks {
            // What there is to say was said by the survey.
            window.append(self.chunk(i, &mut Notes::new())?);
        }
        Ok(window)
    }

    /// Bytes that reading and windows may take.
    pub(crate) fn max_memory(&self) -> u64 {
        self.max_memory
    }

    /// Bytes that the rows of a window may take.
    fn most_in_window(&self) -> u64 {
        self.max_memory / WINDOWS_IN_MEMORY
    }

    /// A name for how the rows are cut into chunks.
    pub(crate) fn chunks_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for i in 0..self.n_chunks() {
            hash.update((self.rows.rows_in(i) as u64).to_le_bytes());
        }
        format!("{:x}", hash.finalize())
    }

    /// How many they are.
    pub(crate) fn rows_of(&self, chunks: &[usize]) -> usize {
        chunks.iter().map(|&i| self.rows.rows_in(i)).sum()
    }

    /// The same as steps take them: weights of mean 1, values in `units`.
    pub(crate) fn train_window(&self, chunks: &[usize], units: Units) -> Result<Dataset> {
        let mut window = self.window(chunks)?;
        if let (Some(weights), Some(total)) = (&mut window.weights, self.weights) {
            *weights = total.mean_one(weights);
        }
        if let Targets::Values(_) = &window.targets {
            window.targets = Targets::Values(units.standardise(&window.targets));
        }
        Ok(window)
    }

    /// Bytes the rows of a chunk take in a window.
    fn bytes(&self, i: usize) -> u64 {
        bytes_of(self.rows.rows_in(i), self.stored[i], self.preprocess.is_sparse())
    }

    /// The rows of a chunk, encoded, scaled and weighed.
    fn chunk(&self, i: usize, notes: &mut Notes) -> Result<Dataset> {
        let mut rows = self.rows.read(i)?;
        let (targets, weights) = self.targets(&mut rows, notes)?;
        let features = self.features(rows, notes)?;
        Ok(self.weighed(Dataset { features, targets, weights }))
    }

    fn targets(
        &self,
        rows: &mut RawRows,
        notes: &mut Notes,
    ) -> Result<(Targets, Option<Vec<f32>>)> {
        let targets = self.labels.targets(labels_of(rows, &self.place)?, &self.place, notes)?;
        Ok((targets, rows.weights.take()))
    }

    fn features(&self, rows: RawRows, notes: &mut Notes) -> Result<Features> {
        if rows.schema.has_levels_of(self.rows.schema()) {
            self.preprocess.apply_steps(rows, &self.steps, &self.place, notes)
        } else {
            self.preprocess.apply(rows, &self.place, notes)
        }
    }

    fn weighed(&self, mut rows: Dataset) -> Dataset {
        self.classes.iter().for_each(|counts| counts.weigh(&mut rows));
        rows
    }

    /// Calls `each` with the rows of every chunk, their features left out.
    fn visit_targets(&self, each: &mut dyn FnMut(&Dataset) -> Result<()>) -> Result<()> {
        for i in (0..self.rows.n_chunks()).filter(|&i| self.rows.rows_in(i) > 0) {
            let mut rows = self.rows.read(i)?;
            let (targets, weights) = self.targets(&mut rows, &mut Notes::new())?;
            let features = self.no_rows().features;
            each(&self.weighed(Dataset { features, targets, weights }))?;
        }
        Ok(())
    }
}

/// About the bytes that rows with so many stored entries take in memory, with their targets and weights.
pub(crate) fn bytes_of(rows: usize, stored: usize, sparse: bool) -> u64 {
    let (entry, row) = if sparse { (8, 8 + 16) } else { (4, 16) };
    (stored * entry + rows * row) as u64
}

impl Pool for Stream {
    fn n_rows(&self) -> usize {
        self.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.preprocess.n_features()
    }

    fn pick(&self, rows: &[u32]) -> Result<Features> {
        let rows: Vec<usize> = rows.iter().map(|&r| r as usize).collect();
        let mut picked = self.no_rows().features;
        self.rows.pick(&rows, &mut |rows| {
            picked.append(self.features(rows, &mut Notes::new())?);
            Ok(())
        })?;
        Ok(picked)
    }
}

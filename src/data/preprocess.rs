//! Encoding, filling and scaling, fitted on the training rows and kept in the model.

use std::path::Path;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::chunks::Chunks;
use super::encode::{self, Encoder, Met, Step};
use super::encoded::Encoded;
use super::fill::{Fills, Missing};
use super::notes::Notes;
use super::raw::{Cells, RawRows, row_major, table};
use super::scale::{BYTES_PER_FEATURE, Scale, Scaling, Stats};
use super::schema::Schema;
use super::source::{check_memory, check_memory_of, megabytes};
use super::{Csr, Features};
use crate::error::{Error, Place, Result};

/// What is to be done to features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreprocessOptions {
    /// How to scale; `None`: standard for dense rows, maxabs for sparse ones.
    pub scale: Option<Scale>,
    /// Keeps scaled values within plus and minus this.
    pub clip: Option<f32>,
    /// What to do about missing numeric cells.
    pub missing: Missing,
    /// The most memory the features may take, in bytes.
    pub max_memory: u64,
}

impl Default for PreprocessOptions {
    fn default() -> Self {
        let (scale, clip, missing) = (None, None, Missing::default());
        Self { scale, clip, missing, max_memory: u64::MAX / 2 }
    }
}

/// How the cells of a row are encoded.
pub(crate) type Steps = Vec<Step>;

/// The way from raw rows to features, the same for every file a model meets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    encoder: Encoder,
    scaling: Scaling,
    sparse: bool,
    /// A tensor in model files, but in those of version 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    never_seen: Vec<u32>,
    /// A limit of this run, not of the model.
    #[serde(skip, default = "no_limit")]
    max_memory: u64,
}

fn no_limit() -> u64 {
    u64::MAX / 2
}

impl Preprocess {
    /// Learns levels, means and scales from the training rows, and whether to store rows sparse:
    /// where more than 256 features (or ratings) are nine tenths zeros.
    ///
    /// # Errors
    /// No rows; missing cells where they are refused; features beyond `max_memory`.
    pub fn fit(
        train: &dyn Chunks,
        options: &PreprocessOptions,
        place: &Path,
        notes: &mut Notes,
    ) -> Result<Self> {
        if train.n_rows() == 0 {
            return Err(Error::data(Place::file(place), "no rows"));
        }
        check_options(options)?;
        let fills = Fills::fit(train, options.missing, place, notes)?;
        let encoder = Encoder::fit(train, fills)?;
        let p = encoder.n_features;
        if p == 0 {
            return Err(Error::data(Place::file(place), "the rows have no features"));
        }
        check_memory_of("the features", p as u64 * BYTES_PER_FEATURE, options.max_memory, place)?;
        let encoded = Encoded::new(train, &encoder, place)?;
        let mut stats = Stats::new(train.n_rows(), p);
        let (missing, first) = encoded.visit(|j, value| stats.add(j, value))?;
        stats.finish();
        if options.missing == Missing::Error {
            encoder.fills.judge(missing, &first, notes)?;
        }
        let (sparse, scale) = storage(&stats, train, options, place, notes)?;
        let scaling = match scale {
            Scale::None => Scaling::none(options.clip),
            Scale::Maxabs => Scaling::maxabs(&stats, options.clip),
            Scale::Standard => {
                let squares = squares(&encoded, &stats)?;
                Scaling::standard(&stats, &squares, options.clip)
            }
        };
        let never = stats.nonzeros.iter().zip(0_u32..).filter(|(count, _)| **count == 0);
        let never_seen = never.map(|(_, j)| j).collect();
        Ok(Self { encoder, scaling, sparse, never_seen, max_memory: options.max_memory })
    }

    /// Encodes, fills and scales rows; a dense numeric table is changed where it lies.
    ///
    /// # Errors
    /// Rows whose columns are not those of training; missing cells where they are refused;
    /// features beyond the bound on memory.
    pub fn apply(&self, rows: RawRows, place: &Path, notes: &mut Notes) -> Result<Features> {
        let steps = self.steps(&rows.schema, place)?;
        self.apply_steps(rows, &steps, place, notes)
    }

    /// How rows as a reader made them are encoded, for [`Preprocess::apply_steps`].
    pub(crate) fn steps(&self, rows: &Schema, place: &Path) -> Result<Steps> {
        self.encoder.steps(rows, place)
    }

    /// [`Preprocess::apply`] with the steps made before: with many levels they cost more than a chunk.
    pub(crate) fn apply_steps(
        &self,
        mut rows: RawRows,
        mut steps: &[Step],
        place: &Path,
        notes: &mut Notes,
    ) -> Result<Features> {
        if let Some((hashed, missing)) = self.encoder.hash(&rows, steps) {
            self.encoder.fills.judge(missing, &rows.missing_place(place), notes)?;
            // Its columns are features.
            (rows, steps) = (hashed, &[]);
        } else if let Cells::Sparse(cells) = &mut rows.cells {
            let ignored = encode::drop_beyond(cells, self.n_features());
            let file = place.display();
            let text = format!("values of features unknown to the model ignored in {file}");
            notes.warn_count(ignored, text);
        }
        if rows.first_missing.is_some() && self.encoder.fills.missing == Missing::Error {
            let met = encode::visit(&rows, steps, |_, _, _| {});
            self.encoder.fills.judge(met.missing, &rows.missing_place(place), notes)?;
        }
        let plain = steps.len() == self.n_features();
        let numeric = plain && steps.iter().all(|step| matches!(step, Step::Number(..)));
        let (met, features) = match (rows.cells, self.sparse) {
            (Cells::Table(cells), false) if numeric => {
                let (missing, cells) = self.in_place(cells, steps);
                rows.cells = Cells::Sparse(Csr::default());
                (Met { missing, unseen: Vec::new() }, Features::Dense(cells))
            }
            (Cells::Sparse(cells), true) => {
                rows.cells = Cells::Sparse(Csr::default());
                (Met::default(), Features::Sparse(self.sparse_in_place(cells)))
            }
            (cells, false) => {
                rows.cells = cells;
                let (met, cells) = self.dense(&rows, steps, place)?;
                (met, Features::Dense(cells))
            }
            (cells, true) => {
                rows.cells = cells;
                let (met, cells) = self.compressed(&rows, steps);
                (met, Features::Sparse(cells))
            }
        };
        self.encoder.fills.judge(met.missing, &rows.missing_place(place), notes)?;
        for (j, &count) in met.unseen.iter().enumerate() {
            let column = self.encoder.schema.shown_name(j);
            let text = format!("rows of {} with a `{column}` unseen in training", place.display());
            notes.warn_count(count, text);
        }
        Ok(features)
    }

    /// Whether the parts fit each other: what is read from a model file may have been forged.
    pub fn is_consistent(&self) -> bool {
        let p = self.n_features();
        self.encoder.is_consistent()
            && self.scaling.fits(p)
            && self.never_seen.is_sorted_by(|a, b| a < b)
            && self.never_seen.last().is_none_or(|&j| (j as usize) < p)
    }

    /// Number of features p after encoding.
    pub fn n_features(&self) -> usize {
        self.encoder.n_features
    }

    /// What feature `j` is called: `column`, `column=level`, or its number in the file.
    ///
    /// # Panics
    /// If `j` is not below `n_features()`.
    pub fn feature_name(&self, j: usize) -> String {
        self.encoder.feature_name(j)
    }

    /// Whether features have a limit that no larger value passes.
    pub fn is_clipped(&self) -> bool {
        self.scaling.is_bounded()
    }

    /// Whether features are stored compressed.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// What there is for each feature, which may be long: shifts `[p]`, factors `[p]` and the features
    /// never seen. The first two may be empty.
    pub(crate) fn numbers(&self) -> (&[f64], &[f64], &[u32]) {
        (&self.scaling.shifts, &self.scaling.factors, &self.never_seen)
    }

    /// All but those lists.
    pub(crate) fn without_numbers(&self) -> Self {
        Self {
            encoder: self.encoder.clone(),
            scaling: self.scaling.without_numbers(),
            never_seen: Vec::new(),
            ..*self
        }
    }

    /// The lists, to be filled in after reading.
    pub(crate) fn numbers_mut(&mut self) -> (&mut Vec<f64>, &mut Vec<f64>, &mut Vec<u32>) {
        (&mut self.scaling.shifts, &mut self.scaling.factors, &mut self.never_seen)
    }

    /// Features that are zero in every training row, such as those for unseen categories; sorted.
    pub fn never_seen(&self) -> Vec<u32> {
        self.never_seen.clone()
    }

    /// How to read later files.
    pub fn schema(&self) -> &Schema {
        &self.encoder.schema
    }

    /// How features are scaled.
    pub fn scale(&self) -> Scale {
        self.scaling.scale
    }

    /// The bound on memory, in bytes.
    pub(crate) fn max_memory(&self) -> u64 {
        self.max_memory
    }

    /// Sets the bound on memory for later calls, in bytes; it is not kept in the model.
    pub fn set_max_memory(&mut self, bytes: u64) {
        self.max_memory = bytes;
    }

    /// Fills and scales the cells where they are; returns how many were missing.
    fn in_place(&self, cells: Array2<f32>, steps: &[Step]) -> (u64, Array2<f32>) {
        let (n_rows, width) = cells.dim();
        let mut cells = row_major(cells);
        let missing = cells.par_chunks_exact_mut(width).map(|row| {
            let mut missing = 0;
            for (j, (cell, step)) in row.iter_mut().zip(steps).enumerate() {
                if let (true, Step::Number(_, fill)) = (cell.is_nan(), step) {
                    missing += 1;
                    *cell = *fill;
                }
                *cell = self.scaling.apply(j, *cell);
            }
            missing
        });
        let missing = missing.sum();
        (missing, table(cells, n_rows, width))
    }

    fn sparse_in_place(&self, mut rows: Csr) -> Csr {
        rows.n_cols = self.n_features();
        if !self.scaling.is_identity() {
            for (value, &j) in rows.values.iter_mut().zip(&rows.indices) {
                *value = self.scaling.apply(j as usize, *value);
            }
            encode::retain(&mut rows, |_, value| value != 0.0);
        }
        rows
    }

    fn dense(&self, rows: &RawRows, steps: &[Step], place: &Path) -> Result<(Met, Array2<f32>)> {
        let (n, p) = (rows.n_rows(), self.n_features());
        let bytes = (n as u64).saturating_mul(p as u64).saturating_mul(4);
        check_memory(bytes, self.max_memory, place)?;
        let zeros: Vec<f32> = (0..p).map(|j| self.scaling.apply(j, 0.0)).collect();
        let mut cells = Vec::with_capacity(n * p);
        for _ in 0..n {
            cells.extend_from_slice(&zeros);
        }
        let met = encode::visit(rows, steps, |i, j, value| {
            cells[i * p + j] = self.scaling.apply(j, value);
        });
        Ok((met, table(cells, n, p)))
    }

    fn compressed(&self, rows: &RawRows, steps: &[Step]) -> (Met, Csr) {
        let n = rows.n_rows();
        let mut out = Csr { n_cols: self.n_features(), ..Csr::default() };
        out.offsets = Vec::with_capacity(n + 1);
        let met = encode::visit(rows, steps, |i, j, value| {
            let value = self.scaling.apply(j, value);
            if value != 0.0 {
                // Rows come in order; those without entries in between end where they began.
                while out.offsets.len() <= i {
                    out.offsets.push(out.values.len());
                }
                #[expect(clippy::cast_possible_truncation, reason = "at most 2^31 features")]
                out.indices.push(j as u32);
                out.values.push(value);
            }
        });
        while out.offsets.len() <= n {
            out.offsets.push(out.values.len());
        }
        (met, out)
    }
}

fn check_options(options: &PreprocessOptions) -> Result<()> {
    match options.clip {
        Some(clip) if !(clip > 0.0 && clip.is_finite()) => {
            Err(Error::Usage(format!("--clip {clip}: expected a number above 0")))
        }
        _ => Ok(()),
    }
}

/// Up to this many features rows are dense however many zeros they have, but for ratings: numbers
/// beside a categorical column need their standard scale, and so narrow a table fits.
const MOST_DENSE: usize = 256;

/// Whether rows are stored sparse, and how they are scaled.
fn storage(
    stats: &Stats,
    train: &dyn Chunks,
    options: &PreprocessOptions,
    place: &Path,
    notes: &mut Notes,
) -> Result<(bool, Scale)> {
    let p = stats.nonzeros.len();
    let nonzeros: u64 = stats.nonzeros.iter().map(|&count| u64::from(count)).sum();
    let cells = train.n_rows() as u128 * p as u128;
    let wide = p > MOST_DENSE || train.schema().is_ratings();
    let hashed = train.schema().hash_bits().is_some();
    let sparse = hashed || (wide && u128::from(nonzeros) * 10 < cells);
    let scale = options.scale.unwrap_or(if sparse { Scale::Maxabs } else { Scale::Standard });
    if !sparse || scale != Scale::Standard {
        return Ok((sparse, scale));
    }
    let bytes = u64::try_from(cells * 4).unwrap_or(u64::MAX);
    if bytes > options.max_memory / 2 {
        return Err(Error::data(
            Place::file(place),
            format!(
                "standard scaling makes these sparse rows dense, which takes {:.1} MB of the {:.1} \
                 MB allowed; use --scale maxabs",
                megabytes(bytes),
                megabytes(options.max_memory / 2)
            ),
        ));
    }
    let file = place.display();
    notes.info(format!("{file}: sparse rows are stored dense, as --scale standard needs"));
    Ok((false, scale))
}

/// Squared deviations from the mean, summed over the non-zeros of each feature.
fn squares(encoded: &Encoded<'_>, stats: &Stats) -> Result<Vec<f64>> {
    let means: Vec<f64> = (0..stats.nonzeros.len()).map(|j| stats.mean(j)).collect();
    let mut squares = vec![0.0; means.len()];
    encoded.visit(|j, value| {
        let deviation = f64::from(value) - means[j];
        squares[j] += deviation * deviation;
    })?;
    Ok(squares)
}

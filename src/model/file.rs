//! The model file: one safetensors file that carries everything prediction needs.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `anchors` | `[m, p]` | anchor points, in scaled features |
//! | `bias` | `[m, c]` | |
//! | `linear` | `[m, c, p]` | |
//! | `factors` | `[m, c, p, d]` | |
//! | `log_lipschitz` | `[m]` | |
//! | `log_metric` | `[p]` | |
//! | `anchor_scale` | `[m, p]` | only where it was learned |
//! | `feature_mean` | `[p]`, f64 | subtracted from features first, where they are standardised |
//! | `feature_scale` | `[p]`, f64 | what they are multiplied by then, where they are scaled |
//! | `never_seen` | `[·]`, u32 | features that are zero in every training row, where there are any |
//!
//! An ensemble has a leading dimension e on each but the last three. Members with fewer anchors than the largest are
//! padded with zeros; the metadata entry `shape` has each member's number.
//!
//! The metadata are strings: `format_version`, `checksum` (see `src/container.rs`), and as JSON `config`,
//! `labels`, `preprocess`, `shape`, `summary` and `target_scale`.
//!
//! Version 1 had the last three tensors as lists in `preprocess`, which may make the header longer
//! than any reader takes; such files are still read.
//!
//! Nothing in the file depends on when, where or how fast it was made: the same run gives the same
//! bytes.

mod check;
mod features;
mod tensors;

use std::path::Path;

use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::container::{self, Format, Metadata};
use crate::data::{LabelMap, Preprocess};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::output::write_atomic;
use tensors::Shape;

/// The format this version writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 2;

const FORMAT: Format =
    Format { name: "model", version: FORMAT_VERSION, remedy: "restore or train it again" };

impl Model {
    /// Writes the model to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written; what stood there before is then untouched.
    /// [`Error::Model`] when a weight is not finite.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomic(path, &self.to_bytes(path)?)
    }

    /// Reads a model and checks all of it: checksum, version, shapes, finite weights.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Model`] when its content is damaged,
    /// inconsistent, or from a newer version.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_within(path, u64::MAX)
    }

    /// Reads a model as [`load`](Self::load) does, in at most `max_memory` bytes, or a little more where
    /// that is very small. What it prepares has the same limit.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`Error::Usage`] when the file is too long for the limit.
    pub fn load_within(path: &Path, max_memory: u64) -> Result<Self> {
        let mut model = Self::from_bytes(&container::read(path, COPIES, max_memory)?, path)?;
        model.preprocess.set_max_memory(max_memory);
        Ok(model)
    }

    /// The bytes of the model file. `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when a weight is not finite, or the metadata are too long.
    pub fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        if self.members.is_empty() || !self.members.iter().all(|member| member.is_finite()) {
            return Err(Error::model(
                path,
                "not written: the model has weights that are not finite",
            ));
        }
        let shape = Shape::of(&self.members);
        let metadata: Metadata = [
            ("config", json(&self.config, path)?),
            ("labels", json(&self.labels, path)?),
            ("preprocess", json(&self.preprocess.without_numbers(), path)?),
            ("shape", json(&shape, path)?),
            ("summary", json(&self.summary, path)?),
            ("target_scale", json(&self.target_scale, path)?),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let mut packed = features::pack(&self.preprocess);
        packed.extend(tensors::pack(&self.members, &shape));
        let mut bytes = container::header(&FORMAT, metadata, &packed)
            .map_err(|e| Error::model(path, format!("not written: {e}")))?;
        packed.iter().for_each(|tensor| bytes.extend_from_slice(&tensor.bytes));
        Ok(bytes)
    }

    /// Reads the bytes of a model file. `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when they are damaged, inconsistent, or from a newer version.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        container::verify(&FORMAT, bytes).map_err(|e| Error::model(path, e))?;
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::model(path, format!("not a valid safetensors file: {e}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| Error::model(path, format!("not a valid safetensors file: {e}")))?;
        let metadata: Metadata =
            header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let shape: Shape = parse(&metadata, "shape", path)?;
        let mut preprocess: Preprocess = parse(&metadata, "preprocess", path)?;
        let unpacked = features::unpack(&file, &mut preprocess)
            .and_then(|others| tensors::unpack(&file, &shape, others));
        let members = unpacked.map_err(|e| Error::model(path, e))?;
        let model = Self {
            config: parse(&metadata, "config", path)?,
            preprocess,
            labels: parse(&metadata, "labels", path)?,
            target_scale: parse(&metadata, "target_scale", path)?,
            members,
            summary: parse(&metadata, "summary", path)?,
        };
        model.check(&shape).map_err(|e| Error::model(path, e))?;
        Ok(model)
    }
}

/// Refuses, before anything is trained, what would give a file that cannot be loaded: names and
/// categories stand in the header, whose length readers limit.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_length(preprocess: &Preprocess, labels: &LabelMap) -> Result<()> {
    let mut length = Length(0);
    let counted = serde_json::to_writer(&mut length, &preprocess.without_numbers())
        .and_then(|()| serde_json::to_writer(&mut length, labels));
    let most = container::MOST_HEADER - OTHER_METADATA;
    if counted.is_ok() && length.0 <= most {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the names of columns, categories and classes take {} MB, and a model file has room for {} \
         MB of them: hash the features by --hash-bits, or leave columns out by --ignore",
        length.0.div_ceil(1_000_000),
        most / 1_000_000
    )))
}

/// What reading a model takes, in lengths of its file: the bytes, the tensors, the parameters.
const COPIES: u64 = 3;

/// Bytes that settings and metrics never take.
const OTHER_METADATA: usize = 5_000_000;

/// Length of JSON as a string within JSON.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let escaped = bytes.iter().filter(|&&byte| matches!(byte, b'"' | b'\\')).count();
        self.0 += bytes.len() + escaped;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn json<T: Serialize>(value: &T, path: &Path) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::model(path, format!("not written: {e}")))
}

fn parse<T: DeserializeOwned>(metadata: &Metadata, key: &str, path: &Path) -> Result<T> {
    let text = metadata.get(key).ok_or_else(|| {
        let what = if metadata.contains_key("position") {
            "a checkpoint of a run, and no model: end the run by llfm train --resume".to_owned()
        } else {
            format!("the metadata lack `{key}`: not written by llfm")
        };
        Error::model(path, what)
    })?;
    serde_json::from_str(text)
        .map_err(|e| Error::model(path, format!("the metadata entry `{key}` is invalid: {e}")))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::{Cells, Notes, PreprocessOptions, RawRows, Schema};

    #[test]
    fn names_that_no_reader_would_take_are_refused_before_training() {
        let rows = RawRows {
            schema: Schema::numeric(1),
            cells: Cells::Table(array![[0.0], [1.0]]),
            labels: None,
            weights: None,
            first_missing: None,
        };
        let options = PreprocessOptions::default();
        let place = Path::new("data.csv");
        let fitted = Preprocess::fit(&rows, &options, place, &mut Notes::new()).unwrap();
        let check = |name: String| {
            let names = vec!["a".into(), name];
            check_length(&fitted, &LabelMap::Classes { names, rest: false })
        };
        check("b".repeat(1000)).unwrap();
        // Each quote is a backslash, itself escaped, and an escaped quote.
        for name in ["b".repeat(96_000_000), "\"".repeat(24_000_000)] {
            let error = check(name).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("--hash-bits"), "{error}");
        }
    }
}

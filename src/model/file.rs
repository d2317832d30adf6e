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
//!
//! An ensemble has a leading dimension e on each. Members with fewer anchors than the largest are
//! padded with zeros; the metadata entry `shape` has each member's number.
//!
//! The metadata are strings: `format_version`, `checksum`, and as JSON `config`, `labels`,
//! `preprocess`, `shape`, `summary` and `target_scale`. The checksum is the SHA-256, in hexadecimal,
//! of the whole file with the checksum's own 64 digits replaced by zeros. It means the same in every
//! format version, so that damage is told apart from novelty.
//!
//! Nothing in the file depends on when, where or how fast it was made: the same run gives the same
//! bytes.

mod check;
mod container;
mod tensors;

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::output::write_atomic;
use tensors::Shape;

/// The format this version writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

type Metadata = BTreeMap<String, String>;

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
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::from_bytes(&bytes, path)
    }

    /// The bytes of the model file. `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when a weight is not finite.
    pub fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        if self.members.is_empty() || !self.members.iter().all(|member| member.is_finite()) {
            return Err(Error::model(
                path,
                "not written: the model has weights that are not finite",
            ));
        }
        let shape = Shape::of(&self.members);
        let metadata: Metadata = [
            ("format_version", FORMAT_VERSION.to_string()),
            ("config", json(&self.config, path)?),
            ("labels", json(&self.labels, path)?),
            ("preprocess", json(&self.preprocess, path)?),
            ("shape", json(&shape, path)?),
            ("summary", json(&self.summary, path)?),
            ("target_scale", json(&self.target_scale, path)?),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        Ok(container::seal(metadata, &tensors::pack(&self.members, &shape)))
    }

    /// Reads the bytes of a model file. `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when they are damaged, inconsistent, or from a newer version.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        container::verify(bytes).map_err(|e| Error::model(path, e))?;
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::model(path, format!("not a valid safetensors file: {e}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| Error::model(path, format!("not a valid safetensors file: {e}")))?;
        let metadata: Metadata =
            header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let shape: Shape = parse(&metadata, "shape", path)?;
        let members = tensors::unpack(&file, &shape).map_err(|e| Error::model(path, e))?;
        let model = Self {
            config: parse(&metadata, "config", path)?,
            preprocess: parse(&metadata, "preprocess", path)?,
            labels: parse(&metadata, "labels", path)?,
            target_scale: parse(&metadata, "target_scale", path)?,
            members,
            summary: parse(&metadata, "summary", path)?,
        };
        model.check(&shape).map_err(|e| Error::model(path, e))?;
        Ok(model)
    }
}

fn json<T: Serialize>(value: &T, path: &Path) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::model(path, format!("not written: {e}")))
}

fn parse<T: DeserializeOwned>(metadata: &Metadata, key: &str, path: &Path) -> Result<T> {
    let text = metadata.get(key).ok_or_else(|| {
        Error::model(path, format!("the metadata lack `{key}`: not written by llfm"))
    })?;
    serde_json::from_str(text)
        .map_err(|e| Error::model(path, format!("the metadata entry `{key}` is invalid: {e}")))
}

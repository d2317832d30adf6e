//! The checkpoint file: a safetensors file with a snapshot, and what the run is that it belongs to.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `members.I.NAME` | as in a model file | parameters of member I, which is done |
//! | `best.NAME` | | the best parameters of the member at work |
//! | `current.NAME` | | its parameters now |
//! | `memory.NAME` | `[·]`, u8 | what its backend remembers, in the backend's own layout |
//! | `history` | `[·]`, u8 | reports of the epochs so far, as JSON |
//!
//! The metadata are strings: `format_version`, `checksum` (see `src/container.rs`), and as JSON `run`
//! and `position`.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use ndarray::{Array, ArrayBase, Data, Dimension, IntoDimension};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::backend::Memory;
use crate::container::{self, Format, Metadata, Packed};
use crate::error::{Error, Result};
use crate::event::EpochReport;
use crate::model::Parameters;
use crate::output::AtomicFile;
use crate::train::{Position, Snapshot};

/// The format this version writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: Format =
    Format { name: "checkpoint", version: FORMAT_VERSION, remedy: "nothing can go on from it" };

/// Bytes that tell of a run what it is: settings, sizes, the words of a command.
const MOST_OF_RUN: usize = 1 << 20;

/// What a checkpoint file says.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the run is: a JSON object.
    pub run: Value,
    /// Where it is.
    pub snapshot: Snapshot<'static>,
    /// The epochs so far.
    pub history: Vec<EpochReport>,
}

/// Writes a checkpoint to a file that is yet to be finished.
pub(super) fn write(
    path: &Path,
    run: &Value,
    snapshot: &Snapshot<'_>,
    history: &[EpochReport],
) -> Result<AtomicFile> {
    let unwritable = |e: serde_json::Error| Error::model(path, format!("not written: {e}"));
    let position = serde_json::to_string(&snapshot.position).map_err(unwritable)?;
    let metadata: Metadata =
        [("run".to_owned(), run.to_string()), ("position".to_owned(), position)].into();
    let mut tensors = Vec::new();
    for (i, member) in snapshot.members.iter().enumerate() {
        pack(&format!("members.{i}"), member, &mut tensors);
    }
    pack("best", &snapshot.best, &mut tensors);
    pack("current", &snapshot.current, &mut tensors);
    for (name, bytes) in &snapshot.memory.tensors {
        tensors.push(bytes_of(format!("memory.{name}"), bytes.into()));
    }
    let history = serde_json::to_vec(history).map_err(unwritable)?;
    tensors.push(bytes_of("history".into(), history.into()));
    let header = container::header(&FORMAT, metadata, &tensors)
        .map_err(|e| Error::model(path, format!("not written: {e}")))?;
    let mut file = AtomicFile::create(path)?;
    for bytes in [&header[..]].into_iter().chain(tensors.iter().map(|tensor| &*tensor.bytes)) {
        file.write_all(bytes).map_err(Error::io("write", path))?;
    }
    file.flush().map_err(Error::io("write", path))?;
    Ok(file)
}

impl Checkpoint {
    /// Reads the bytes of a checkpoint file. `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when they are damaged, inconsistent, or from a newer version.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        read(bytes).map_err(|message| Error::model(path, message))
    }
}

fn read(bytes: &[u8]) -> std::result::Result<Checkpoint, String> {
    container::verify(&FORMAT, bytes)?;
    let invalid = |e: safetensors::SafeTensorError| format!("not a valid safetensors file: {e}");
    let file = SafeTensors::deserialize(bytes).map_err(invalid)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
    let entry = |key: &str| {
        let text = header.metadata().as_ref().and_then(|all| all.get(key));
        text.ok_or_else(|| format!("the metadata lack `{key}`"))
    };
    let position: Position = parse("position", entry("position")?.as_bytes())?;
    let members = (0..position.best_epochs.len()).map(|i| unpack(&file, &format!("members.{i}")));
    let members: Vec<_> = members.collect::<std::result::Result<_, _>>()?;
    let mut memory = Memory { tensors: Vec::new(), totals: (&position.counted).into() };
    for (name, view) in file.iter() {
        if let Some(name) = name.strip_prefix("memory.") {
            memory.tensors.push((name.to_owned(), view.data().to_vec()));
        }
    }
    // The reader has no order of its own.
    memory.tensors.sort_unstable();
    let run = entry("run")?;
    if run.len() > MOST_OF_RUN {
        return Err(format!("`run` is invalid: expected at most {MOST_OF_RUN} bytes"));
    }
    let history = file.tensor("history").map_err(|_| "the tensor `history` is missing")?;
    Ok(Checkpoint {
        run: Value::Object(parse("run", run.as_bytes())?),
        history: parse("history", history.data())?,
        snapshot: Snapshot {
            members: Cow::Owned(members),
            best: Cow::Owned(unpack(&file, "best")?),
            current: unpack(&file, "current")?,
            memory,
            position,
        },
    })
}

fn parse<T: DeserializeOwned>(name: &str, text: &[u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(text).map_err(|e| format!("`{name}` is invalid: {e}"))
}

fn bytes_of(name: String, bytes: Cow<'_, [u8]>) -> Packed<'_> {
    Packed { name: name.into(), dtype: "U8", shape: vec![bytes.len()], bytes }
}

/// The tensors of some parameters, as they lie in memory.
fn pack<'a>(prefix: &str, parameters: &'a Parameters, tensors: &mut Vec<Packed<'a>>) {
    let Parameters { anchors, log_lipschitz, log_metric, anchor_scale, bias, linear, factors } =
        parameters;
    let mut add = |name: &str, packed: (Vec<usize>, Cow<'a, [u8]>)| {
        let (shape, bytes) = packed;
        tensors.push(Packed {
            name: format!("{prefix}.{name}").into(),
            dtype: "F32",
            shape,
            bytes,
        });
    };
    add("anchors", packed(anchors));
    add("bias", packed(bias));
    add("factors", packed(factors));
    add("linear", packed(linear));
    add("log_lipschitz", packed(log_lipschitz));
    add("log_metric", packed(log_metric));
    if let Some(scale) = anchor_scale {
        add("anchor_scale", packed(scale));
    }
}

fn packed<S: Data<Elem = f32>, D: Dimension>(
    array: &ArrayBase<S, D>,
) -> (Vec<usize>, Cow<'_, [u8]>) {
    let bytes = match array.as_slice() {
        Some(numbers) => Cow::Borrowed(bytemuck::cast_slice(numbers)),
        None => array.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    (array.shape().to_vec(), bytes)
}

/// Parameters whose sizes agree with each other; every number is finite.
fn unpack(file: &SafeTensors, prefix: &str) -> std::result::Result<Parameters, String> {
    let factors = format!("{prefix}.factors");
    let view = file.tensor(&factors).map_err(|_| format!("the tensor `{factors}` is missing"))?;
    let &[m, c, p, d] = view.shape() else {
        return Err(format!("the tensor `{factors}` is {:?}, expected four sizes", view.shape()));
    };
    let name = |name: &str| format!("{prefix}.{name}");
    let scale = name("anchor_scale");
    let has_scale = file.tensor(&scale).is_ok();
    let parameters = Parameters {
        anchors: tensor(file, &name("anchors"), (m, p))?,
        log_lipschitz: tensor(file, &name("log_lipschitz"), m)?,
        log_metric: tensor(file, &name("log_metric"), p)?,
        anchor_scale: has_scale.then(|| tensor(file, &scale, (m, p))).transpose()?,
        bias: tensor(file, &name("bias"), (m, c))?,
        linear: tensor(file, &name("linear"), (m, c, p))?,
        factors: tensor(file, &factors, (m, c, p, d))?,
    };
    if !parameters.is_finite() {
        return Err(format!("`{prefix}` has numbers that are not finite"));
    }
    Ok(parameters)
}

fn tensor<D: Dimension>(
    file: &SafeTensors,
    name: &str,
    shape: impl IntoDimension<Dim = D>,
) -> std::result::Result<Array<f32, D>, String> {
    let shape = shape.into_dimension();
    let view = file.tensor(name).map_err(|_| format!("the tensor `{name}` is missing"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape.slice() {
        let (found, expected) = (view.shape(), shape.slice());
        return Err(format!(
            "the tensor `{name}` is {} {found:?}, expected F32 {expected:?}",
            view.dtype()
        ));
    }
    let (numbers, _) = view.data().as_chunks::<4>();
    let numbers = numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Array::from_shape_vec(shape, numbers).map_err(|e| format!("the tensor `{name}`: {e}"))
}

//! Parameters of all members to named tensors, and back.

use ndarray::{Array, Dimension, IntoDimension};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::container::Packed;
use crate::model::Parameters;

/// The sizes every tensor must agree with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Anchors of each member `[e]`.
    pub(super) anchors: Vec<usize>,
    /// Output channels c.
    pub(super) outputs: usize,
    /// Features p.
    pub(super) features: usize,
    /// Factors d.
    pub(super) factors: usize,
    /// Whether there is a tensor `anchor_scale`.
    pub(super) anchor_scale: bool,
}

impl Shape {
    pub(super) fn of(members: &[Parameters]) -> Self {
        let first = &members[0];
        Self {
            anchors: members.iter().map(Parameters::n_anchors).collect(),
            outputs: first.n_outputs(),
            features: first.n_features(),
            factors: first.n_factors(),
            anchor_scale: members.iter().any(|member| member.anchor_scale.is_some()),
        }
    }

    fn most_anchors(&self) -> usize {
        self.anchors.iter().copied().max().unwrap_or(0)
    }

    /// The shape of a tensor in the file: an ensemble has a leading dimension.
    fn on_disk(&self, inner: &[usize]) -> Vec<usize> {
        let lead = (self.anchors.len() > 1).then_some(self.anchors.len());
        lead.into_iter().chain(inner.iter().copied()).collect()
    }
}

/// All tensors of the members, ordered by name.
pub(super) fn pack(members: &[Parameters], shape: &Shape) -> Vec<Packed<'static>> {
    let (m, c, p, d) = (shape.most_anchors(), shape.outputs, shape.features, shape.factors);
    let mut tensors = vec![
        stack("anchors", shape, members, &[m, p], |x| x.anchors.iter().copied().collect()),
        stack("bias", shape, members, &[m, c], |x| x.bias.iter().copied().collect()),
        stack("factors", shape, members, &[m, c, p, d], |x| x.factors.iter().copied().collect()),
        stack("linear", shape, members, &[m, c, p], |x| x.linear.iter().copied().collect()),
        stack("log_lipschitz", shape, members, &[m], |x| x.log_lipschitz.to_vec()),
        stack("log_metric", shape, members, &[p], |x| x.log_metric.to_vec()),
    ];
    if shape.anchor_scale {
        let ones = |x: &Parameters| vec![1.0; x.anchors.len()];
        let tensor = stack("anchor_scale", shape, members, &[m, p], |x| {
            x.anchor_scale.as_ref().map_or_else(|| ones(x), |t| t.iter().copied().collect())
        });
        tensors.insert(0, tensor);
    }
    tensors
}

fn stack(
    name: &'static str,
    shape: &Shape,
    members: &[Parameters],
    inner: &[usize],
    values_of: impl Fn(&Parameters) -> Vec<f32>,
) -> Packed<'static> {
    let each: usize = inner.iter().product();
    let mut values = Vec::with_capacity(each * members.len());
    for (i, member) in members.iter().enumerate() {
        values.extend(values_of(member));
        // Anchors are the outermost dimension, so that padding goes to the end.
        values.resize(each * (i + 1), 0.0);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Packed { name: name.into(), dtype: "F32", shape: shape.on_disk(inner), bytes: bytes.into() }
}

/// Reads the members back; every size is compared before anything is allocated for it. `others`:
/// how many tensors of the file are no parameters.
pub(super) fn unpack(
    file: &SafeTensors,
    shape: &Shape,
    others: usize,
) -> Result<Vec<Parameters>, String> {
    let (m, c, p, d) = (shape.most_anchors(), shape.outputs, shape.features, shape.factors);
    if shape.anchors.contains(&0) || m == 0 || c == 0 || p == 0 {
        return Err("the shape in the metadata has a dimension of 0".into());
    }
    let read = |name: &str, inner: &[usize]| tensor(file, name, &shape.on_disk(inner));
    let anchors = read("anchors", &[m, p])?;
    let bias = read("bias", &[m, c])?;
    let factors = read("factors", &[m, c, p, d])?;
    let linear = read("linear", &[m, c, p])?;
    let log_lipschitz = read("log_lipschitz", &[m])?;
    let log_metric = read("log_metric", &[p])?;
    let scale = shape.anchor_scale.then(|| read("anchor_scale", &[m, p])).transpose()?;
    let expected = 6 + usize::from(shape.anchor_scale) + others;
    if file.len() != expected {
        return Err(format!(
            "expected {expected} tensors, found {}: {:?}",
            file.len(),
            file.names()
        ));
    }
    let members = shape.anchors.iter().enumerate().map(|(i, &k)| {
        Ok(Parameters {
            anchors: member(&anchors, i, m, (k, p))?,
            log_lipschitz: member(&log_lipschitz, i, m, k)?,
            log_metric: member(&log_metric, i, p, p)?,
            anchor_scale: scale.as_ref().map(|t| member(t, i, m, (k, p))).transpose()?,
            bias: member(&bias, i, m, (k, c))?,
            linear: member(&linear, i, m, (k, c, p))?,
            factors: member(&factors, i, m, (k, c, p, d))?,
        })
    });
    members.collect()
}

/// The values of one tensor, its type, shape and numbers checked.
fn tensor(file: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|_| format!("the tensor `{name}` is missing"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!(
            "the tensor `{name}` is {} {:?}, the metadata say F32 {shape:?}",
            view.dtype(),
            view.shape()
        ));
    }
    let (numbers, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        return Err(format!("the tensor `{name}` has {} at position {at}", values[at]));
    }
    Ok(values)
}

/// Member `i` of a stacked tensor whose members take `outer` rows each, of which the first `dim[0]`
/// are its own.
fn member<D: Dimension>(
    values: &[f32],
    i: usize,
    outer: usize,
    dim: impl IntoDimension<Dim = D>,
) -> Result<Array<f32, D>, String> {
    let dim = dim.into_dimension();
    let row: usize = dim.slice()[1..].iter().product();
    let start = i * outer * row;
    let own =
        values.get(start..start + dim[0] * row).ok_or("a tensor is shorter than its shape")?;
    Array::from_shape_vec(dim, own.to_vec()).map_err(|e| e.to_string())
}

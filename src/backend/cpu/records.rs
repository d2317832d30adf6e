//! Records of linear weights and factors, between their logical shapes and the order of a store.

use ndarray::{Array1, Array2, Array3, Array4};

use crate::kernel::Shape;
use crate::model::Parameters;

use super::heads::Heads;

/// The anchor side of a store, by (anchor, feature).
pub(super) struct Logical<'a, T> {
    /// z.
    pub(super) anchors: &'a dyn Fn(usize, usize) -> f32,
    /// t, where scales are kept.
    pub(super) scales: Option<T>,
    /// τ `[p]`.
    pub(super) log_metric: &'a [f32],
}

/// Records of all (anchor, feature), each at the place `place` gives.
pub(super) fn pack(
    shape: Shape,
    parameters: &Parameters,
    place: impl Fn(usize, usize) -> usize,
) -> Vec<f32> {
    let Shape { anchors: m, features: p, outputs, factors: d, stride } = shape;
    let mut records = vec![0.0; m * p * stride];
    for (i, j) in (0..m).flat_map(|i| (0..p).map(move |j| (i, j))) {
        let record = &mut records[place(i, j) * stride..][..stride];
        for (c, channel) in record.chunks_exact_mut(d + 1).take(outputs).enumerate() {
            for (f, v) in channel[..d].iter_mut().enumerate() {
                *v = parameters.factors[[i, c, j, f]];
            }
            channel[d] = parameters.linear[[i, c, j]];
        }
    }
    records
}

/// The parameters of a store in their logical shapes.
pub(super) fn unpack<T: Fn(usize, usize) -> f32>(
    shape: Shape,
    heads: &Heads,
    records: &[f32],
    place: impl Fn(usize, usize) -> usize,
    logical: Logical<'_, T>,
) -> Parameters {
    let Shape { anchors: m, features: p, outputs: c, factors: d, stride } = shape;
    let at = |i, j, c, f| records[place(i, j) * stride + c * (d + 1) + f];
    Parameters {
        anchors: Array2::from_shape_fn((m, p), |(i, j)| (logical.anchors)(i, j)),
        log_lipschitz: Array1::from(heads.log_lipschitz.clone()),
        log_metric: Array1::from(logical.log_metric.to_vec()),
        anchor_scale: logical.scales.map(|t| Array2::from_shape_fn((m, p), |(i, j)| t(i, j))),
        bias: Array2::from_shape_vec((m, c), heads.bias.clone()).expect("m biases of C"),
        linear: Array3::from_shape_fn((m, c, p), |(i, c, j)| at(i, j, c, d)),
        factors: Array4::from_shape_fn((m, c, p, d), |(i, c, j, f)| at(i, j, c, f)),
    }
}

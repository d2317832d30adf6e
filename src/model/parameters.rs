//! The learned numbers of one model, in their logical shapes.

use ndarray::{Array1, Array2, Array3, Array4};

/// Parameters θ of one locally linear factorization machine.
///
/// m anchors, p features, C output channels, d factors. A plain factorization machine has m = 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Z `[m, p]`: anchor points, in units of the scaled features.
    pub anchors: Array2<f32>,
    /// l = log L `[m]`: logarithm of each anchor's Lipschitz constant.
    pub log_lipschitz: Array1<f32>,
    /// τ `[p]`: logarithm of the diagonal metric; 0 is the plain distance.
    pub log_metric: Array1<f32>,
    /// t `[m, p]`: scale per anchor and feature; `None` stands for 1 everywhere.
    pub anchor_scale: Option<Array2<f32>>,
    /// b `[m, C]`: bias of each local model.
    pub bias: Array2<f32>,
    /// w `[m, C, p]`: linear weights.
    pub linear: Array3<f32>,
    /// V `[m, C, p, d]`: factors.
    pub factors: Array4<f32>,
}

impl Parameters {
    /// Number of anchors m.
    pub fn n_anchors(&self) -> usize {
        self.anchors.nrows()
    }

    /// Number of features p.
    pub fn n_features(&self) -> usize {
        self.anchors.ncols()
    }

    /// Number of output channels C.
    pub fn n_outputs(&self) -> usize {
        self.bias.ncols()
    }

    /// Number of factors d.
    pub fn n_factors(&self) -> usize {
        self.factors.dim().3
    }

    /// Features p, outputs C and factors d: what members of an ensemble have in common.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.n_features(), self.n_outputs(), self.n_factors())
    }

    /// Bytes of the large tensors.
    pub(crate) fn bytes(&self) -> u64 {
        let scales = self.anchor_scale.as_ref().map_or(0, |scales| scales.len());
        4 * (self.anchors.len() + scales + self.linear.len() + self.factors.len()) as u64
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let arrays = [
            self.anchors.as_slice(),
            self.log_lipschitz.as_slice(),
            self.log_metric.as_slice(),
            self.bias.as_slice(),
            self.linear.as_slice(),
            self.factors.as_slice(),
            self.anchor_scale.as_ref().and_then(|t| t.as_slice()),
        ];
        arrays.into_iter().flatten().flatten().all(|x| x.is_finite())
    }
}

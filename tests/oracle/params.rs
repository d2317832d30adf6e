//! The parameters, and one flat view of them for optimizers and difference quotients.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// All parameters; gradients and optimizer state have the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Z, `[m][p]`.
    pub anchors: Vec<Vec<f64>>,
    /// l = log L, `[m]`.
    pub log_lipschitz: Vec<f64>,
    /// τ, `[p]`.
    pub log_metric: Vec<f64>,
    /// t, `[m][p]`.
    pub anchor_scale: Vec<Vec<f64>>,
    /// b, `[m][c]`.
    pub bias: Vec<Vec<f64>>,
    /// w, `[m][c][p]`.
    pub linear: Vec<Vec<Vec<f64>>>,
    /// V, `[m][c][p][d]`.
    pub factors: Vec<Vec<Vec<Vec<f64>>>>,
}

/// Sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// m
    pub anchors: usize,
    /// c
    pub channels: usize,
    /// p
    pub features: usize,
    /// d
    pub factors: usize,
}

/// Which parameter a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Anchor,
    LogLipschitz,
    LogMetric,
    AnchorScale,
    Bias,
    Linear,
    Factor,
}

impl Params {
    /// The neutral model: zeros, and every scale t = 1.
    pub fn neutral(shape: Shape) -> Self {
        let Shape { anchors: m, channels: c, features: p, factors: d } = shape;
        Self {
            anchors: vec![vec![0.0; p]; m],
            log_lipschitz: vec![0.0; m],
            log_metric: vec![0.0; p],
            anchor_scale: vec![vec![1.0; p]; m],
            bias: vec![vec![0.0; c]; m],
            linear: vec![vec![vec![0.0; p]; c]; m],
            factors: vec![vec![vec![vec![0.0; d]; p]; c]; m],
        }
    }

    /// A random model without special values: no zeros, ones or ties to hide a missing factor.
    pub fn random(shape: Shape, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut params = Self::neutral(shape);
        for (kind, value) in params.cells_mut() {
            *value = match kind {
                Kind::Anchor => random.random_range(-1.5..1.5),
                Kind::LogLipschitz => random.random_range(-2.5..-0.5),
                Kind::LogMetric => random.random_range(-0.5..0.5),
                Kind::AnchorScale => random.random_range(0.6..1.4),
                Kind::Bias | Kind::Linear | Kind::Factor => random.random_range(-0.8..0.8),
            };
        }
        params
    }

    /// Every number with its kind, in one fixed order.
    pub fn cells_mut(&mut self) -> Vec<(Kind, &mut f64)> {
        let mut cells = Vec::new();
        cells.extend(tagged(Kind::Anchor, self.anchors.iter_mut().flatten()));
        cells.extend(tagged(Kind::LogLipschitz, &mut self.log_lipschitz));
        cells.extend(tagged(Kind::LogMetric, &mut self.log_metric));
        cells.extend(tagged(Kind::AnchorScale, self.anchor_scale.iter_mut().flatten()));
        cells.extend(tagged(Kind::Bias, self.bias.iter_mut().flatten()));
        cells.extend(tagged(Kind::Linear, self.linear.iter_mut().flatten().flatten()));
        cells.extend(tagged(Kind::Factor, self.factors.iter_mut().flatten().flatten().flatten()));
        cells
    }

    /// Every number with its kind, in the order of `cells_mut`.
    pub fn cells(&self) -> Vec<(Kind, f64)> {
        let mut copy = self.clone();
        let cells = copy.cells_mut();
        cells.into_iter().map(|(kind, v)| (kind, *v)).collect()
    }

    /// The same shape, all zeros.
    pub fn zeros_like(&self) -> Self {
        let mut zeros = self.clone();
        for (_, value) in zeros.cells_mut() {
            *value = 0.0;
        }
        zeros
    }
}

fn tagged<'a>(
    kind: Kind,
    values: impl IntoIterator<Item = &'a mut f64>,
) -> impl Iterator<Item = (Kind, &'a mut f64)> {
    values.into_iter().map(move |value| (kind, value))
}

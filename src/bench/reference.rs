//! Scores and loss in f64, written from the equations, of a model on the way between two.
//!
//! Shares nothing with the kernels but the parameters in their logical shapes. The coding is the
//! paper's Algorithm 1 as printed, which does not cancel in f64.

use ndarray::Axis;

use crate::config::{Coding, Distance, Loss, TrainConfig};
use crate::data::Features;
use crate::kernel::local_coding::INVERSE_FLOOR;
use crate::model::Parameters;

/// A tensor of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Anchors,
    LogLipschitz,
    LogMetric,
    Scale,
    Bias,
    Linear,
    Factors,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Anchors,
        Self::LogLipschitz,
        Self::LogMetric,
        Self::Scale,
        Self::Bias,
        Self::Linear,
        Self::Factors,
    ];

    /// The numbers of this kind.
    pub(super) fn numbers(self, parameters: &Parameters) -> &[f32] {
        let numbers = match self {
            Self::Anchors => parameters.anchors.as_slice(),
            Self::LogLipschitz => parameters.log_lipschitz.as_slice(),
            Self::LogMetric => parameters.log_metric.as_slice(),
            Self::Scale => parameters.anchor_scale.as_ref().and_then(|t| t.as_slice()),
            Self::Bias => parameters.bias.as_slice(),
            Self::Linear => parameters.linear.as_slice(),
            Self::Factors => parameters.factors.as_slice(),
        };
        numbers.unwrap_or_default()
    }
}

/// The model θ + `far`·(θ' − θ), moved in one kind of parameters alone.
pub(super) struct Reference<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) before: &'a Parameters,
    /// θ', and which kind moves there how far.
    pub(super) moved: Option<(&'a Parameters, Kind, f64)>,
}

impl Reference<'_> {
    fn at(&self, kind: Kind, index: usize) -> f64 {
        let before = kind.numbers(self.before);
        if before.is_empty() {
            // Scales that nobody keeps.
            return 1.0;
        }
        let here = f64::from(before[index]);
        match self.moved {
            Some((after, moving, far)) if moving == kind => {
                here + far * (f64::from(kind.numbers(after)[index]) - here)
            }
            _ => here,
        }
    }

    /// Scores `[n, C]` of all rows.
    pub(super) fn scores(&self, rows: &Features) -> Vec<Vec<f64>> {
        let far = self.origin_distances();
        (0..rows.n_rows()).map(|r| self.outputs(&entries(rows, r), &far)).collect()
    }

    /// Mean loss of the rows; of values, in training units.
    pub(super) fn loss(&self, rows: &Features, targets: &[f64]) -> f64 {
        let scores = self.scores(rows);
        let losses = scores.iter().zip(targets).map(|(y, &target)| self.row_loss(y, target));
        losses.sum::<f64>() / scores.len() as f64
    }

    /// Weight of an anchor and feature in the distance, e·t².
    fn weight(&self, i: usize, j: usize) -> f64 {
        let t = self.at(Kind::Scale, i * self.before.n_features() + j);
        self.at(Kind::LogMetric, j).exp() * t * t
    }

    /// D(0, i) of every anchor.
    fn origin_distances(&self) -> Vec<f64> {
        let (m, p) = (self.before.n_anchors(), self.before.n_features());
        let square = |i: usize, j: usize| {
            let z = self.at(Kind::Anchors, i * p + j);
            if z == 0.0 { 0.0 } else { self.weight(i, j) * z * z }
        };
        (0..m).map(|i| (0..p).map(|j| square(i, j)).sum()).collect()
    }

    /// ŷ = Σ γᵢ fᵢ.
    fn outputs(&self, row: &[(usize, f64)], far: &[f64]) -> Vec<f64> {
        let mut outputs = vec![0.0; self.before.n_outputs()];
        for (i, gamma) in self.coding(row, far) {
            for (c, y) in outputs.iter_mut().enumerate() {
                *y += gamma * self.local(row, i, c);
            }
        }
        outputs
    }

    /// f = b + w·x + ½Σ_f ((Σ xv)² − Σ x²v²).
    fn local(&self, row: &[(usize, f64)], i: usize, c: usize) -> f64 {
        let (outputs, p, d) =
            (self.before.n_outputs(), self.before.n_features(), self.before.n_factors());
        let cell = i * outputs + c;
        let mut f = self.at(Kind::Bias, cell);
        for &(j, x) in row {
            f += x * self.at(Kind::Linear, cell * p + j);
        }
        for factor in 0..d {
            let (mut sum, mut own) = (0.0, 0.0);
            for &(j, x) in row {
                let term = x * self.at(Kind::Factors, (cell * p + j) * d + factor);
                sum += term;
                own += term * term;
            }
            f += 0.5 * (sum * sum - own);
        }
        f
    }

    /// Active anchors and their weights.
    fn coding(&self, row: &[(usize, f64)], far: &[f64]) -> Vec<(usize, f64)> {
        let p = self.before.n_features();
        let distance = |i: usize| {
            let nearer = row.iter().map(|&(j, x)| {
                let z = self.at(Kind::Anchors, i * p + j);
                self.weight(i, j) * ((x - z).powi(2) - z * z)
            });
            let squared = (far[i] + nearer.sum::<f64>()).max(0.0);
            if self.config.distance == Distance::Euclidean { squared.sqrt() } else { squared }
        };
        if self.config.coding == Coding::Single {
            return vec![(0, 1.0)];
        }
        let mut u: Vec<(usize, f64)> = (0..self.before.n_anchors())
            .map(|i| (i, self.at(Kind::LogLipschitz, i).exp() * distance(i)))
            .collect();
        u.sort_by(|a, b| a.1.total_cmp(&b.1));
        if self.config.coding == Coding::Adaptive {
            return adaptive(u);
        }
        u.truncate(self.config.neighbors);
        let nearest = u[0].1;
        for (_, u) in &mut u {
            *u = match self.config.coding {
                Coding::Inverse => 1.0 / (*u + f64::from(INVERSE_FLOOR)),
                _ => (nearest - *u).exp(),
            };
        }
        shares(u)
    }

    fn row_loss(&self, y: &[f64], target: f64) -> f64 {
        let softplus = |x: f64| if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() };
        let is_class = |c: usize| c == target as usize;
        let signed = |y: f64, positive: bool| if positive { y } else { -y };
        match self.config.loss {
            Loss::Squared => 0.5 * (y[0] - target).powi(2),
            Loss::Logistic => softplus(-signed(y[0], target == 1.0)),
            Loss::Hinge => (1.0 - signed(y[0], target == 1.0)).max(0.0),
            Loss::Ovr => (0..y.len()).map(|c| softplus(-signed(y[c], is_class(c)))).sum(),
            Loss::Softmax => {
                let most = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = y.iter().map(|y| (y - most).exp()).sum();
                most + sum.ln() - y[target as usize]
            }
        }
    }
}

/// λₖ = (Σu + √(k + (Σu)² − kΣu²))/k, k the smallest with λₖ ≤ the next u; γ the shares of λ − u.
fn adaptive(mut u: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let nearest = u[0].1;
    u.iter_mut().for_each(|(_, u)| *u -= nearest);
    let (mut sum, mut squares, mut lambda) = (0.0, 0.0, f64::INFINITY);
    let mut k = 0;
    while k < u.len() && lambda > u[k].1 {
        sum += u[k].1;
        squares += u[k].1 * u[k].1;
        k += 1;
        let n = k as f64;
        lambda = (sum + (n + sum * sum - n * squares).max(0.0).sqrt()) / n;
    }
    u.truncate(k);
    u.iter_mut().for_each(|(_, u)| *u = (lambda - *u).max(0.0));
    shares(u)
}

fn shares(mut weights: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
    weights
}

/// Columns and values of a row.
fn entries(rows: &Features, r: usize) -> Vec<(usize, f64)> {
    match rows {
        Features::Dense(all) => {
            let row = all.index_axis(Axis(0), r);
            row.iter().map(|&x| f64::from(x)).enumerate().collect()
        }
        Features::Sparse(all) => {
            let (columns, values) = all.row(r);
            columns.iter().zip(values).map(|(&j, &x)| (j as usize, f64::from(x))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_solves_its_equation() {
        // Two anchors equally near: λ − u = 1/√2 each.
        assert_eq!(adaptive(vec![(3, 5.0), (1, 5.0)]), [(3, 0.5), (1, 0.5)]);
        // λ₁ = 1 ≤ 1: the second is just out of reach.
        assert_eq!(adaptive(vec![(0, 2.0), (1, 3.0)]), [(0, 1.0)]);
        // u = 0, .6: λ₂ = (.6 + √(2 + .36 − .72))/2.
        let lambda = (0.6 + 1.64_f64.sqrt()) / 2.0;
        let found = adaptive(vec![(0, 0.0), (1, 0.6), (2, 9.0)]);
        assert_eq!(found.len(), 2);
        assert!((found[0].1 - lambda / (2.0 * lambda - 0.6)).abs() < 1e-12);
        assert!(((lambda).powi(2) + (lambda - 0.6).powi(2) - 1.0).abs() < 1e-12, "of length 1");
    }
}

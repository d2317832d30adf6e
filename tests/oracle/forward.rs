//! From a row to its outputs.

use super::coding::{self, Coded};
use super::params::Params;
use super::{Distance, Spec};

/// Everything computed on the way to the outputs of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// d, `[m]`: squared or plain, as the spec says.
    pub distance: Vec<f64>,
    /// u = L·d, `[m]`.
    pub u: Vec<f64>,
    /// γ, dense, `[m]`.
    pub gamma: Vec<f64>,
    /// The anchors that γ may use, in rising order.
    pub active: Vec<usize>,
    /// S.
    pub normalizer: f64,
    /// λ of the adaptive coding.
    pub lambda: Option<f64>,
    /// f of every anchor, also of the inactive ones, `[m][c]`.
    pub fm: Vec<Vec<f64>>,
    /// ŷ, `[c]`.
    pub output: Vec<f64>,
}

impl Forward {
    /// The weights alone.
    pub fn coded(&self) -> Coded {
        Coded {
            gamma: self.gamma.clone(),
            active: self.active.clone(),
            normalizer: self.normalizer,
            lambda: self.lambda,
        }
    }
}

/// ŷ_c = Σ_i γ_i f_ic of one row.
pub fn forward(params: &Params, spec: &Spec, x: &[f64]) -> Forward {
    let n_anchors = params.anchors.len();
    let n_channels = params.bias[0].len();
    let mut distance = vec![0.0; n_anchors];
    let mut u = vec![0.0; n_anchors];
    let mut fm = vec![vec![0.0; n_channels]; n_anchors];
    for i in 0..n_anchors {
        distance[i] = match spec.distance {
            Distance::SqEuclidean => squared_distance(params, i, x),
            Distance::Euclidean => squared_distance(params, i, x).sqrt(),
        };
        u[i] = params.log_lipschitz[i].exp() * distance[i];
        for c in 0..n_channels {
            fm[i][c] = fm_score(params.bias[i][c], &params.linear[i][c], &params.factors[i][c], x);
        }
    }
    let coded = coding::code(spec.coding, &u);
    let mut output = vec![0.0; n_channels];
    for c in 0..n_channels {
        for i in 0..n_anchors {
            output[c] += coded.gamma[i] * fm[i][c];
        }
    }
    Forward {
        distance,
        u,
        gamma: coded.gamma,
        active: coded.active,
        normalizer: coded.normalizer,
        lambda: coded.lambda,
        fm,
        output,
    }
}

/// D_i = Σ_j exp(τ_j) t_ij² (x_j − z_ij)².
pub fn squared_distance(params: &Params, anchor: usize, x: &[f64]) -> f64 {
    let mut sum = 0.0;
    for j in 0..x.len() {
        let difference = x[j] - params.anchors[anchor][j];
        let scale = params.anchor_scale[anchor][j];
        sum += params.log_metric[j].exp() * scale * scale * difference * difference;
    }
    sum
}

/// b + Σ_j w_j x_j + Σ_{j<j'} ⟨V_j, V_j'⟩ x_j x_j', pair by pair.
pub fn fm_score(bias: f64, linear: &[f64], factors: &[Vec<f64>], x: &[f64]) -> f64 {
    let mut score = bias;
    for j in 0..x.len() {
        score += linear[j] * x[j];
        for other in j + 1..x.len() {
            for f in 0..factors[j].len() {
                score += factors[j][f] * factors[other][f] * x[j] * x[other];
            }
        }
    }
    score
}

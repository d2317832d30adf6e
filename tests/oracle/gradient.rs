//! The exact gradient of the mean loss, γ differentiated through λ.
//!
//! The paper's (13) and (14) hold λ fixed, which is not the gradient, and (15) and (16) are printed
//! as ascent; nothing here follows them.

use super::forward::{Forward, forward};
use super::params::Params;
use super::{Distance, Spec, Target, coding, loss};

/// Below this plain distance an anchor gets no slope: √D has none at 0.
pub const MIN_DISTANCE: f64 = 1e-6;

/// Gradient of the **mean** loss over the rows; zero where the spec does not learn.
pub fn gradient(params: &Params, spec: &Spec, rows: &[Vec<f64>], targets: &[Target]) -> Params {
    weighted_gradient(params, spec, rows, targets, &vec![1.0; rows.len()])
}

/// The same of each row's loss times its weight; the divisor is still the number of rows.
pub fn weighted_gradient(
    params: &Params,
    spec: &Spec,
    rows: &[Vec<f64>],
    targets: &[Target],
    weights: &[f64],
) -> Params {
    assert_eq!((rows.len(), rows.len()), (targets.len(), weights.len()));
    let mut total = params.zeros_like();
    for ((x, &target), &weight) in rows.iter().zip(targets).zip(weights) {
        add_row(&mut total, params, spec, x, (target, weight));
    }
    for (_, value) in total.cells_mut() {
        *value /= rows.len() as f64;
    }
    total
}

fn add_row(
    total: &mut Params,
    params: &Params,
    spec: &Spec,
    x: &[f64],
    (target, weight): (Target, f64),
) {
    let pass = forward(params, spec, x);
    let mut output_slopes = loss::smoothed_slopes(spec.loss, spec.smoothing, &pass.output, target);
    output_slopes.iter_mut().for_each(|g| *g *= weight);

    for &i in &pass.active {
        for c in 0..output_slopes.len() {
            let score_slope = pass.gamma[i] * output_slopes[c];
            add_fm(total, params, (i, c), x, score_slope);
        }
    }

    let mut anchor_slopes = vec![0.0; pass.u.len()]; // a_i = Σ_c g_c f_ic
    for i in 0..pass.u.len() {
        for c in 0..output_slopes.len() {
            anchor_slopes[i] += output_slopes[c] * pass.fm[i][c];
        }
    }
    let u_slopes = coding::distance_slopes(spec.coding, &pass.coded(), &pass.u, &anchor_slopes);
    for &i in &pass.active {
        add_distance(total, params, spec, (x, &pass), (i, u_slopes[i]));
    }
}

/// ∂f/∂b = 1, ∂f/∂w_j = x_j, ∂f/∂V_jf = x_j Σ_{j'≠j} V_j'f x_j'.
fn add_fm(
    total: &mut Params,
    params: &Params,
    (i, c): (usize, usize),
    x: &[f64],
    score_slope: f64,
) {
    let factors = &params.factors[i][c];
    total.bias[i][c] += score_slope;
    for j in 0..x.len() {
        total.linear[i][c][j] += score_slope * x[j];
        for f in 0..factors[j].len() {
            let mut partners = 0.0;
            for other in 0..x.len() {
                if other != j {
                    partners += factors[other][f] * x[other];
                }
            }
            total.factors[i][c][j][f] += score_slope * x[j] * partners;
        }
    }
}

/// Everything below u_i = exp(l_i)·d_i, for one anchor.
fn add_distance(
    total: &mut Params,
    params: &Params,
    spec: &Spec,
    (x, pass): (&[f64], &Forward),
    (i, u_slope): (usize, f64),
) {
    if spec.learn_lipschitz {
        total.log_lipschitz[i] += u_slope * pass.u[i];
    }
    let root_slope = match spec.distance {
        Distance::SqEuclidean => 1.0,
        Distance::Euclidean if pass.distance[i] < MIN_DISTANCE => 0.0,
        Distance::Euclidean => 0.5 / pass.distance[i],
    };
    let squared_slope = u_slope * params.log_lipschitz[i].exp() * root_slope; // ∂ℓ/∂D_i
    for j in 0..x.len() {
        let metric = params.log_metric[j].exp();
        let scale = params.anchor_scale[i][j];
        let difference = x[j] - params.anchors[i][j];
        if spec.learn_anchors {
            total.anchors[i][j] -= squared_slope * 2.0 * metric * scale * scale * difference;
        }
        if spec.learn_metric {
            total.log_metric[j] += squared_slope * metric * scale * scale * difference * difference;
        }
        if spec.learn_scale {
            total.anchor_scale[i][j] +=
                squared_slope * 2.0 * metric * scale * difference * difference;
        }
    }
}

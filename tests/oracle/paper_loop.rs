//! The paper's training loop for two classes, on its own: one row at a time, adaptive coding,
//! squared distance, fixed L, logistic loss. Shares no function with the rest of the oracle.
//!
//! It differs from the printed algorithm in three places: a bias, the exact slope of γ instead of
//! (13) and (14), and descent where (15) and (16) print ascent.

use super::params::Params;

/// Settings of the loop; row number t (from 0) moves by ρ/(t + t₀).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperSettings {
    /// ρ of b, w and V.
    pub rho: f64,
    /// ρ of the anchors.
    pub anchor_rho: f64,
    /// t₀.
    pub t0: f64,
    /// R(Θ) = ½·l2·(‖w‖² + ‖V‖²), charged on every anchor at every row.
    pub l2: f64,
}

/// Visits `rows` in order, labels y = ±1. Returns the parameters, and the mean of each row's loss
/// before its own update: the paper's train loss.
pub fn paper_loop(
    start: &Params,
    settings: &PaperSettings,
    rows: &[Vec<f64>],
    labels: &[f64],
) -> (Params, f64) {
    check(start);
    let mut model = start.clone();
    let n_anchors = model.anchors.len();
    let mut loss_sum = 0.0;
    for t in 0..rows.len() {
        let (x, y) = (&rows[t], labels[t]);

        // Predict.
        let lipschitz: Vec<f64> = model.log_lipschitz.iter().map(|l| l.exp()).collect();
        let mut u = vec![0.0; n_anchors];
        for i in 0..n_anchors {
            for j in 0..x.len() {
                u[i] += lipschitz[i] * (x[j] - model.anchors[i][j]).powi(2);
            }
        }
        let (lambda, n_active) = threshold(&u);
        let closeness: Vec<f64> = u.iter().map(|v| (lambda - v).max(0.0)).collect();
        let total: f64 = closeness.iter().sum();
        let scores: Vec<f64> = (0..n_anchors).map(|i| score(&model, i, x)).collect();
        let output: f64 = (0..n_anchors).map(|i| closeness[i] / total * scores[i]).sum();
        loss_sum += (1.0 + (-y * output).exp()).ln();

        // Learn: every slope is taken before anything moves.
        let slope = -y / (1.0 + (y * output).exp());
        let inside = |i: &usize| closeness[*i] > 0.0;
        let active_sum: f64 = (0..n_anchors).filter(inside).map(|i| scores[i]).sum();
        let step = settings.rho / (t as f64 + settings.t0);
        let anchor_step = settings.anchor_rho / (t as f64 + settings.t0);
        for i in 0..n_anchors {
            let gamma = closeness[i] / total;
            update_fm(&mut model, i, x, (step, slope * gamma, settings.l2));
            if inside(&i) {
                // ∂ŷ/∂u_i by the quotient rule, ∂λ/∂u_i = (λ − u_i)/Σ(λ − u).
                let lambda_slope = closeness[i] / total;
                let numerator_slope = lambda_slope * active_sum - scores[i];
                let total_slope = lambda_slope * n_active - 1.0;
                let u_slope = (numerator_slope - output * total_slope) / total;
                for j in 0..x.len() {
                    let z = &mut model.anchors[i][j];
                    *z -= anchor_step * slope * u_slope * lipschitz[i] * 2.0 * (*z - x[j]);
                }
            }
        }
    }
    (model, loss_sum / rows.len() as f64)
}

/// λ with Σ max(0, λ − u)² = 1 and the number of anchors inside, as eq. 10 solves it: the set of
/// the k nearest is the right one when λ_k lies between its last and the next.
fn threshold(u: &[f64]) -> (f64, f64) {
    let mut sorted = u.to_vec();
    sorted.sort_by(f64::total_cmp);
    for k in 1..=sorted.len() {
        let nearest = &sorted[..k];
        let mean = nearest.iter().sum::<f64>() / k as f64;
        let spread: f64 = nearest.iter().map(|v| (v - mean).powi(2)).sum();
        let lambda = mean + ((1.0 - spread) / k as f64).sqrt();
        if k == sorted.len() || lambda <= sorted[k] {
            return (lambda, k as f64);
        }
    }
    unreachable!("no anchors")
}

/// f = b + Σ w_j x_j + Σ_{j<j'} ⟨V_j, V_j'⟩ x_j x_j'.
fn score(model: &Params, i: usize, x: &[f64]) -> f64 {
    let factors = &model.factors[i][0];
    let mut sum = model.bias[i][0];
    for j in 0..x.len() {
        sum += model.linear[i][0][j] * x[j];
        for before in 0..j {
            let pair: f64 = (0..factors[j].len()).map(|f| factors[j][f] * factors[before][f]).sum();
            sum += pair * x[j] * x[before];
        }
    }
    sum
}

/// Descent on b, w and V of one anchor, from the old V.
fn update_fm(model: &mut Params, i: usize, x: &[f64], (step, slope, l2): (f64, f64, f64)) {
    let old = model.factors[i][0].clone();
    model.bias[i][0] -= step * slope;
    for j in 0..x.len() {
        let weight = &mut model.linear[i][0][j];
        *weight -= step * (slope * x[j] + l2 * *weight);
        for f in 0..old[j].len() {
            let sum: f64 = (0..x.len()).map(|k| x[k] * old[k][f]).sum();
            let pair_slope = x[j] * (sum - x[j] * old[j][f]);
            model.factors[i][0][j][f] -= step * (slope * pair_slope + l2 * old[j][f]);
        }
    }
}

/// The paper has one channel and neither a metric nor scales.
fn check(start: &Params) {
    assert!(start.bias.iter().all(|channels| channels.len() == 1));
    assert!(start.log_metric.iter().all(|v| *v == 0.0));
    assert!(start.anchor_scale.iter().flatten().all(|v| *v == 1.0));
}

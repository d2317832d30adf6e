//! From u to the weights γ, and from the slopes of the scores back to the slopes of u.

use super::Coding;

/// Keeps the inverse-distance weight finite for a row that lies on an anchor.
const INVERSE_OFFSET: f64 = 1e-6;

/// The weights of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    /// γ, dense over the anchors, zero outside `active`.
    pub gamma: Vec<f64>,
    /// The anchors of the set A in rising order of their number.
    pub active: Vec<usize>,
    /// What γ was divided by: S = Σ max(0, λ − u), Σ exp(u_min − u), Σ 1/(u + 1e-6), or 1.
    pub normalizer: f64,
    /// λ; the adaptive coding alone has one.
    pub lambda: Option<f64>,
}

/// γ of one row from its scaled distances u.
pub fn code(coding: Coding, u: &[f64]) -> Coded {
    let order = nearest_first(u);
    let nearest = u[order[0]];
    let (chosen, lambda) = match coding {
        Coding::Single => {
            assert_eq!(u.len(), 1, "the single coding has one anchor");
            (1, None)
        }
        Coding::Adaptive => {
            let shifted: Vec<f64> = order.iter().map(|&i| u[i] - nearest).collect();
            let (n_active, lambda) = greedy(&shifted);
            (n_active, Some(lambda))
        }
        Coding::Soft { neighbors } | Coding::Inverse { neighbors } => {
            (neighbors.min(u.len()), None)
        }
    };
    let mut active = order[..chosen].to_vec();
    active.sort_unstable();

    let mut gamma = vec![0.0; u.len()];
    for &i in &active {
        let shifted = u[i] - nearest;
        gamma[i] = match coding {
            Coding::Single => 1.0,
            Coding::Adaptive => lambda.expect("adaptive") - shifted,
            Coding::Soft { .. } => (-shifted).exp(),
            Coding::Inverse { .. } => inverse_weight(u[i]),
        };
    }
    let normalizer: f64 = gamma.iter().sum();
    for weight in &mut gamma {
        *weight /= normalizer;
    }
    Coded { gamma, active, normalizer, lambda: lambda.map(|shifted| shifted + nearest) }
}

/// ∂ℓ/∂u, dense, from `a`, where a_i = Σ_c ∂ℓ/∂ŷ_c · f_ic. The choice of A has no slope.
pub fn distance_slopes(coding: Coding, coded: &Coded, u: &[f64], a: &[f64]) -> Vec<f64> {
    let n_active = coded.active.len() as f64;
    let mut blended = 0.0; // φ
    let mut mean = 0.0; // ā
    for &i in &coded.active {
        blended += coded.gamma[i] * a[i];
        mean += a[i] / n_active;
    }
    let mut slopes = vec![0.0; u.len()];
    for &i in &coded.active {
        let gamma = coded.gamma[i];
        slopes[i] = match coding {
            Coding::Single => 0.0,
            Coding::Adaptive => {
                ((blended - a[i]) - n_active * gamma * (blended - mean)) / coded.normalizer
            }
            Coding::Soft { .. } => gamma * (blended - a[i]),
            Coding::Inverse { .. } => gamma * (blended - a[i]) * inverse_weight(u[i]),
        };
    }
    slopes
}

/// k and λ by eq. 10 and 12: k grows as long as λ_k lies beyond the next anchor. `u` is sorted and
/// shifted so that its first is 0; squares of large distances would swallow λ.
fn greedy(u: &[f64]) -> (usize, f64) {
    let mut k = 1;
    while k < u.len() && greedy_lambda(&u[..k]) > u[k] {
        k += 1;
    }
    (k, greedy_lambda(&u[..k]))
}

/// λ_k = (Σu + √(k + (Σu)² − kΣu²)) / k over the k nearest.
fn greedy_lambda(u: &[f64]) -> f64 {
    let k = u.len() as f64;
    let sum: f64 = u.iter().sum();
    let sum_of_squares: f64 = u.iter().map(|v| v * v).sum();
    (sum + (k + sum * sum - k * sum_of_squares).sqrt()) / k
}

fn inverse_weight(u: f64) -> f64 {
    1.0 / (u + INVERSE_OFFSET)
}

/// Anchor numbers by distance; equal distances keep their order.
fn nearest_first(u: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..u.len()).collect();
    order.sort_by(|&a, &b| u[a].total_cmp(&u[b]));
    order
}

//! Losses of one row and their slopes g_c = ∂ℓ/∂ŷ_c.

use super::{Loss, Target};

/// ℓ of the outputs of one row.
pub fn loss(kind: Loss, output: &[f64], target: Target) -> f64 {
    match kind {
        Loss::Logistic => softplus(-sign(target) * single(output)),
        Loss::Hinge => (1.0 - sign(target) * single(output)).max(0.0),
        Loss::Softmax => {
            let (largest, sum) = exponentials(output);
            largest + sum.ln() - output[class(target)]
        }
        Loss::OneVsRest => {
            let terms = output.iter().enumerate();
            terms.map(|(c, score)| softplus(-versus_rest(c, target) * score)).sum()
        }
        Loss::Squared => 0.5 * (single(output) - value(target)).powi(2),
    }
}

/// g_c for every channel. On its kink the hinge has slope 0.
pub fn slopes(kind: Loss, output: &[f64], target: Target) -> Vec<f64> {
    match kind {
        Loss::Logistic => vec![logistic_slope(sign(target), single(output))],
        Loss::Hinge => {
            let y = sign(target);
            vec![if y * single(output) < 1.0 { -y } else { 0.0 }]
        }
        Loss::Softmax => {
            let (largest, sum) = exponentials(output);
            let mut slopes: Vec<f64> = output.iter().map(|v| (v - largest).exp() / sum).collect();
            slopes[class(target)] -= 1.0;
            slopes
        }
        Loss::OneVsRest => {
            let channels = output.iter().enumerate();
            channels.map(|(c, score)| logistic_slope(versus_rest(c, target), *score)).collect()
        }
        Loss::Squared => vec![single(output) - value(target)],
    }
}

/// The mean of ℓ over the classes the label may be: ε/C each, and 1 − ε more for its own.
pub fn smoothed_loss(kind: Loss, smoothing: f64, output: &[f64], target: Target) -> f64 {
    let parts = label_parts(smoothing, output.len(), target);
    parts.into_iter().map(|(share, class)| share * loss(kind, output, class)).sum()
}

/// The same of the slopes.
pub fn smoothed_slopes(kind: Loss, smoothing: f64, output: &[f64], target: Target) -> Vec<f64> {
    let mut total = vec![0.0; output.len()];
    for (share, class) in label_parts(smoothing, output.len(), target) {
        let part = slopes(kind, output, class);
        total.iter_mut().zip(part).for_each(|(total, slope)| *total += share * slope);
    }
    total
}

/// Shares of the label, and the classes they are given to.
fn label_parts(smoothing: f64, channels: usize, target: Target) -> Vec<(f64, Target)> {
    if smoothing == 0.0 {
        return vec![(1.0, target)];
    }
    let classes = channels.max(2);
    let mut parts = vec![(1.0 - smoothing, target)];
    parts.extend((0..classes).map(|class| (smoothing / classes as f64, Target::Class(class))));
    parts
}

/// ln(1 + exp(v)) without overflow.
fn softplus(v: f64) -> f64 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

/// d/dŷ softplus(−yŷ) = −y / (1 + exp(yŷ)).
fn logistic_slope(y: f64, score: f64) -> f64 {
    -y / (1.0 + (y * score).exp())
}

/// The largest score, and Σ exp(score − largest).
fn exponentials(output: &[f64]) -> (f64, f64) {
    let largest = output.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (largest, output.iter().map(|v| (v - largest).exp()).sum())
}

fn versus_rest(channel: usize, target: Target) -> f64 {
    if channel == class(target) { 1.0 } else { -1.0 }
}

fn sign(target: Target) -> f64 {
    match class(target) {
        0 => -1.0,
        1 => 1.0,
        other => panic!("class {other} of two"),
    }
}

fn class(target: Target) -> usize {
    match target {
        Target::Class(class) => class,
        Target::Value(_) => panic!("this loss needs a class"),
    }
}

fn value(target: Target) -> f64 {
    match target {
        Target::Value(value) => value,
        Target::Class(_) => panic!("the squared loss needs a value"),
    }
}

fn single(output: &[f64]) -> f64 {
    assert_eq!(output.len(), 1, "this loss has one channel");
    output[0]
}

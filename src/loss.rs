//! Losses of one row: the value, and the slope with respect to each score.

use std::slice;

use crate::config::Loss;
use crate::math::{exp, log1p_unit, sigmoid, softplus};

/// Loss of class `class` under the scores in `scores` `[C]`, which become ∂ℓ/∂ŷ.
///
/// Binary losses have one score, and class 1 is positive.
#[inline(always)]
pub(crate) fn class_loss(loss: Loss, scores: &mut [f32], class: u32) -> f32 {
    match loss {
        Loss::Logistic => logistic(&mut scores[0], class == 1),
        Loss::Hinge => hinge(&mut scores[0], class == 1),
        Loss::Softmax => softmax(scores, class as usize),
        Loss::Ovr => {
            let mut sum = 0.0;
            for (c, score) in scores.iter_mut().enumerate() {
                sum += logistic(score, c == class as usize);
            }
            sum
        }
        Loss::Squared => squared(scores, class as f32),
    }
}

/// Loss of a row whose label is (1 − ε)·\[c = class\] + ε/C for each of C classes, ε the smoothing
/// (Szegedy and others, *Rethinking the Inception Architecture*, CVPR 2016, section 7).
///
/// Logistic, softmax and one-vs-rest losses are linear in the label: what smoothing adds to it,
/// times the scores, is what it takes off the loss.
#[inline(always)]
pub(crate) fn smoothed_loss(loss: Loss, smoothing: f32, scores: &mut [f32], class: u32) -> f32 {
    if smoothing == 0.0 {
        return class_loss(loss, scores, class);
    }
    // A single score is that of class 1 of two.
    let first = usize::from(scores.len() == 1);
    let every = smoothing / scores.len().max(2) as f32;
    let added = |c: usize| if c + first == class as usize { every - smoothing } else { every };
    let mut taken = 0.0;
    for (c, score) in scores.iter().enumerate() {
        taken = added(c).mul_add(*score, taken);
    }
    let value = class_loss(loss, scores, class);
    for (c, slope) in scores.iter_mut().enumerate() {
        *slope -= added(c);
    }
    value - taken
}

/// [`smoothed_loss`] of many rows, scores `[rows, C]`; with one score a row the loop has the loss
/// fixed in it, and becomes vectors.
#[inline(always)]
pub(crate) fn smoothed_losses(
    loss: Loss,
    smoothing: f32,
    outputs: usize,
    scores: &mut [f32],
    classes: &[u32],
    losses: &mut [f32],
) {
    match (outputs, loss) {
        (1, Loss::Logistic) => binary_losses(Loss::Logistic, smoothing, scores, classes, losses),
        (1, Loss::Hinge) => binary_losses(Loss::Hinge, smoothing, scores, classes, losses),
        _ => {
            let rows = scores.chunks_exact_mut(outputs).zip(classes);
            for ((scores, &class), out) in rows.zip(losses) {
                *out = smoothed_loss(loss, smoothing, scores, class);
            }
        }
    }
}

#[inline(always)]
fn binary_losses(
    loss: Loss,
    smoothing: f32,
    scores: &mut [f32],
    classes: &[u32],
    losses: &mut [f32],
) {
    for ((score, &class), out) in scores.iter_mut().zip(classes).zip(losses) {
        *out = smoothed_loss(loss, smoothing, slice::from_mut(score), class);
    }
}

/// softplus(−yŷ), y = ±1.
#[inline(always)]
fn logistic(score: &mut f32, positive: bool) -> f32 {
    let sign = if positive { 1.0 } else { -1.0 };
    let margin = sign * *score;
    *score = -sign * sigmoid(-margin);
    softplus(-margin)
}

/// max(0, 1 − yŷ), y = ±1; slope 0 at the kink.
#[inline(always)]
fn hinge(score: &mut f32, positive: bool) -> f32 {
    let sign = if positive { 1.0 } else { -1.0 };
    let below = 1.0 - sign * *score;
    *score = if below > 0.0 { -sign } else { 0.0 };
    below.max(0.0)
}

/// log Σ_c exp(ŷ_c) − ŷ_class, shifted by the largest score.
#[inline(always)]
fn softmax(scores: &mut [f32], class: usize) -> f32 {
    let own = scores[class];
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
        sum += *score;
    }
    scores.iter_mut().for_each(|p| *p /= sum);
    scores[class] -= 1.0;
    log_at_least_one(sum) + (largest - own)
}

/// ½(ŷ − y)².
#[inline(always)]
pub(crate) fn squared(scores: &mut [f32], target: f32) -> f32 {
    scores[0] -= target;
    0.5 * scores[0] * scores[0]
}

/// log x for x ≥ 1.
#[inline(always)]
fn log_at_least_one(x: f32) -> f32 {
    let exponent = (x.to_bits() >> 23) as i32 - 127;
    let mantissa = f32::from_bits((x.to_bits() & 0x007f_ffff) | 0x3f80_0000);
    (exponent as f32).mul_add(std::f32::consts::LN_2, log1p_unit(mantissa - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_many_rows_are_those_of_each() {
        let classes = [0, 1, 1, 0, 1, 0, 0, 1, 1];
        for (loss, outputs) in [
            (Loss::Logistic, 1),
            (Loss::Hinge, 1),
            (Loss::Squared, 1),
            (Loss::Softmax, 3),
            (Loss::Ovr, 3),
        ] {
            for smoothing in [0.0, 0.1] {
                let scores: Vec<f32> =
                    (0..9 * outputs).map(|i| 4.0 * (i as f32 * 0.7).sin()).collect();
                let (mut found, mut losses) = (scores.clone(), [0.0; 9]);
                smoothed_losses(loss, smoothing, outputs, &mut found, &classes, &mut losses);
                let mut expected = scores;
                for (r, row) in expected.chunks_exact_mut(outputs).enumerate() {
                    let value = smoothed_loss(loss, smoothing, row, classes[r]);
                    assert_eq!(losses[r], value, "{loss:?}, row {r}");
                }
                assert_eq!(found, expected, "{loss:?}");
            }
        }
    }
}

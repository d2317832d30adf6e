//! `blend`, training.

use super::{after, before};
use crate::compare::Checked;
use crate::compare::twins::view::{Active, RowCode, View};
use crate::config::{Coding, Loss};

/// ∂ℓ/∂ŷ / b and loss of each row; γg, κ and u·∂ℓ/∂u of each pair.
pub(super) fn blend(view: &View<'_>) -> Vec<Checked> {
    let (c, capacity) = (view.shape.outputs, view.capacity());
    let codes: &[RowCode] = view.before("row_codes");
    let all_active: &[Active] = view.before("active_anchors");
    let (scores, found_scores) = (before(view, "scores"), after(view, "scores"));
    let found_pulls: &[[f32; 2]] = view.after("pulls");
    let targets: &[[u32; 2]] = view.before("targets");
    let (mut outputs, mut losses) = (Vec::new(), Vec::new());
    let mut slopes = [Vec::new(), Vec::new()];
    let mut pulls = [vec![], vec![], vec![], vec![]];
    for (row, &data_row) in view.order().iter().enumerate() {
        let count = codes[row].count as usize;
        let active: Vec<&Active> = (0..count).map(|k| &all_active[k * capacity + row]).collect();
        let f = |it: &Active| &scores[it.slot as usize * c..][..c];
        let mut y = vec![0.0; c];
        for it in &active {
            y.iter_mut().zip(f(it)).for_each(|(y, f)| *y += f64::from(it.gamma) * f);
        }
        let [target, weight] = targets[data_row as usize];
        let weight = f64::from(f32::from_bits(weight));
        let (loss, mut g) = smoothed(view, &y, target);
        g.iter_mut().for_each(|g| *g *= weight / view.rows() as f64);
        for it in &active {
            slopes[0].extend(&found_scores[it.slot as usize * c..][..c]);
            slopes[1].extend(g.iter().map(|g| f64::from(it.gamma) * g));
        }
        if view.trace.sizes.slopes {
            let a: Vec<f64> =
                active.iter().map(|it| g.iter().zip(f(it)).map(|(g, f)| g * f).sum()).collect();
            for (it, slope) in active.iter().zip(distance_slopes(view, &codes[row], &active, &a)) {
                let found = found_pulls[it.slot as usize].map(f64::from);
                pulls[0].push(found[0]);
                pulls[1].push(slope * f64::from(it.pull));
                pulls[2].push(found[1]);
                pulls[3].push(slope * f64::from(it.u));
            }
        }
        outputs.extend(g);
        losses.push(loss * weight);
    }
    let [found_slopes, slopes] = slopes;
    let [found_kappas, kappas, found_log_slopes, log_slopes] = pulls;
    let found = |name: &str, len: usize| after(view, name)[..len].to_vec();
    vec![
        view.checked("outputs", found("outputs", outputs.len()), outputs),
        view.checked("row_losses", found("row_losses", losses.len()), losses),
        view.checked("scores", found_slopes, slopes),
        view.checked("pulls", found_kappas, kappas),
        view.checked("log slopes", found_log_slopes, log_slopes),
    ]
}

/// The mean of ℓ and ∂ℓ/∂ŷ over the classes a label may stand for, as smoothing weighs them.
fn smoothed(view: &View<'_>, y: &[f64], target: u32) -> (f64, Vec<f64>) {
    let (config, smoothing) = (view.config, f64::from(view.trace.rates.label_smoothing));
    let (loss, slopes) = loss_of(config.loss, y, target);
    if smoothing == 0.0 {
        return (loss, slopes);
    }
    let classes = y.len().max(2);
    let (mut mean, mut mean_slopes) = ((1.0 - smoothing) * loss, slopes);
    mean_slopes.iter_mut().for_each(|g| *g *= 1.0 - smoothing);
    for class in 0..classes as u32 {
        let (loss, slopes) = loss_of(config.loss, y, class);
        let share = smoothing / classes as f64;
        mean += share * loss;
        mean_slopes.iter_mut().zip(slopes).for_each(|(mean, g)| *mean += share * g);
    }
    (mean, mean_slopes)
}

/// ℓ, and ∂ℓ/∂ŷ of each channel.
fn loss_of(loss: Loss, y: &[f64], target: u32) -> (f64, Vec<f64>) {
    if loss == Loss::Softmax {
        let sum: f64 = y.iter().map(|y| y.exp()).sum();
        let own = |c: usize| f64::from(u8::from(c as u32 == target));
        let slopes = y.iter().enumerate().map(|(c, y)| y.exp() / sum - own(c)).collect();
        return (sum.ln() - y[target as usize], slopes);
    }
    let channels = y.iter().enumerate().map(|(c, &y)| {
        let positive = target == if loss == Loss::Ovr { c as u32 } else { 1 };
        let s = if positive { 1.0 } else { -1.0 };
        match loss {
            Loss::Squared => {
                let away = y - f64::from(f32::from_bits(target));
                (0.5 * away * away, away)
            }
            Loss::Hinge if s * y < 1.0 => (1.0 - s * y, -s),
            Loss::Hinge => (0.0, 0.0),
            _ => ((-s * y).exp().ln_1p(), -s / (1.0 + (s * y).exp())),
        }
    });
    let (losses, slopes): (Vec<f64>, Vec<f64>) = channels.unzip();
    (losses.iter().sum(), slopes)
}

/// ∂ℓ/∂u of the row's anchors, a = Σ g·f of each.
fn distance_slopes(view: &View<'_>, code: &RowCode, active: &[&Active], a: &[f64]) -> Vec<f64> {
    let k = a.len() as f64;
    let gamma = |i: usize| f64::from(active[i].gamma);
    let phi: f64 = a.iter().enumerate().map(|(i, a)| gamma(i) * a).sum();
    let mean = a.iter().sum::<f64>() / k;
    let slope = |(i, a): (usize, &f64)| match view.config.coding {
        Coding::Single => 0.0,
        Coding::Adaptive => ((phi - a) - k * gamma(i) * (phi - mean)) / f64::from(code.normalizer),
        Coding::Soft => gamma(i) * (phi - a),
        Coding::Inverse => gamma(i) * (phi - a) / (f64::from(active[i].u) + 1e-6),
    };
    a.iter().enumerate().map(slope).collect()
}

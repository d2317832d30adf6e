//! A step of SGD, AdaGrad or Adam in f64, and what it shows of the gradient.
//!
//! As in the comparison with the CPU kernels, what is compared is linear in the gradient or follows
//! from it: the moments, the gradient of SGD and AdaGrad, and Adam's step from the moments found.

use crate::compare::twins::view::View;
use crate::compare::{Checked, toward};
use crate::config::Optimizer;

/// A parameter and its memory: (θ, first, second).
pub(super) type Cell = [f64; 3];

/// A cell before and after, and ∂ℓ/∂θ; `None` where the kernel may not move it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) before: Cell,
    pub(super) after: Cell,
    pub(super) gradient: Option<f64>,
    /// What rounding may leave of the gradient where its terms cancel.
    pub(super) hidden: f64,
}

/// Step size, L2 and decay of the cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) rate: f64,
    pub(super) l2: f64,
    pub(super) decay: f64,
}

impl Rates {
    /// Of everything but anchors and local models.
    pub(super) fn plain(view: &View<'_>) -> Self {
        Self { rate: f64::from(view.trace.rates.rate), l2: 0.0, decay: 0.0 }
    }

    pub(super) fn of_anchors(view: &View<'_>) -> Self {
        Self { rate: f64::from(view.trace.rates.anchor_rate), ..Self::plain(view) }
    }

    pub(super) fn of_models(view: &View<'_>) -> Self {
        let (l2, decay) = (view.config.l2, view.config.weight_decay);
        Self { l2, decay, ..Self::plain(view) }
    }
}

/// Compares the steps of cells.
pub(super) fn stepped(view: &View<'_>, rates: Rates, cells: &[Moved]) -> Vec<Checked> {
    let optimizer = view.config.optimizer;
    // As the device has them: of 1 − β₂ the rounding is no longer small.
    let (beta1, beta2) = (f64::from(0.9_f32), f64::from(0.999_f32));
    let mut pairs = [(); 4].map(|()| (Vec::new(), Vec::new()));
    let [kept, firsts, seconds, steps] = &mut pairs;
    for cell in cells {
        let Some(slope) = cell.gradient else {
            kept.0.extend(cell.after);
            kept.1.extend(cell.before);
            continue;
        };
        let g = slope + rates.l2 * cell.before[0];
        let (old, new) = (cell.before, cell.after);
        // Of g² in the second moment.
        let of_square = (2.0 * g.abs() + cell.hidden) * cell.hidden;
        match optimizer {
            Optimizer::Sgd => add(steps, rates, cell, (1.0, cell.hidden), g),
            Optimizer::AdaGrad => {
                let second = old[2] + g * g;
                seconds.0.push(toward(new[2], second, of_square));
                seconds.1.push(second);
                // Of the memory found: that it is right was checked.
                add(steps, rates, cell, (new[2].sqrt() + 1e-8, cell.hidden), g);
            }
            Optimizer::Adam => {
                let first = beta1 * old[1] + (1.0 - beta1) * g;
                firsts.0.push(toward(new[1], first, (1.0 - beta1) * cell.hidden));
                firsts.1.push(first);
                let second = beta2 * old[2] + (1.0 - beta2) * g * g;
                seconds.0.push(toward(new[2], second, (1.0 - beta2) * of_square));
                seconds.1.push(second);
                let t = view.trace.rates.step as i32;
                let first = new[1] / (1.0 - beta1.powi(t));
                let second = (new[2] / (1.0 - beta2.powi(t))).sqrt();
                add(steps, rates, cell, (1.0, 0.0), first / (second + 1e-8));
            }
        }
    }
    let step = if optimizer == Optimizer::Adam { "step" } else { "gradient" };
    let outputs = ["kept", "first moment", "second moment", step];
    let checks = outputs.into_iter().zip(pairs);
    checks.map(|(output, (found, expected))| view.checked(output, found, expected)).collect()
}

/// What was taken off θ, in units of the rate and times `root`; rounding of θ may hide a little
/// beside `hidden`.
fn add(
    (found, expected): &mut (Vec<f64>, Vec<f64>),
    rates: Rates,
    cell: &Moved,
    (root, hidden): (f64, f64),
    step: f64,
) {
    let (old, new) = (cell.before[0], cell.after[0]);
    let taken = (old * (1.0 - rates.rate * rates.decay) - new) / rates.rate * root;
    let slack = 1.5 * f64::from(f32::EPSILON) * old.abs().max(new.abs()) / rates.rate * root;
    found.push(toward(taken, step, slack + hidden));
    expected.push(step);
}

/// What rounding may leave of terms that cancel, given the sum of their magnitudes.
pub(super) fn remainder(magnitudes: f64) -> f64 {
    2.0 * f64::from(f32::EPSILON) * magnitudes
}

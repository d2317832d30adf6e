//! What an optimizer's step shows of the gradient it took.
//!
//! Adam's and AdaGrad's steps are ill-conditioned where a gradient is near zero: the first step of
//! either is its sign. So what is compared is linear in the gradient, or follows from it: the moments;
//! the gradient that SGD's and AdaGrad's step came from; and of Adam the step that the moments found
//! should give, in f64.

use super::view::{View, wide};
use crate::compare::{Checked, toward};
use crate::optimizer::{MomentsMut, Update};

/// ε of AdaGrad and Adam.
const EPSILON: f64 = 1e-8;

/// Parameters and the optimizer's memory of them; empty where the rule keeps none.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) theta: Vec<f32>,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
}

impl State {
    /// From interleaved moments (first, second).
    pub(super) fn new(theta: Vec<f32>, moments: &[[f32; 2]], update: &Update) -> Self {
        let (first, second) = update.keeps();
        let of = |kept: bool, which: usize| {
            let moments = moments.iter().filter(move |_| kept).map(move |both| both[which]);
            moments.take(theta.len()).collect()
        };
        let (first, second) = (of(first, 0), of(second, 1));
        Self { theta, first, second }
    }

    /// The moments, as a CPU kernel takes them.
    pub(super) fn parts(&mut self) -> (&mut [f32], MomentsMut<'_>) {
        (&mut self.theta, MomentsMut { first: &mut self.first, second: &mut self.second })
    }
}

/// Compares a step from `before`; elements that are not `live` may not have moved.
pub(super) fn stepped(
    view: &View<'_>,
    update: &Update,
    [before, found, expected]: [&State; 3],
    live: impl Fn(usize) -> bool,
) -> Vec<Checked> {
    let live: Vec<bool> = (0..before.theta.len()).map(live).collect();
    let pick = |numbers: &[f32], wanted: bool| {
        let numbers = numbers.iter().zip(&live).filter(|(_, live)| **live == wanted);
        numbers.map(|(x, _)| *x).collect()
    };
    let part = |state: &State, wanted: bool| State {
        theta: pick(&state.theta, wanted),
        first: pick(&state.first, wanted),
        second: pick(&state.second, wanted),
    };
    let still = |state: &State| {
        let rest = part(state, false);
        wide(&[rest.theta, rest.first, rest.second].concat())
    };
    let mut checks = vec![view.checked("kept", still(found), still(before))];
    let [before, found, expected] = [before, found, expected].map(|state| part(state, true));
    for (output, found, expected) in [
        ("first moment", &found.first, &expected.first),
        ("second moment", &found.second, &expected.second),
    ] {
        if !expected.is_empty() {
            checks.push(view.checked(output, wide(found), wide(expected)));
        }
    }
    checks.push(if found.first.is_empty() {
        gradient(view, update, &before, &found, &expected)
    } else {
        adam_step(view, update, &before, &found)
    });
    checks
}

/// The gradient that a step of SGD or AdaGrad came from.
fn gradient(
    view: &View<'_>,
    update: &Update,
    before: &State,
    found: &State,
    expected: &State,
) -> Checked {
    let of = |state: &State, i: usize| {
        let root = state.second.get(i).map_or(1.0, |sum| f64::from(*sum).sqrt() + EPSILON);
        (moved(update, before.theta[i], state.theta[i]) * root, root)
    };
    let cells = (0..before.theta.len()).map(|i| {
        let (expected_gradient, root) = of(expected, i);
        let slack = root * rounding(update, &[before.theta[i], expected.theta[i]]);
        (toward(of(found, i).0, expected_gradient, slack), expected_gradient)
    });
    let (found, expected) = cells.unzip();
    view.checked("gradient", found, expected)
}

/// Adam's step, beside the one that the moments found call for.
fn adam_step(view: &View<'_>, update: &Update, before: &State, found: &State) -> Checked {
    let (first_up, second_up) = update.correction;
    let cells = (0..before.theta.len()).map(|i| {
        let root = f64::from(found.second[i]).sqrt() * f64::from(second_up) + EPSILON;
        let step = f64::from(found.first[i]) * f64::from(first_up) / root;
        let step = if update.rate == 0.0 { 0.0 } else { step };
        let slack = rounding(update, &[before.theta[i], found.theta[i]]);
        (toward(moved(update, before.theta[i], found.theta[i]), step, slack), step)
    });
    let (found, expected) = cells.unzip();
    view.checked("step", found, expected)
}

/// What was taken off θ, in units of the rate.
fn moved(update: &Update, before: f32, after: f32) -> f64 {
    let change = f64::from(before) * f64::from(update.keep) - f64::from(after);
    if update.rate == 0.0 { change } else { change / f64::from(update.rate) }
}

/// What two roundings of θ may hide of a step, on each side.
fn rounding(update: &Update, thetas: &[f32]) -> f64 {
    let largest = thetas.iter().fold(0.0_f64, |max, &x| max.max(f64::from(x).abs()));
    let hidden = 2.0 * f64::from(f32::EPSILON) * largest;
    if update.rate == 0.0 { hidden } else { hidden / f64::from(update.rate) }
}

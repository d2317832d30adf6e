//! Twin of `head_update`.

use super::rule::{State, stepped};
use super::view::{View, wide};
use crate::compare::Checked;
use crate::kernel::anchor_update::Pull;
use crate::kernel::head_update::{bias_update, lipschitz_update};
use crate::math::exp;

/// Biases, log L, L, Σκ and the loss; of dense rows the metric.
pub(super) fn head_update(view: &View<'_>) -> Vec<Checked> {
    let shape = view.shape;
    let list = view.pair_list();
    let rule = view.rule();
    let learns = view.config.learn.lipschitz && shape.anchors > 1;
    let [before, found] = [
        states(view, view.before("heads"), view.before("head_moments")),
        states(view, view.after("heads"), view.after("head_moments")),
    ];
    let mut expected = before.clone();
    let scores: &[f32] = view.before("scores");
    let mut weighted = vec![0.0; list.n_pairs() * shape.stride];
    for (slot, weighted) in weighted.chunks_exact_mut(shape.stride).enumerate() {
        let channels = weighted.chunks_exact_mut(shape.factors + 1);
        for (channel, a) in channels.zip(&scores[slot * shape.outputs..][..shape.outputs]) {
            channel[shape.factors] = *a;
        }
    }
    let mut scratch = Vec::new();
    let (bias, moments) = expected[0].parts();
    bias_update(shape, &list, &weighted, rule, bias, moments, &mut scratch);
    let pulls = pulls(view, list.n_pairs());
    if learns {
        let (log_lipschitz, moments) = expected[1].parts();
        let mut multipliers = vec![0.0; shape.anchors];
        let l = &mut multipliers;
        lipschitz_update(&list, &pulls, rule, log_lipschitz, l, moments, &mut scratch);
    }
    let mut checks = Vec::new();
    for (i, ((before, found), expected)) in before.iter().zip(&found).zip(&expected).enumerate() {
        checks.extend(stepped(view, &rule, [before, found, expected], |_| i == 0 || learns));
    }
    let [_, log_lipschitz, multipliers] = view.heads(view.after("heads"));
    let twins: Vec<f32> = log_lipschitz.iter().map(|&l| exp(l)).collect();
    checks.push(view.checked("L", wide(&multipliers), wide(&twins)));
    if view.trace.sizes.slopes {
        let sum = |i| pulls[list.span(i)].iter().map(|pull| f64::from(pull.kappa)).sum();
        let expected = (0..shape.anchors).map(sum).collect();
        let found = wide(&view.after::<f32>("kappa_totals")[..shape.anchors]);
        checks.push(view.checked("kappa_totals", found, expected));
    }
    let losses = &view.before::<f32>("row_losses")[..view.rows()];
    let found = view.after::<f32>("step_losses")[view.trace.step.loss_slot as usize];
    let expected = losses.iter().map(|&loss| f64::from(loss)).sum();
    checks.push(view.checked("step_losses", vec![f64::from(found)], vec![expected]));
    if view.steps_metric() {
        checks.extend(super::anchors::metric(view));
    }
    checks
}

/// Biases and log L, each with its memory.
fn states(view: &View<'_>, heads: &[f32], moments: &[[f32; 2]]) -> [State; 2] {
    let (c, rule) = (view.shape.outputs, view.rule());
    let [bias, log_lipschitz, _] = view.heads(heads);
    let rows = || moments.chunks_exact(c + 1).take(view.shape.anchors);
    let of_bias: Vec<[f32; 2]> = rows().flat_map(|row| &row[..c]).copied().collect();
    let of_lipschitz: Vec<[f32; 2]> = rows().map(|row| row[c]).collect();
    [State::new(bias, &of_bias, &rule), State::new(log_lipschitz, &of_lipschitz, &rule)]
}

/// κ and (∂ℓ/∂u)·u by slot; none where nothing is learned of the anchor side.
pub(super) fn pulls(view: &View<'_>, n_pairs: usize) -> Vec<Pull> {
    let rows = view.trace.before.has("pairs").then(|| view.pairs());
    let pulls = view.before::<[f32; 2]>("pulls").iter().take(n_pairs).enumerate();
    let pull = |(slot, &[kappa, log_slope]): (usize, &[f32; 2])| Pull {
        row: rows.map_or(0, |pairs| pairs[slot].row),
        kappa,
        log_slope,
    };
    if view.trace.sizes.slopes { pulls.map(pull).collect() } else { Vec::new() }
}

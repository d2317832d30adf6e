//! Twin of `blend`, training.

use super::view::{Active, RowCode, View, wide};
use crate::compare::Checked;
use crate::config::Loss;
use crate::kernel::blend::{BatchLabels, BatchTargets, Blend};
use crate::kernel::local_coding::Pair;
use crate::kernel::pair_list::RowChunk;

/// ∂ℓ/∂ŷ and loss of each row, coefficients and pulls of each pair.
pub(super) fn blend(view: &View<'_>) -> Vec<Checked> {
    let c = view.shape.outputs;
    let blend = Blend {
        coding: view.config.coding,
        loss: view.config.loss,
        smoothing: view.trace.rates.label_smoothing,
        outputs: c,
        inverse_batch: 1.0 / view.rows() as f32,
        slopes: view.trace.sizes.slopes,
    };
    let targets: &[[u32; 2]] = view.before("targets");
    let (before, after): (&[f32], &[f32]) = (view.before("scores"), view.after("scores"));
    let pulls: &[[f32; 2]] = view.after("pulls");
    let (mut slopes, mut losses, mut coefficients, mut kappas, mut log_slopes) =
        (Vec::new(), Vec::new(), [Vec::new(), Vec::new()], [vec![], vec![]], [vec![], vec![]]);
    for (row, &data_row) in view.order().iter().enumerate() {
        let (mut chunk, active) = coded_row(view, row);
        let [target, weight] = targets[data_row as usize];
        let (value, weight) = (f32::from_bits(target), f32::from_bits(weight));
        let targets = match view.config.loss {
            Loss::Squared => BatchTargets::Values(std::slice::from_ref(&value)),
            _ => BatchTargets::Classes(std::slice::from_ref(&target)),
        };
        let weights = Some(std::slice::from_ref(&weight));
        blend.backward(&mut chunk, before, BatchLabels { targets, weights });
        slopes.extend(wide(&chunk.outputs));
        losses.push(chunk.loss);
        coefficients[1].extend(wide(&chunk.coefficients));
        for (it, slope) in active.iter().zip(&chunk.slopes) {
            let slot = it.slot as usize;
            coefficients[0].extend(wide(&after[slot * c..][..c]));
            if view.trace.sizes.slopes {
                kappas[0].push(f64::from(pulls[slot][0]));
                kappas[1].push(f64::from(slope * it.pull));
                log_slopes[0].push(f64::from(pulls[slot][1]));
                log_slopes[1].push(f64::from(slope * it.u));
            }
        }
    }
    let outputs = wide(&view.after::<f32>("outputs")[..view.rows() * c]);
    let row_losses = wide(&view.after::<f32>("row_losses")[..view.rows()]);
    let [found, expected] = coefficients;
    let mut checks = vec![
        view.checked("outputs", outputs, slopes),
        view.checked("row_losses", row_losses, losses),
        view.checked("scores", found, expected),
    ];
    if view.trace.sizes.slopes {
        let [found, expected] = kappas;
        checks.push(view.checked("pulls", found, expected));
        let [found, expected] = log_slopes;
        checks.push(view.checked("log slopes", found, expected));
    }
    checks
}

/// One row as the CPU blends it, and its active anchors.
fn coded_row<'a>(view: &View<'a>, row: usize) -> (RowChunk, Vec<&'a Active>) {
    let code = view.before::<RowCode>("row_codes")[row];
    let active: &[Active] = view.before("active_anchors");
    let active: Vec<&Active> =
        (0..code.count as usize).map(|rank| &active[rank * view.capacity() + row]).collect();
    let pairs = active.iter().map(|it| Pair {
        anchor: it.anchor,
        slot: it.slot,
        gamma: it.gamma,
        u: it.u,
        ..Pair::default()
    });
    let chunk = RowChunk {
        pairs: pairs.collect(),
        ends: vec![0, code.count],
        normalizers: vec![code.normalizer],
        ..RowChunk::default()
    };
    (chunk, active)
}

//! `fm_score` and `fm_score_csr`.

use super::{after, before, row_of};
use crate::compare::Checked;
use crate::compare::twins::view::View;

/// Vᵀx, w·x, Σx²r and f = b + w·x + ½(‖q‖² − Σx²r) of each (slot of the group, channel).
pub(super) fn fm_score(view: &View<'_>) -> Vec<Checked> {
    let (m, p, c, d) =
        (view.shape.anchors, view.shape.features, view.shape.outputs, view.shape.factors);
    let lanes = 4 * view.trace.sizes.channel_quads;
    let (records, heads) = (before(view, "records"), before(view, "heads"));
    let sparse = view.trace.sizes.sparse;
    let (mut sums, mut own, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for pair in &view.pairs()[view.group_slots()] {
        let (row, i) = (row_of(view, pair.data_row as usize), pair.anchor as usize);
        for channel in 0..c {
            let (mut q, mut linear, mut squares) = (vec![0.0; d], 0.0, 0.0);
            for &(j, x) in &row {
                let record = if sparse { j * m + i } else { i * p + j };
                let at = (record * c + channel) * lanes;
                for f in 0..d {
                    q[f] += x * records[at + f];
                }
                linear += x * records[at + lanes - 2];
                squares += x * x * records[at + lanes - 1];
            }
            let norm: f64 = q.iter().map(|q| q * q).sum();
            scores.push(heads[i * (c + 2) + channel] + linear + 0.5 * (norm - squares));
            sums.extend(q);
            sums.resize(sums.len() + lanes - 2 - d, 0.0);
            sums.push(linear);
            own.push(squares);
        }
    }
    outputs(view, sums, own, scores)
}

fn outputs(view: &View<'_>, sums: Vec<f64>, own: Vec<f64>, scores: Vec<f64>) -> Vec<Checked> {
    let (c, lanes) = (view.shape.outputs, 4 * view.trace.sizes.channel_quads);
    let (writes_sums, writes_scores) = view.trace.writes;
    let mut checks = Vec::new();
    if writes_sums {
        let all = &after(view, "sums")[..own.len() * lanes];
        let found = all.chunks_exact(lanes).flat_map(|sums| &sums[..lanes - 1]).copied().collect();
        checks.push(view.checked("sums", found, sums));
        let found = all.chunks_exact(lanes).map(|sums| sums[lanes - 1]).collect();
        checks.push(view.checked("own sums", found, own));
    }
    if writes_scores {
        let found = after(view, "scores")[view.group_slots().start * c..][..scores.len()].to_vec();
        checks.push(view.checked("scores", found, scores));
    }
    checks
}

//! `anchor_update`, `anchor_update_csr`, `metric_update_csr`, and the metric in `head_update`.

use super::rule::{Cell, Moved, Rates, remainder, stepped};
use super::{after, before, pulls, row_of};
use crate::compare::Checked;
use crate::compare::toward;
use crate::compare::twins::view::View;
use crate::config::Optimizer;

/// A = Σ κ(z − x) and B = Σ κ(x − z)² of an (anchor, feature).
struct Pulled {
    feature: usize,
    /// Of z in `anchors`.
    at: usize,
    /// Of the share of ∂τ in the parts of `metric`.
    part: usize,
    /// A, B and Σ |κ|(x − z)²; `None` where the kernel may not move anything.
    sums: Option<[f64; 3]>,
}

/// Pairs of dense rows.
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let (m, p, pitch) = (view.shape.anchors, view.shape.features, 4 * view.trace.sizes.row_quads);
    let (anchors, pulls) = (before(view, "anchors"), pulls(view));
    let mut all = Vec::new();
    for i in 0..m {
        let mut sums = vec![[0.0; 3]; p];
        let slots = view.starts()[i] as usize..view.starts()[i + 1] as usize;
        for (pair, &[kappa, _]) in view.pairs()[slots.clone()].iter().zip(&pulls[slots]) {
            for (j, x) in row_of(view, pair.data_row as usize) {
                let away = anchors[i * pitch + j] - x;
                sums[j][0] += kappa * away;
                sums[j][1] += kappa * away * away;
                sums[j][2] += kappa.abs() * away * away;
            }
        }
        all.extend(sums.iter().enumerate().map(|(j, sums)| {
            let at = i * pitch + j;
            Pulled { feature: j, at, part: at, sums: Some(*sums) }
        }));
    }
    updated(view, &all)
}

/// The columns of sparse rows; K = Σκ stands for the rows without an entry.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let (anchors, pulls, totals) =
        (before(view, "anchors"), pulls(view), before(view, "kappa_totals"));
    let mut all: Vec<Pulled> =
        (0..m * p).map(|at| Pulled { feature: at / m, at, part: usize::MAX, sums: None }).collect();
    for (column, (j, entries)) in view.columns().into_iter().enumerate() {
        for i in 0..m {
            let z = anchors[j * m + i];
            let mut sums = [totals[i] * z, totals[i] * z * z, totals[i].abs() * z * z];
            for [row, bits] in entries {
                if let Some(slot) = view.slot(i, *row as usize) {
                    let (kappa, x) = (pulls[slot as usize][0], f64::from(f32::from_bits(*bits)));
                    sums[0] -= kappa * x;
                    sums[1] += kappa * x * (x - 2.0 * z);
                    sums[2] += kappa.abs() * x.abs() * (x.abs() + 2.0 * z.abs());
                }
            }
            let cell = &mut all[j * m + i];
            (cell.part, cell.sums) = (column * m + i, Some(sums));
        }
    }
    updated(view, &all)
}

/// ∂z = 2et²A, ∂t = 2etB, and et²B of ∂τ.
fn updated(view: &View<'_>, all: &[Pulled]) -> Vec<Checked> {
    let (p, section) = (view.shape.features, view.trace.sizes.anchor_section());
    let (anchors, metric) = (before(view, "anchors"), before(view, "metric"));
    let (learn, sizes) = (view.config.learn, view.trace.sizes);
    let moved = after(view, "metric");
    let (mut z, mut t, mut parts) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for cell in all {
        let scale = if sizes.has_scales { anchors[section + cell.at] } else { 1.0 };
        let weight = metric[p + cell.feature];
        let e = if sizes.sparse { weight } else { weight * weight };
        let a = cell.sums.filter(|_| learn.anchors).map(|[a, ..]| 2.0 * e * scale * scale * a);
        z.push(anchor_cell(view, cell.at, a));
        if sizes.has_scales {
            let b = cell.sums.filter(|_| learn.scale).map(|[_, b, _]| 2.0 * e * scale * b);
            t.push(anchor_cell(view, section + cell.at, b));
        }
        if let Some([_, b, magnitudes]) = cell.sums.filter(|_| learn.metric) {
            let weight = e * scale * scale;
            // Rows of both classes at one place pull against each other: the terms may cancel.
            let slack = remainder(weight * magnitudes);
            parts.0.push(toward(moved[2 * p + cell.part], weight * b, slack));
            parts.1.push(weight * b);
        }
    }
    let mut checks = stepped(view, Rates::of_anchors(view), &z);
    checks.extend(stepped(view, Rates::plain(view), &t));
    checks.push(view.checked("parts", parts.0, parts.1));
    checks.push(view.checked("kept", moved[..2 * p].to_vec(), metric[..2 * p].to_vec()));
    checks
}

fn anchor_cell(view: &View<'_>, at: usize, gradient: Option<f64>) -> Moved {
    let [before, after] = [&view.trace.before, &view.trace.after]
        .map(|of| cell(view, of.get("anchors"), of.get("anchor_moments"), at));
    Moved { before, after, gradient, hidden: 0.0 }
}

fn cell(view: &View<'_>, theta: &[f32], moments: &[[f32; 2]], at: usize) -> Cell {
    let memory = match view.config.optimizer {
        Optimizer::Sgd => [0.0; 2],
        // What is not learned has no memory.
        _ => moments.get(at).copied().unwrap_or_default(),
    };
    [theta[at], memory[0], memory[1]].map(f64::from)
}

/// ∂τ of dense rows is the sum of the anchors' parts; √e follows.
pub(super) fn metric(view: &View<'_>) -> Vec<Checked> {
    let (p, pitch) = (view.shape.features, 4 * view.trace.sizes.row_quads);
    let parts = &before(view, "metric")[2 * p..];
    let slope = |j: usize| summed((0..view.shape.anchors).map(|i| parts[i * pitch + j]));
    metric_step(view, &(0..p).map(|j| Some(slope(j))).collect::<Vec<_>>(), 0.5)
}

/// The same of the columns of sparse rows, and e.
pub(super) fn metric_csr(view: &View<'_>) -> Vec<Checked> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let parts = &before(view, "metric")[2 * p..];
    let mut slopes = vec![None; p];
    let marks = view.marks();
    for (column, mark) in marks[..marks.len() - 1].iter().enumerate() {
        slopes[mark[0] as usize] = Some(summed(parts[column * m..][..m].iter().copied()));
    }
    metric_step(view, &slopes, 1.0)
}

/// A sum, and that of the magnitudes.
fn summed(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    terms.fold((0.0, 0.0), |(sum, all), x| (sum + x, all + x.abs()))
}

fn metric_step(view: &View<'_>, slopes: &[Option<(f64, f64)>], power: f64) -> Vec<Checked> {
    let p = view.shape.features;
    let (old, new) = (before(view, "metric"), after(view, "metric"));
    let (mut cells, mut weights, mut kept) = (Vec::new(), (vec![], vec![]), (vec![], vec![]));
    for (j, &gradient) in slopes.iter().enumerate() {
        let [before, after] = [&view.trace.before, &view.trace.after]
            .map(|of| cell(view, of.get("metric"), of.get("metric_moments"), j));
        let (gradient, hidden) = match gradient {
            // A metric that scales all distances alike may leave the weights as they are: its
            // parts cancel.
            Some((sum, magnitudes)) => (Some(sum), remainder(magnitudes)),
            None => (None, 0.0),
        };
        cells.push(Moved { before, after, gradient, hidden });
        let (weight, expected, side) = match gradient {
            Some(_) => (new[p + j], (power * new[j]).exp(), &mut weights),
            None => (new[p + j], old[p + j], &mut kept),
        };
        side.0.push(weight);
        side.1.push(expected);
    }
    let mut checks = stepped(view, Rates::plain(view), &cells);
    checks.push(view.checked("weight", weights.0, weights.1));
    checks.push(view.checked("kept", kept.0, kept.1));
    checks
}

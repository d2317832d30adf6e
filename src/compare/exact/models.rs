//! `head_update`, `fm_update` and `fm_update_csr`.

use super::rule::{Cell, Moved, Rates, stepped};
use super::{after, before, pulls, row_of};
use crate::compare::Checked;
use crate::compare::twins::view::View;
use crate::config::Optimizer;

/// ∂b = Σa, ∂ log L = Σ u·∂ℓ/∂u, L = e^log L, K = Σκ and the loss of the step; of dense rows the metric.
pub(super) fn head_update(view: &View<'_>) -> Vec<Checked> {
    let (m, c) = (view.shape.anchors, view.shape.outputs);
    let (scores, slopes) = (before(view, "scores"), view.trace.sizes.slopes);
    let pulls = if slopes { pulls(view) } else { Vec::new() };
    let learns = view.config.learn.lipschitz && m > 1;
    let (mut biases, mut lipschitz, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..m {
        let slots = view.starts()[i] as usize..view.starts()[i + 1] as usize;
        for channel in 0..c {
            let slope = slots.clone().map(|slot| scores[slot * c + channel]).sum();
            biases.push(head(view, i, channel, Some(slope)));
        }
        let sum = |which: usize| slots.clone().map(|slot| pulls[slot][which]).sum::<f64>();
        lipschitz.push(head(view, i, c, learns.then(|| sum(1))));
        if slopes {
            totals.push(sum(0));
        }
    }
    let mut checks = stepped(view, Rates::plain(view), &biases);
    checks.extend(stepped(view, Rates::plain(view), &lipschitz));
    let heads = after(view, "heads");
    let l = |i: usize, lane: usize| heads[i * (c + 2) + c + lane];
    let (found, expected) = (0..m).map(|i| (l(i, 1), l(i, 0).exp())).unzip();
    checks.push(view.checked("L", found, expected));
    let found = after(view, "kappa_totals")[..totals.len()].to_vec();
    checks.push(view.checked("kappa_totals", found, totals));
    let loss = before(view, "row_losses")[..view.rows()].iter().sum();
    let found = after(view, "step_losses")[view.trace.step.loss_slot as usize];
    checks.push(view.checked("step_losses", vec![found], vec![loss]));
    if view.steps_metric() {
        checks.extend(super::anchors::metric(view));
    }
    checks
}

/// A bias or log L.
fn head(view: &View<'_>, anchor: usize, head: usize, gradient: Option<f64>) -> Moved {
    let c = view.shape.outputs;
    let cell = |heads: &[f32], moments: &[[f32; 2]]| -> Cell {
        let memory = match view.config.optimizer {
            Optimizer::Sgd => [0.0; 2],
            _ => moments[anchor * (c + 1) + head],
        };
        [heads[anchor * (c + 2) + head], memory[0], memory[1]].map(f64::from)
    };
    Moved {
        before: cell(view.before("heads"), view.before("head_moments")),
        after: cell(view.after("heads"), view.after("head_moments")),
        gradient,
        hidden: 0.0,
    }
}

/// (row of the batch's slot, x) of every row of an anchor that has the column.
type Terms = Vec<(usize, f64)>;

/// The pairs that move each (anchor, feature); `None` where nothing does.
fn terms(view: &View<'_>) -> Vec<Option<Terms>> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let group = view.trace.group.first_anchor as usize..view.trace.group.end_anchor as usize;
    let mut all = vec![None; m * p];
    if !view.trace.sizes.sparse {
        for i in group {
            all[i * p..(i + 1) * p].fill(Some(Terms::new()));
            for slot in view.starts()[i] as usize..view.starts()[i + 1] as usize {
                for (j, x) in row_of(view, view.pairs()[slot].data_row as usize) {
                    all[i * p + j].as_mut().expect("just made").push((slot, x));
                }
            }
        }
        return all;
    }
    for (j, entries) in view.columns() {
        for i in group.clone() {
            let term = |&[row, bits]: &[u32; 2]| {
                let slot = view.slot(i, row as usize)?;
                Some((slot as usize, f64::from(f32::from_bits(bits))))
            };
            all[i * p + j] = Some(entries.iter().filter_map(term).collect());
        }
    }
    all
}

/// ∂w = Σ a·x and ∂v = Σ a·x·q − v·Σ a·x²; r = ‖v‖².
pub(super) fn fm_update(view: &View<'_>) -> Vec<Checked> {
    let (m, p, c, d) =
        (view.shape.anchors, view.shape.features, view.shape.outputs, view.shape.factors);
    let lanes = 4 * view.trace.sizes.channel_quads;
    let (scores, sums) = (before(view, "scores"), before(view, "sums"));
    let (records, moved) = (before(view, "records"), after(view, "records"));
    let first_slot = view.group_slots().start;
    let (mut cells, mut norms, mut rest) = (Vec::new(), Norms::default(), Norms::default());
    for (place, terms) in terms(view).into_iter().enumerate() {
        let (i, j) = (place / p, place % p);
        let record = if view.trace.sizes.sparse { j * m + i } else { place };
        for channel in 0..c {
            let at = (record * c + channel) * lanes;
            let (mut gradient, mut own) = (vec![0.0; lanes], 0.0);
            for &(slot, x) in terms.iter().flatten() {
                let ax = scores[slot * c + channel] * x;
                let sum = ((slot - first_slot) * c + channel) * lanes;
                (0..d).for_each(|f| gradient[f] += ax * sums[sum + f]);
                gradient[lanes - 2] += ax;
                own += ax * x;
            }
            (0..d).for_each(|f| gradient[f] -= own * records[at + f]);
            for lane in (0..d).chain([lanes - 2]) {
                cells.push(record_cell(view, at + lane, terms.as_ref().map(|_| gradient[lane])));
            }
            rest.padding(view, &moved[at..at + lanes], at);
            if terms.is_some() {
                norms.found.push(moved[at + lanes - 1]);
                norms.expected.push(moved[at..at + d].iter().map(|v| v * v).sum());
            } else {
                rest.found.push(moved[at + lanes - 1]);
                rest.expected.push(records[at + lanes - 1]);
            }
        }
    }
    let mut checks = stepped(view, Rates::of_models(view), &cells);
    checks.push(view.checked("r", norms.found, norms.expected));
    checks.push(view.checked("kept", rest.found, rest.expected));
    checks
}

/// Numbers beside what they should be.
#[derive(Default)]
struct Norms {
    found: Vec<f64>,
    expected: Vec<f64>,
}

impl Norms {
    /// Lanes of a channel that stay zero: between v and w, and in the memory that of r too.
    fn padding(&mut self, view: &View<'_>, channel: &[f64], at: usize) {
        let (d, lanes) = (view.shape.factors, channel.len());
        self.found.extend(&channel[d..lanes - 2]);
        let len = 4 * view.trace.sizes.all_record_quads();
        let moments: &[f32] = view.after("record_moments");
        let sections = match view.config.optimizer {
            Optimizer::Sgd => 0,
            Optimizer::AdaGrad => 1,
            Optimizer::Adam => 2,
        };
        for section in 0..sections {
            let memory = |lane: usize| f64::from(moments[section * len + at + lane]);
            self.found.extend((d..lanes - 2).chain([lanes - 1]).map(memory));
        }
        self.expected.resize(self.found.len(), 0.0);
    }
}

fn record_cell(view: &View<'_>, at: usize, gradient: Option<f64>) -> Moved {
    let len = 4 * view.trace.sizes.all_record_quads();
    let cell = |records: &[f32], moments: &[f32]| -> Cell {
        let memory = match view.config.optimizer {
            Optimizer::Sgd => [0.0; 2],
            Optimizer::AdaGrad => [0.0, moments[at]],
            Optimizer::Adam => [moments[len + at], moments[at]],
        };
        [records[at], memory[0], memory[1]].map(f64::from)
    };
    Moved {
        before: cell(view.before("records"), view.before("record_moments")),
        after: cell(view.after("records"), view.after("record_moments")),
        gradient,
        hidden: 0.0,
    }
}

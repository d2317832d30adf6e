//! `local_coding` and `pair_list`.

use super::before;
use crate::compare::Checked;
use crate::compare::twins::view::{Active, RowCode, SlotPair, View, whole, wide};
use crate::config::Coding;

/// Relative difference of two u between which a fixed number of neighbours may choose freely.
const TIE: f64 = 1e-6;
/// γ below which an anchor may be active or not: its weight is continuous there.
const NO_WEIGHT: f64 = 1e-4;

/// Numbers found and expected.
type Both = (Vec<f64>, Vec<f64>);

/// Distances that it measured, and how it codes them.
pub(super) fn anchor_coding(view: &View<'_>) -> Vec<Checked> {
    [super::distance::dense(view), local_coding(view)].concat()
}

/// γ `[b, m]` with zeros, k, S, u and L·h of the active anchors, and the rows of each anchor.
pub(super) fn local_coding(view: &View<'_>) -> Vec<Checked> {
    let (m, c, capacity) = (view.shape.anchors, view.shape.outputs, view.capacity());
    let (distance, heads) = (wide(view.coded_distances()), before(view, "heads"));
    let (codes, active): (&[RowCode], &[Active]) =
        (view.after("row_codes"), view.after("active_anchors"));
    let sets = view.row_sets(view.after("row_sets"));
    let mut outputs = [(); 5].map(|()| Both::default());
    let [gammas, counts, normalizers, pulls, rows] = &mut outputs;
    for row in 0..view.rows() {
        // A lone anchor's distances are not computed.
        let d = |i: usize| if m == 1 { 0.0 } else { distance[i * capacity + row] };
        let l = |i: usize| heads[i * (c + 2) + c + 1];
        let u: Vec<f64> = (0..m).map(|i| l(i) * d(i)).collect();
        let count = (codes[row].count as usize).min(view.trace.sizes.most_active);
        let found: Vec<&Active> = (0..count).map(|k| &active[k * capacity + row]).collect();
        // Which anchors are hidden is a choice, as the rows are, and not computed again.
        let mut left = Vec::new();
        view.trace.rates.anchor_dropout.leave(row as u32, m, &mut left);
        let left = left.into_iter().map(|i| i as usize).collect();
        let (gamma, normalizer) = code(view, &u, left, &found);
        let mut weights = vec![0.0; m];
        let mut uses = vec![false; m];
        for it in &found {
            let i = it.anchor as usize;
            if i >= m || uses[i] {
                weights[0] = f64::NAN;
                continue;
            }
            weights[i] = f64::from(it.gamma);
            uses[i] = true;
            if m > 1 {
                let single = view.config.coding == Coding::Single;
                let pull = match (single, view.plain()) {
                    (true, _) => 0.0,
                    (_, true) if d(i) < 1e-6 => 0.0,
                    (_, true) => l(i) / (2.0 * d(i)),
                    _ => l(i),
                };
                pulls.0.extend([f64::from(it.u), f64::from(it.pull)]);
                pulls.1.extend([if single { 0.0 } else { u[i] }, pull]);
            }
        }
        let near = |i: usize| gamma[i].max(weights[i]) <= NO_WEIGHT;
        let agrees = (0..m).all(|i| (gamma[i] > 0.0) == uses[i] || near(i));
        let wanted = gamma.iter().filter(|gamma| **gamma > 0.0).count();
        counts.0.push(f64::from(codes[row].count));
        counts.1.push(if agrees { count as f64 } else { wanted as f64 });
        normalizers.0.push(f64::from(codes[row].normalizer));
        normalizers.1.push(normalizer);
        rows.0.extend(whole((0..m).map(|i| u32::from(sets.slot(i, row).is_some()))));
        rows.1.extend(whole(uses.into_iter().map(u32::from)));
        gammas.0.extend(weights);
        gammas.1.extend(gamma);
    }
    let names = ["gamma", "count", "normalizer", "u and pull", "rows"];
    let checks = names.into_iter().zip(outputs);
    checks.map(|(name, (found, expected))| view.checked(name, found, expected)).collect()
}

/// γ of every anchor and S, from u and the anchors that are left to the row.
fn code(view: &View<'_>, u: &[f64], left: Vec<usize>, found: &[&Active]) -> (Vec<f64>, f64) {
    let mut gamma = vec![0.0; u.len()];
    if view.config.coding == Coding::Single {
        gamma[0] = 1.0;
        return (gamma, 1.0);
    }
    let mut nearest = left;
    nearest.sort_by(|&a, &b| u[a].total_cmp(&u[b]));
    let least = u[nearest[0]];
    let t = |i: usize| u[i] - least;
    if view.config.coding == Coding::Adaptive {
        // λ grows by one neighbour as long as it stays above the next one's t.
        let mut k = 1;
        let lambda = |k: usize| {
            let (sum, squares) = nearest[..k]
                .iter()
                .fold((0.0, 0.0), |(sum, squares), &i| (sum + t(i), squares + t(i) * t(i)));
            let k = k as f64;
            (sum + (k + sum * sum - k * squares).max(0.0).sqrt()) / k
        };
        while k < nearest.len() && lambda(k) > t(nearest[k]) {
            k += 1;
        }
        let mu = lambda(k);
        let sum: f64 = nearest[..k].iter().map(|&i| mu - t(i)).sum();
        nearest[..k].iter().for_each(|&i| gamma[i] = (mu - t(i)) / sum);
        return (gamma, sum);
    }
    let k = view.config.neighbors.min(nearest.len());
    let edge = u[nearest[k - 1]];
    let is_tied = |i: usize| (u[i] - edge).abs() <= TIE * edge;
    let is_found = |i: usize| found.iter().any(|it| it.anchor as usize == i);
    // Of equals at the edge, those found come first.
    nearest.sort_by_key(|&i| (!is_tied(i) && u[i] > edge, is_tied(i), is_tied(i) && !is_found(i)));
    let weight = |i: usize| match view.config.coding {
        Coding::Soft => (-t(i)).exp(),
        _ => 1.0 / (u[i] + 1e-6),
    };
    let sum: f64 = nearest[..k].iter().map(|&i| weight(i)).sum();
    nearest[..k].iter().for_each(|&i| gamma[i] = weight(i) / sum);
    (gamma, sum)
}

/// (anchor, row, rank) of every pair, in the order of the slots.
fn coded(view: &View<'_>) -> Vec<(usize, usize, usize)> {
    let codes: &[RowCode] = view.before("row_codes");
    let active: &[Active] = view.before("active_anchors");
    let ranks = |row: usize| (0..codes[row].count as usize).map(move |rank| (row, rank));
    let mut pairs: Vec<(usize, usize, usize)> = (0..view.rows())
        .flat_map(ranks)
        .map(|(row, rank)| (active[rank * view.capacity() + row].anchor as usize, row, rank))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// Where each anchor's pairs begin, the pairs, their slots, and the sums over the steps.
pub(super) fn pair_list(view: &View<'_>) -> Vec<Checked> {
    let (m, capacity, order) = (view.shape.anchors, view.capacity(), view.order());
    let (active, pairs): (&[Active], &[SlotPair]) =
        (view.after("active_anchors"), view.after("pairs"));
    let [old, new]: [&[[u32; 2]]; 2] = [view.before("anchor_totals"), view.after("anchor_totals")];
    let number = |total: &[u32; 2]| f64::from(f32::from_bits(total[1]));
    let mut gammas: Vec<f64> = old[..m].iter().map(number).collect();
    let (mut starts, mut cells) = (vec![0; m + 1], Both::default());
    let mut slots = vec![u32::MAX; m * view.rows()];
    for (slot, (i, row, rank)) in coded(view).into_iter().enumerate() {
        starts[i + 1..].iter_mut().for_each(|start| *start += 1);
        let (pair, it) = (&pairs[slot], &active[rank * capacity + row]);
        cells.0.extend(whole([pair.row, pair.data_row, pair.anchor, it.slot, it.anchor]));
        cells.1.extend(whole([row as u32, order[row], i as u32, slot as u32, i as u32]));
        slots[i * view.rows() + row] = slot as u32;
        gammas[i] += f64::from(it.gamma);
    }
    let sets = view.row_sets(view.after("row_sets"));
    let found = (0..m).flat_map(|i| (0..view.rows()).map(move |row| (i, row)));
    let found = found.map(|(i, row)| sets.slot(i, row).unwrap_or(u32::MAX));
    let found_starts = whole(view.after::<u32>("starts")[..=m].iter().copied());
    let totals = (0..m).map(|i| old[i][0] + starts[i + 1] - starts[i]);
    vec![
        view.checked("total pairs", whole(new[..m].iter().map(|total| total[0])), whole(totals)),
        view.checked("total gamma", new[..m].iter().map(number).collect(), gammas),
        view.checked("starts", found_starts, whole(starts.iter().copied())),
        view.checked("pairs", cells.0, cells.1),
        view.checked("slots", whole(found), whole(slots)),
    ]
}

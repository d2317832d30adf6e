//! Twins of `anchor_update`, `anchor_update_csr`, `metric_update_csr`, and of the metric in `head_update`.

use super::heads::pulls;
use super::models::{OneColumn, slotted_rows};
use super::rule::{State, stepped};
use super::view::{View, wide};
use crate::compare::Checked;
use crate::config::Learn;
use crate::kernel::ROW_CHUNK;
use crate::kernel::anchor_update::{AnchorRates, AnchorRow, AnchorScratch, anchor_update};
use crate::kernel::anchor_update_csr::{AnchorColumns, Pulled, anchor_update_csr};
use crate::kernel::fm_update_csr::{ColumnBatch, ColumnScratch, Entry};
use crate::kernel::head_update::metric_update;
use crate::math::exp;
use crate::optimizer::{MomentsMut, Update};

/// z and t, each with its memory; t is empty where there are no scales.
struct Sides {
    z: State,
    t: State,
}

impl Sides {
    /// Rows of `width` on the device, padded to `stride`.
    fn new(view: &View<'_>, after: bool, width: usize, stride: usize) -> Self {
        let snapshot = if after { &view.trace.after } else { &view.trace.before };
        let cells: &[f32] = snapshot.get("anchors");
        // What is not learned has no memory.
        let mut moments = snapshot.get::<[f32; 2]>("anchor_moments").to_vec();
        moments.resize(cells.len(), [0.0; 2]);
        let section = view.trace.sizes.anchor_section();
        let side = |first: usize, update: Update| {
            let span = first..first + section;
            let theta = padded(&cells[span.clone()], width, stride);
            State::new(theta, &padded(&moments[span], width, stride), &update)
        };
        let t = view.trace.sizes.has_scales.then(|| side(section, view.rule()));
        Self { z: side(0, view.anchor_rule()), t: t.unwrap_or_default() }
    }

    /// Checks of both; `live` tells the elements that the kernel may move.
    fn checked(
        view: &View<'_>,
        [before, found, expected]: [&Self; 3],
        live: impl Fn(usize) -> bool,
    ) -> Vec<Checked> {
        let learn = view.config.learn;
        let z = [&before.z, &found.z, &expected.z];
        let mut checks = stepped(view, &view.anchor_rule(), z, |at| learn.anchors && live(at));
        if view.trace.sizes.has_scales {
            let t = [&before.t, &found.t, &expected.t];
            checks.extend(stepped(view, &view.rule(), t, |at| learn.scale && live(at)));
        }
        checks
    }
}

fn padded<T: Copy + Default>(cells: &[T], width: usize, stride: usize) -> Vec<T> {
    let mut out = vec![T::default(); cells.len() / width * stride];
    for (out, row) in out.chunks_exact_mut(stride).zip(cells.chunks_exact(width)) {
        let width = width.min(stride);
        out[..width].copy_from_slice(&row[..width]);
    }
    out
}

fn rates(view: &View<'_>, learn: Learn) -> AnchorRates {
    AnchorRates { learn, anchors: view.anchor_rule(), rest: view.rule() }
}

/// Anchors, scales and parts of the metric's gradient, dense rows.
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let (shape, p, stride) = (view.shape, view.shape.features, view.shape.row_stride());
    let pitch = 4 * view.trace.sizes.row_quads;
    let list = view.pair_list();
    let rows = view.dense_rows(view.pairs().iter().map(|pair| (pair.row, pair.data_row)));
    let pulls = pulls(view, list.n_pairs());
    let root = padded(&view.before::<f32>("metric")[p..2 * p], p, stride);
    let before = Sides::new(view, false, pitch, stride);
    let mut expected = Sides::new(view, false, pitch, stride);
    let mut parts = vec![0.0; shape.anchors * stride];
    let mut scratch = AnchorScratch::default();
    let (z, mut z_moments) = expected.z.parts();
    let (t, mut t_moments) = expected.t.parts();
    let mut scales = t.chunks_exact_mut(stride);
    let anchors = z.chunks_exact_mut(stride).zip(parts.chunks_exact_mut(stride));
    for (i, (anchor, part)) in anchors.enumerate() {
        let row = AnchorRow {
            anchor,
            anchor_moments: z_moments.take(stride),
            scale: scales.next(),
            scale_moments: t_moments.take(stride),
            metric_gradient: Some(part),
        };
        let rates = rates(view, view.config.learn);
        anchor_update(shape, &rows, &pulls[list.span(i)], &root, row, rates, &mut scratch);
    }
    let found = Sides::new(view, true, pitch, stride);
    let mut checks = Sides::checked(view, [&before, &found, &expected], |at| at % stride < p);
    if view.config.learn.metric {
        let metric: &[f32] = &view.after("metric")[2 * p..];
        let live = |cells: &[f32], pitch: usize| {
            let rows = cells.chunks_exact(pitch).take(shape.anchors);
            wide(&rows.flat_map(|row| &row[..p]).copied().collect::<Vec<f32>>())
        };
        checks.push(view.checked("parts", live(metric, pitch), live(&parts, stride)));
    }
    checks.push(unmoved_metric(view));
    checks
}

/// The same, sparse rows.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (shape, p, m) = (view.shape, view.shape.features, view.shape.anchors);
    let width = shape.anchor_stride();
    let chunks = slotted_rows(view, 0);
    let kappas: Vec<f32> =
        pulls(view, view.trace.sizes.most_pairs()).iter().map(|pull| pull.kappa).collect();
    let totals = &view.before::<f32>("kappa_totals")[..m];
    let batch = ColumnBatch { shape, chunks: &chunks, weighted: &[] };
    let pulled = Pulled { kappas: &kappas, totals };
    let before = Sides::new(view, false, m, width);
    let mut expected = Sides::new(view, false, m, width);
    // The metric is stepped by a kernel of its own here.
    let learn = Learn { metric: false, ..view.config.learn };
    let mut present = vec![false; p];
    let mut scratch = ColumnScratch::default();
    let mut parts = Vec::new();
    for (column, entries) in view.columns() {
        present[column] = true;
        let one = OneColumn::new(column, entries);
        let mut e = view.before::<f32>("metric")[p + column];
        let (z, z_moments) = chunk(&mut expected.z, column, width);
        let (t, t_moments) = chunk(&mut expected.t, column, width);
        let cells = AnchorColumns {
            anchors: z,
            anchor_moments: z_moments,
            scales: view.trace.sizes.has_scales.then_some(t),
            scale_moments: t_moments,
            log_metric: &mut [0.0],
            metric: std::slice::from_mut(&mut e),
            metric_moments: MomentsMut::default(),
            base: &mut vec![0.0; m],
        };
        let rates = rates(view, learn);
        anchor_update_csr(batch, one.columns(), pulled, cells, rates, &mut scratch);
        parts.extend(metric_parts(view, column, &before, &batch, &one.entries, &kappas));
    }
    let found = Sides::new(view, true, m, width);
    let live = |at: usize| at % width < m && present[at / width];
    let mut checks = Sides::checked(view, [&before, &found, &expected], live);
    if view.config.learn.metric {
        let found = wide(&view.after::<f32>("metric")[2 * p..][..parts.len()]);
        checks.push(view.checked("parts", found, parts));
    }
    checks.push(unmoved_metric(view));
    checks
}

/// The cells of one column.
fn chunk(state: &mut State, column: usize, width: usize) -> (&mut [f32], MomentsMut<'_>) {
    let (theta, moments) = state.parts();
    let span = column * width..(column + 1) * width;
    // No scales, no cells.
    let cells = if theta.is_empty() { 0..0 } else { span.clone() };
    (&mut theta[cells], moments.into_part(span))
}

/// et²B of each anchor, B = Σ κ(x − z)², in f64: the CPU kernel keeps only their sum.
fn metric_parts(
    view: &View<'_>,
    column: usize,
    before: &Sides,
    batch: &ColumnBatch<'_>,
    entries: &[Entry],
    kappas: &[f32],
) -> Vec<f64> {
    let (m, width) = (view.shape.anchors, view.shape.anchor_stride());
    let z = &before.z.theta[column * width..][..m];
    let totals = &view.before::<f32>("kappa_totals")[..m];
    let mut spread: Vec<f64> =
        z.iter().zip(totals).map(|(&z, &k)| f64::from(k) * f64::from(z).powi(2)).collect();
    for entry in entries {
        let chunk = &batch.chunks[entry.row as usize / ROW_CHUNK];
        for pair in &chunk.pairs[chunk.span(entry.row as usize % ROW_CHUNK)] {
            let (x, i) = (f64::from(entry.value), pair.anchor as usize);
            let kappa = f64::from(kappas[pair.slot as usize]);
            spread[i] += kappa * x * (x - 2.0 * f64::from(z[i]));
        }
    }
    let e = f64::from(view.before::<f32>("metric")[view.shape.features + column]);
    let t = |i: usize| before.t.theta.get(column * width + i).map_or(1.0, |&t| f64::from(t));
    spread.iter().enumerate().map(|(i, spread)| e * t(i).powi(2) * spread).collect()
}

/// τ and the weight are the metric kernels' to write.
fn unmoved_metric(view: &View<'_>) -> Checked {
    let p = view.shape.features;
    let [before, after]: [&[f32]; 2] = [view.before("metric"), view.after("metric")];
    view.checked("kept", wide(&after[..2 * p]), wide(&before[..2 * p]))
}

/// τ and √e of dense rows.
pub(super) fn metric(view: &View<'_>) -> Vec<Checked> {
    let p = view.shape.features;
    let pitch = 4 * view.trace.sizes.row_quads;
    let parts = &view.before::<f32>("metric")[2 * p..][..view.shape.anchors * pitch];
    let parts: Vec<f32> = parts.chunks_exact(pitch).flat_map(|row| &row[..p]).copied().collect();
    let columns: Vec<usize> = (0..p).collect();
    metric_step(view, &columns, &parts, 0.5)
}

/// τ and e of the batch's columns, sparse rows.
pub(super) fn metric_of_columns(view: &View<'_>) -> Vec<Checked> {
    let (p, m) = (view.shape.features, view.shape.anchors);
    let columns: Vec<usize> = view.marks().iter().map(|mark| mark[0] as usize).collect();
    let columns = &columns[..columns.len() - 1];
    let parts = &view.before::<f32>("metric")[2 * p..];
    let by_anchor = (0..m).flat_map(|i| (0..columns.len()).map(move |slot| parts[slot * m + i]));
    metric_step(view, columns, &by_anchor.collect::<Vec<f32>>(), 1.0)
}

fn metric_step(view: &View<'_>, columns: &[usize], parts: &[f32], power: f32) -> Vec<Checked> {
    let (p, rule) = (view.shape.features, view.rule());
    let state = |metric: &[f32], moments: &[[f32; 2]]| {
        let theta = columns.iter().map(|&j| metric[j]).collect();
        let moments: Vec<[f32; 2]> = columns.iter().map(|&j| moments[j]).collect();
        State::new(theta, &moments, &rule)
    };
    let before = state(view.before("metric"), view.before("metric_moments"));
    let found = state(view.after("metric"), view.after("metric_moments"));
    let mut expected = before.clone();
    let (tau, moments) = expected.parts();
    let mut weight = vec![0.0; columns.len()];
    metric_update(parts, rule, power, tau, &mut weight, moments, &mut Vec::new());
    let mut checks = stepped(view, &rule, [&before, &found, &expected], |_| true);
    let [old, new]: [&[f32]; 2] = [view.before("metric"), view.after("metric")];
    // The weight follows from the τ that was found.
    let twins: Vec<f32> = new[..p].iter().map(|&tau| exp(power * tau)).collect();
    checks.push(view.checked("weight", wide(&new[p..2 * p]), wide(&twins)));
    let mut still = vec![true; p];
    columns.iter().for_each(|&j| still[j] = false);
    let rest = |metric: &[f32], moments: &[[f32; 2]]| {
        let cells = (0..p).filter(|&j| still[j]);
        wide(&cells.flat_map(|j| [metric[j], moments[j][0], moments[j][1]]).collect::<Vec<f32>>())
    };
    let found = rest(new, view.after("metric_moments"));
    checks.push(view.checked("kept", found, rest(old, view.before("metric_moments"))));
    checks
}

//! Gradient and optimizer step of anchors, metric and scales, sparse rows: columns of the batch.
//!
//! Over an anchor's pairs κ sums to K, and over those of the rows that have column j, κx to M and
//! κx² to N. Then Σ κ(z − x) = Kz − M and Σ κ(x − z)² = N − 2zM + Kz², whatever the zeros.
//! Columns absent from the batch keep their values (lazy).
//!
//! One task a run of columns, the only writer of their z, t `[m]` and τ; it returns how much each
//! moved an anchor's Σ et²z². O(entries·k + m).

use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::ROW_CHUNK;
use crate::kernel::Shape;
use crate::kernel::anchor_update::AnchorRates;
use crate::kernel::fm_update_csr::{ColumnBatch, ColumnScratch, Columns, Entry};
use crate::optimizer::MomentsMut;
use crate::simd::vectorized;

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "anchor_update_csr",
    "anchor_update_csr",
    ["step", "pair", "optimizer"],
    |sizes, step, _| workgroups(step.n_columns as usize * sizes.anchors)
);

/// The shader of the metric's own step, and its workgroups.
pub(crate) const METRIC_SHADER: Shader = shader!(
    "metric_update_csr",
    "metric_update_csr",
    ["step", "math", "optimizer"],
    |_, step, _| workgroups(step.n_columns as usize)
);

/// Some columns of the anchor side, to be moved.
pub(crate) struct AnchorColumns<'a> {
    /// z `[columns, anchor_stride]`.
    pub(crate) anchors: &'a mut [f32],
    pub(crate) anchor_moments: MomentsMut<'a>,
    /// t `[columns, anchor_stride]`, where scales are kept.
    pub(crate) scales: Option<&'a mut [f32]>,
    pub(crate) scale_moments: MomentsMut<'a>,
    /// τ and e = exp(τ) `[columns]`.
    pub(crate) log_metric: &'a mut [f32],
    pub(crate) metric: &'a mut [f32],
    pub(crate) metric_moments: MomentsMut<'a>,
    /// Change of Σ et²z² of each anchor `[present columns, m]`.
    pub(crate) base: &'a mut [f64],
}

/// What pulls on the anchors: κ by slot, K `[m]`.
#[derive(Clone, Copy)]
pub(crate) struct Pulled<'a> {
    pub(crate) kappas: &'a [f32],
    pub(crate) totals: &'a [f32],
}

/// Steps some columns.
pub(crate) fn anchor_update_csr(
    batch: ColumnBatch<'_>,
    columns: Columns<'_>,
    pulled: Pulled<'_>,
    mut cells: AnchorColumns<'_>,
    rates: AnchorRates,
    scratch: &mut ColumnScratch,
) {
    let (m, width) = (batch.shape.anchors, batch.shape.anchor_stride());
    vectorized(
        #[inline(always)]
        || {
            let bases = std::mem::take(&mut cells.base).chunks_exact_mut(m);
            for ((at, entries), base) in columns.iter().zip(bases) {
                column_moments(batch, entries, pulled.kappas, scratch);
                let span = at * width..at * width + m;
                let column = Column {
                    anchors: &mut cells.anchors[span.clone()],
                    anchor_moments: cells.anchor_moments.part(span.clone()),
                    scales: cells.scales.as_mut().map(|t| &mut t[span.clone()]),
                    scale_moments: cells.scale_moments.part(span),
                    log_metric: &mut cells.log_metric[at],
                    metric: &mut cells.metric[at],
                    metric_moments: cells.metric_moments.part(at..at + 1),
                    base,
                };
                step_column(column, pulled.totals, rates, scratch);
            }
        },
    );
}

/// One of the columns; fields as there, `[m]`.
struct Column<'a> {
    anchors: &'a mut [f32],
    anchor_moments: MomentsMut<'a>,
    scales: Option<&'a mut [f32]>,
    scale_moments: MomentsMut<'a>,
    log_metric: &'a mut f32,
    metric: &'a mut f32,
    metric_moments: MomentsMut<'a>,
    base: &'a mut [f64],
}

/// Steps one column along the gradient of its moments.
#[inline(always)]
fn step_column(
    column: Column<'_>,
    totals: &[f32],
    rates: AnchorRates,
    scratch: &mut ColumnScratch,
) {
    let ColumnScratch { gradient, own } = scratch;
    let Column { anchors, anchor_moments, mut scales, scale_moments, base, .. } = column;
    let (m, e) = (anchors.len(), *column.metric);
    let t_of = |t: &Option<&mut [f32]>, i: usize| t.as_ref().map_or(1.0, |t| t[i]);
    let part = |z: f32, t: f32, e: f32| f64::from(e * t * t) * f64::from(z) * f64::from(z);
    let mut metric_gradient = 0.0;
    for i in 0..m {
        let (z, t) = (anchors[i], t_of(&scales, i));
        let (first, second, total) = (gradient[i], own[i], totals[i]);
        let away = total.mul_add(z, -first);
        let spread = total.mul_add(z * z, (-2.0 * z).mul_add(first, second));
        base[i] = 0.0 - part(z, t, e);
        metric_gradient += e * t * t * spread;
        gradient[i] = 2.0 * e * t * t * away;
        own[i] = 2.0 * e * t * spread;
    }
    if rates.learn.anchors {
        rates.anchors.apply(anchors, gradient, anchor_moments);
    }
    if let (true, Some(t)) = (rates.learn.scale, &mut scales) {
        rates.rest.apply(t, own, scale_moments);
    }
    if rates.learn.metric {
        let tau = std::slice::from_mut(column.log_metric);
        rates.rest.apply(tau, &[metric_gradient], column.metric_moments);
        *column.metric = crate::math::exp(*column.log_metric);
    }
    for i in 0..m {
        base[i] += part(anchors[i], t_of(&scales, i), *column.metric);
    }
}

/// M and N of every anchor.
#[inline(always)]
fn column_moments(
    batch: ColumnBatch<'_>,
    entries: &[Entry],
    kappas: &[f32],
    scratch: &mut ColumnScratch,
) {
    let Shape { anchors: m, .. } = batch.shape;
    for sums in [&mut scratch.gradient, &mut scratch.own] {
        sums.clear();
        sums.resize(m, 0.0);
    }
    for entry in entries {
        let chunk = &batch.chunks[entry.row as usize / ROW_CHUNK];
        for pair in &chunk.pairs[chunk.span(entry.row as usize % ROW_CHUNK)] {
            let weighed = kappas[pair.slot as usize] * entry.value;
            scratch.gradient[pair.anchor as usize] += weighed;
            scratch.own[pair.anchor as usize] += weighed * entry.value;
        }
    }
}

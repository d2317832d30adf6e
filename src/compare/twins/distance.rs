//! Twins of `anchor_distance`, `anchor_norm_csr` and `anchor_distance_csr`.

use super::view::{View, wide};
use crate::compare::Checked;
use crate::kernel::anchor_distance::{Lenses, anchor_distance};
use crate::kernel::anchor_distance_csr::{ColumnAnchors, anchor_distance_csr};

/// Distances of dense rows.
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let shape = view.shape;
    let rows = view.dense_rows((0..).zip(view.order().iter().copied()));
    let anchors: &[f32] = view.before("anchors");
    let pitch = 4 * view.trace.sizes.row_quads;
    let section = view.trace.sizes.anchor_section();
    let padded = |cells: &[f32]| {
        let mut out = vec![0.0; shape.anchors * shape.row_stride()];
        for (out, row) in out.chunks_exact_mut(shape.row_stride()).zip(cells.chunks_exact(pitch)) {
            out[..shape.features].copy_from_slice(&row[..shape.features]);
        }
        out
    };
    let scales = view.trace.sizes.has_scales.then(|| padded(&anchors[section..]));
    let root = &view.before::<f32>("metric")[shape.features..2 * shape.features];
    let mut lenses = Lenses::new(shape, scales.is_some());
    for block in lenses.blocks(shape) {
        block.refresh(shape, &padded(anchors), root, scales.as_deref());
    }
    let mut out = vec![0.0; view.rows() * shape.anchor_stride()];
    anchor_distance(shape, &lenses, &rows, view.plain(), &mut Vec::new(), &mut out);
    vec![distances(view, &out)]
}

/// Σⱼ eⱼtᵢⱼ²zᵢⱼ² of each anchor, however it was cut into parts.
pub(super) fn norms(view: &View<'_>) -> Vec<Checked> {
    let (m, parts) = (view.shape.anchors, crate::backend::gpu::sizes::NORM_PARTS);
    let anchors: &[f32] = view.before("anchors");
    let metric = &view.before::<f32>("metric")[view.shape.features..];
    let section = view.trace.sizes.anchor_section();
    let mut expected = vec![0.0; m];
    for (j, e) in metric[..view.shape.features].iter().enumerate() {
        for (i, sum) in expected.iter_mut().enumerate() {
            let at = j * m + i;
            let t = if view.trace.sizes.has_scales { anchors[section + at] } else { 1.0 };
            *sum += f64::from(*e) * (f64::from(t) * f64::from(anchors[at])).powi(2);
        }
    }
    let found = view.after::<f32>("norm_parts").chunks_exact(parts).take(m);
    let found = found.map(|parts| wide(parts).iter().sum()).collect();
    vec![view.checked("norm_parts", found, expected)]
}

/// Distances of sparse rows.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (shape, m, width) = (view.shape, view.shape.anchors, view.shape.anchor_stride());
    let rows = view.sparse_rows(view.order().iter().copied());
    let cells: &[f32] = view.before("anchors");
    let section = view.trace.sizes.anchor_section();
    let padded = |cells: &[f32]| {
        let mut out = vec![0.0; shape.features * width];
        for (out, row) in out.chunks_exact_mut(width).zip(cells.chunks_exact(m)) {
            out[..m].copy_from_slice(row);
        }
        out
    };
    let norms = view.before::<f32>("norm_parts").chunks_exact(64).take(m);
    let base: Vec<f64> = norms.map(|parts| wide(parts).iter().sum()).collect();
    let scales = view.trace.sizes.has_scales.then(|| padded(&cells[section..]));
    let anchors = ColumnAnchors {
        anchors: &padded(&cells[..section]),
        scales: scales.as_deref(),
        metric: &view.before::<f32>("metric")[shape.features..2 * shape.features],
        base: &base,
    };
    let mut out = vec![0.0; view.rows() * width];
    let rows = (0..view.rows()).map(|r| rows.row(r));
    anchor_distance_csr(shape, anchors, rows, view.plain(), &mut out);
    vec![distances(view, &out)]
}

/// `[m, capacity]` beside `[b, anchor_stride]`.
fn distances(view: &View<'_>, out: &[f32]) -> Checked {
    let (m, width) = (view.shape.anchors, view.shape.anchor_stride());
    let found: &[f32] = view.after("distance");
    let cells = || (0..view.rows()).flat_map(|r| (0..m).map(move |i| (r, i)));
    let found = cells().map(|(r, i)| f64::from(found[i * view.capacity() + r])).collect();
    let expected = cells().map(|(r, i)| f64::from(out[r * width + i])).collect();
    view.checked("distance", found, expected)
}

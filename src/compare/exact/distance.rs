//! `anchor_distance`, `anchor_norm_csr` and `anchor_distance_csr`.

use super::{after, before, row_of};
use crate::compare::Checked;
use crate::compare::twins::view::View;

/// Σⱼ (t√e)²(x − z)².
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let (pitch, section) = (4 * view.trace.sizes.row_quads, view.trace.sizes.anchor_section());
    let (anchors, metric) = (before(view, "anchors"), before(view, "metric"));
    let cell = |row: usize, i: usize| {
        let squares = row_of(view, row).into_iter().map(|(j, x)| {
            let at = i * pitch + j;
            let t = if view.trace.sizes.has_scales { anchors[section + at] } else { 1.0 };
            (t * metric[p + j] * (x - anchors[at])).powi(2)
        });
        squares.sum::<f64>()
    };
    vec![distances(view, m, cell)]
}

/// Σⱼ e(tz)² of the columns of each part: those whose number over 64 leaves the part modulo 64.
pub(super) fn norms(view: &View<'_>) -> Vec<Checked> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let (anchors, metric) = (before(view, "anchors"), before(view, "metric"));
    let mut expected = vec![0.0; m * 64];
    for i in 0..m {
        for j in 0..p {
            let t = scale(view, &anchors, j * m + i);
            expected[i * 64 + j / 64 % 64] += metric[p + j] * (t * anchors[j * m + i]).powi(2);
        }
    }
    let found = after(view, "norm_parts")[..m * 64].to_vec();
    vec![view.checked("norm_parts", found, expected)]
}

/// The norm, and what the row's entries change of it.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (m, p) = (view.shape.anchors, view.shape.features);
    let (anchors, metric) = (before(view, "anchors"), before(view, "metric"));
    let parts = before(view, "norm_parts");
    let cell = |row: usize, i: usize| {
        let mut sum: f64 = parts[i * 64..(i + 1) * 64].iter().sum();
        for (j, x) in row_of(view, row) {
            let t = scale(view, &anchors, j * m + i);
            sum += metric[p + j] * t * t * x * (x - 2.0 * anchors[j * m + i]);
        }
        sum.max(0.0)
    };
    vec![distances(view, m, cell)]
}

fn scale(view: &View<'_>, anchors: &[f64], at: usize) -> f64 {
    if view.trace.sizes.has_scales { anchors[view.trace.sizes.anchor_section() + at] } else { 1.0 }
}

fn distances(view: &View<'_>, m: usize, cell: impl Fn(usize, usize) -> f64) -> Checked {
    let all = after(view, "distance");
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (r, &row) in view.order().iter().enumerate() {
        for i in 0..m {
            let squared = cell(row as usize, i);
            found.push(all[i * view.capacity() + r]);
            expected.push(if view.plain() { squared.sqrt() } else { squared });
        }
    }
    view.checked("distance", found, expected)
}

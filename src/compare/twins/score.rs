//! Twins of `fm_score` and `fm_score_csr`.

use super::models::Layout;
use super::view::{View, wide};
use crate::compare::Checked;
use crate::kernel::fm_score::{FEATURE_BLOCK, LocalModel, fm_score};
use crate::kernel::fm_score_csr::{Model, fm_score_csr};
use crate::kernel::fm_update::ChannelOrder;

/// Sums and scores of the group's pairs, dense rows.
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let (shape, layout) = (view.shape, Layout::of(view));
    let pairs = view.pairs();
    let rows = view.dense_rows(pairs.iter().map(|pair| (pair.row, pair.data_row)));
    let device: &[f32] = view.before("records");
    let (records, squares) = (layout.pack(device), squares(view, device));
    let [bias, ..] = view.heads(view.before("heads"));
    let mut cells = Cells::new(view);
    for i in view.trace.group.first_anchor as usize..view.trace.group.end_anchor as usize {
        let slots = view.starts()[i] as usize..view.starts()[i + 1] as usize;
        let pair_rows: Vec<u32> = pairs[slots.clone()].iter().map(|pair| pair.row).collect();
        let record = shape.features * shape.stride;
        let model = LocalModel {
            bias: &bias[i * shape.outputs..][..shape.outputs],
            records: &records[i * record..][..record],
            squares: &squares[i * ChannelOrder::FIRST.len(shape)..]
                [..ChannelOrder::FIRST.len(shape)],
        };
        let (sums, scores) = cells.of(view, slots);
        fm_score(shape, model, &rows, &pair_rows, sums, scores);
    }
    let place = |anchor: usize, feature: usize| anchor * shape.features + feature;
    let own = own_sums(view, |slot| {
        let (row, anchor) = (pairs[slot].row as usize, pairs[slot].anchor as usize);
        let row = &rows[row * shape.row_stride()..][..shape.features];
        row.iter().enumerate().map(|(j, &x)| (place(anchor, j), x)).collect()
    });
    cells.checked(view, &own)
}

/// The same, sparse rows.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (shape, layout) = (view.shape, Layout::of(view));
    let pairs = view.pairs();
    let rows = view.sparse_rows(pairs.iter().map(|pair| pair.data_row));
    let records = layout.pack(view.before("records"));
    let [bias, ..] = view.heads(view.before("heads"));
    let mut cells = Cells::new(view);
    for i in view.trace.group.first_anchor as usize..view.trace.group.end_anchor as usize {
        let slots = view.starts()[i] as usize..view.starts()[i + 1] as usize;
        let bias = &bias[i * shape.outputs..][..shape.outputs];
        let (sums, scores) = cells.of(view, slots.clone());
        let model = Model { shape, anchor: i, bias, records: &records };
        let rows = slots.map(|slot| rows.row(slot));
        fm_score_csr(model, rows, sums, scores, &mut Vec::new());
    }
    let own = own_sums(view, |slot| {
        let (columns, values) = rows.row(slot);
        let place = |&j: &u32| j as usize * shape.anchors + pairs[slot].anchor as usize;
        columns.iter().map(place).zip(values.iter().copied()).collect()
    });
    cells.checked(view, &own)
}

/// What the CPU kernel writes.
struct Cells {
    /// `[slots of the group, stride]`.
    sums: Vec<f32>,
    /// `[slots of the group, C]`.
    scores: Vec<f32>,
}

impl Cells {
    fn new(view: &View<'_>) -> Self {
        let n = view.group_slots().len();
        Self { sums: vec![0.0; n * view.shape.stride], scores: vec![0.0; n * view.shape.outputs] }
    }

    fn of(&mut self, view: &View<'_>, slots: std::ops::Range<usize>) -> (&mut [f32], &mut [f32]) {
        let (first, n) = (slots.start - view.group_slots().start, slots.len());
        let (stride, outputs) = (view.shape.stride, view.shape.outputs);
        (
            &mut self.sums[first * stride..][..n * stride],
            &mut self.scores[first * outputs..][..n * outputs],
        )
    }

    /// `own` is Σⱼ xⱼ²rⱼ of each (slot, channel).
    fn checked(&self, view: &View<'_>, own: &[f64]) -> Vec<Checked> {
        let (shape, layout, slots) = (view.shape, Layout::of(view), view.group_slots());
        let (writes_sums, writes_scores) = view.trace.writes;
        let mut checks = Vec::new();
        if writes_sums {
            let found = &view.after::<f32>("sums")[..slots.len() * layout.record()];
            let packed = layout.pack(found);
            checks.push(view.checked("sums", wide(&packed), wide(&self.sums)));
            checks.push(view.checked("own sums", wide(&layout.last_lanes(found)), own.to_vec()));
            checks.push(layout.padding(view, found));
        }
        let span = slots.start * shape.outputs..slots.end * shape.outputs;
        let found = wide(&view.after::<f32>("scores")[span.clone()]);
        checks.push(if writes_scores {
            view.checked("scores", found, wide(&self.scores))
        } else {
            view.checked("kept", found, wide(&view.before::<f32>("scores")[span]))
        });
        checks
    }
}

/// r of every anchor as the CPU keeps it, in blocks of features.
fn squares(view: &View<'_>, device: &[f32]) -> Vec<f32> {
    let shape = view.shape;
    let last = Layout::of(view).last_lanes(device);
    let mut squares = vec![0.0; shape.anchors * ChannelOrder::FIRST.len(shape)];
    let models = last.chunks_exact(shape.features * shape.outputs);
    for (squares, model) in squares.chunks_exact_mut(ChannelOrder::FIRST.len(shape)).zip(models) {
        for (j, channels) in model.chunks_exact(shape.outputs).enumerate() {
            let block = j / FEATURE_BLOCK * shape.outputs;
            for (c, r) in channels.iter().enumerate() {
                squares[(block + c) * FEATURE_BLOCK + j % FEATURE_BLOCK] = *r;
            }
        }
    }
    squares
}

/// Σⱼ xⱼ²rⱼ of each (slot of the group, channel); `row` gives (record, x) of a slot.
fn own_sums(view: &View<'_>, row: impl Fn(usize) -> Vec<(usize, f32)>) -> Vec<f64> {
    let outputs = view.shape.outputs;
    let last = Layout::of(view).last_lanes(view.before("records"));
    let mut own = Vec::with_capacity(view.group_slots().len() * outputs);
    for slot in view.group_slots() {
        let row = row(slot);
        own.extend((0..outputs).map(|c| {
            let term = |&(record, x): &(usize, f32)| {
                f64::from(x).powi(2) * f64::from(last[record * outputs + c])
            };
            row.iter().map(term).sum::<f64>()
        }));
    }
    own
}

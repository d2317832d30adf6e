//! Twins of `fm_update` and `fm_update_csr`, and the layout of records.

use super::rule::{State, stepped};
use super::view::{View, wide};
use crate::compare::Checked;
use crate::config::Optimizer;
use crate::kernel::fm_score::FEATURE_BLOCK;
use crate::kernel::fm_update::{ChannelOrder, FmBlock, FmScratch, fm_update, weigh_sums};
use crate::kernel::fm_update_csr::{ColumnBatch, ColumnScratch, Columns, Entry, fm_update_csr};
use crate::kernel::local_coding::Pair;
use crate::kernel::pair_list::RowChunk;
use crate::kernel::{ROW_CHUNK, Shape};

/// How records and sums lie on the device and on the CPU: the same but for the lanes of a channel.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    shape: Shape,
    /// Lanes of a channel on the device.
    channel: usize,
}

impl Layout {
    pub(super) fn of(view: &View<'_>) -> Self {
        Self { shape: view.shape, channel: 4 * view.trace.sizes.channel_quads }
    }

    /// Lanes of a record on the device.
    pub(super) fn record(self) -> usize {
        self.shape.outputs * self.channel
    }

    /// The lanes of v and w, as the CPU keeps them.
    pub(super) fn pack(self, device: &[f32]) -> Vec<f32> {
        let (d, stride) = (self.shape.factors, self.shape.stride);
        let records = device.chunks_exact(self.record());
        let mut packed = vec![0.0; records.len() * stride];
        for (out, record) in packed.chunks_exact_mut(stride).zip(records) {
            let channels = record.chunks_exact(self.channel);
            for (out, channel) in out.chunks_exact_mut(d + 1).zip(channels) {
                out[..d].copy_from_slice(&channel[..d]);
                out[d] = channel[self.channel - 2];
            }
        }
        packed
    }

    /// The last lane of each channel: r of a record.
    pub(super) fn last_lanes(self, device: &[f32]) -> Vec<f32> {
        device.chunks_exact(self.channel).map(|channel| channel[self.channel - 1]).collect()
    }

    /// The lanes between v and w, which stay zero.
    pub(super) fn padding(self, view: &View<'_>, device: &[f32]) -> Checked {
        let lanes = self.shape.factors..self.channel - 2;
        let found: Vec<f32> =
            device.chunks_exact(self.channel).flat_map(|c| &c[lanes.clone()]).copied().collect();
        view.checked("padding", wide(&found), vec![0.0; found.len()])
    }

    /// Records and their memory.
    fn state(self, optimizer: Optimizer, records: &[f32], moments: &[f32]) -> State {
        let section = |i: usize| self.pack(&moments[i * records.len()..][..records.len()]);
        let (second, first) = match optimizer {
            Optimizer::Sgd => (Vec::new(), Vec::new()),
            Optimizer::AdaGrad => (section(0), Vec::new()),
            Optimizer::Adam => (section(0), section(1)),
        };
        State { theta: self.pack(records), first, second }
    }
}

/// Records of dense rows.
pub(super) fn dense(view: &View<'_>) -> Vec<Checked> {
    let (shape, pairs) = (view.shape, view.pairs());
    let rows = view.dense_rows(pairs.iter().map(|pair| (pair.row, pair.data_row)));
    let pair_rows: Vec<u32> = pairs.iter().map(|pair| pair.row).collect();
    let weighted = weighted(view);
    let before = state(view, false);
    let mut expected = before.clone();
    let (records, mut moments) = expected.parts();
    let mut squares = vec![0.0; ChannelOrder::FIRST.len(shape)];
    let mut scratch = FmScratch::default();
    let model = shape.features * shape.stride;
    for (i, records) in records.chunks_exact_mut(model).enumerate() {
        let mut moments = moments.take(model);
        if !in_group(view, i) {
            continue;
        }
        let slots = view.starts()[i] as usize..view.starts()[i + 1] as usize;
        let first = view.group_slots().start;
        let weighted =
            &weighted[(slots.start - first) * shape.stride..(slots.end - first) * shape.stride];
        let blocks = records
            .chunks_mut(FEATURE_BLOCK * shape.stride)
            .zip(squares.chunks_exact_mut(shape.outputs * FEATURE_BLOCK));
        for (b, (records, squares)) in blocks.enumerate() {
            let moments = moments.take(records.len());
            let block = FmBlock { first: b * FEATURE_BLOCK, records, moments, squares };
            let update = view.model_rule();
            let rows_of = &pair_rows[slots.clone()];
            fm_update(shape, &rows, rows_of, weighted, block, update, &mut scratch);
        }
    }
    checked(view, &before, &expected, |record| in_group(view, record / shape.features))
}

/// Records of sparse rows.
pub(super) fn sparse(view: &View<'_>) -> Vec<Checked> {
    let (shape, m) = (view.shape, view.shape.anchors);
    let (chunks, weighted) = (slotted_rows(view, view.group_slots().start as u32), weighted(view));
    let before = state(view, false);
    let mut expected = before.clone();
    let (records, mut moments) = expected.parts();
    let width = m * shape.stride;
    let mut present = vec![false; shape.features];
    let mut scratch = ColumnScratch::default();
    let batch = ColumnBatch { shape, chunks: &chunks, weighted: &weighted };
    for (column, entries) in view.columns() {
        present[column] = true;
        let span = column * width..(column + 1) * width;
        let (records, moments) = (&mut records[span.clone()], moments.part(span));
        let column = OneColumn::new(column, entries);
        let columns = column.columns();
        fm_update_csr(batch, columns, records, moments, view.model_rule(), &mut scratch);
    }
    checked(view, &before, &expected, |record| present[record / m] && in_group(view, record % m))
}

/// A column as the CPU's tasks read it.
pub(super) struct OneColumn {
    column: [u32; 1],
    starts: [u32; 2],
    pub(super) entries: Vec<Entry>,
}

impl OneColumn {
    pub(super) fn new(column: usize, entries: &[[u32; 2]]) -> Self {
        let entry = |&[row, bits]: &[u32; 2]| Entry { row, value: f32::from_bits(bits) };
        Self {
            column: [column as u32],
            starts: [0, entries.len() as u32],
            entries: entries.iter().map(entry).collect(),
        }
    }

    /// The column, its cells alone.
    pub(super) fn columns(&self) -> Columns<'_> {
        let Self { column, starts, entries } = self;
        Columns { first: column[0] as usize, columns: column, starts, entries }
    }
}

fn in_group(view: &View<'_>, anchor: usize) -> bool {
    (view.trace.group.first_anchor..view.trace.group.end_anchor).contains(&(anchor as u32))
}

/// Records as they were, or as they became.
fn state(view: &View<'_>, after: bool) -> State {
    let layout = Layout::of(view);
    let snapshot = if after { &view.trace.after } else { &view.trace.before };
    let len = view.trace.sizes.all_record_quads() * 4;
    let moments: &[f32] = snapshot.get("record_moments");
    layout.state(view.config.optimizer, &snapshot.get("records")[..len], moments)
}

/// a·q and a of the group's slots, `[slots, stride]`.
fn weighted(view: &View<'_>) -> Vec<f32> {
    let (shape, layout, slots) = (view.shape, Layout::of(view), view.group_slots());
    let sums = &view.before::<f32>("sums")[..slots.len() * layout.record()];
    let mut weighted = layout.pack(sums);
    let scores: &[f32] = view.before("scores");
    for (sums, slot) in weighted.chunks_exact_mut(shape.stride).zip(slots) {
        weigh_sums(shape.factors, &scores[slot * shape.outputs..][..shape.outputs], sums);
    }
    weighted
}

/// The batch's rows with the slots of the group's anchors, counted from `first`.
pub(super) fn slotted_rows(view: &View<'_>, first: u32) -> Vec<RowChunk> {
    let mut chunks = vec![RowChunk::default(); view.rows().div_ceil(ROW_CHUNK)];
    for row in 0..view.rows() {
        let chunk = &mut chunks[row / ROW_CHUNK];
        if row % ROW_CHUNK == 0 {
            chunk.clear();
        }
        for anchor in view.trace.group.first_anchor..view.trace.group.end_anchor {
            if let Some(slot) = view.slot(anchor as usize, row) {
                chunk.pairs.push(Pair { anchor, slot: slot - first, ..Pair::default() });
            }
        }
        chunk.ends.push(chunk.pairs.len() as u32);
        chunk.normalizers.push(1.0);
    }
    chunks
}

fn checked(
    view: &View<'_>,
    before: &State,
    expected: &State,
    live: impl Fn(usize) -> bool,
) -> Vec<Checked> {
    let (shape, layout, found) = (view.shape, Layout::of(view), state(view, true));
    let parameters = shape.outputs * (shape.factors + 1);
    let rule = view.model_rule();
    let live = |at: usize| at % shape.stride < parameters && live(at / shape.stride);
    let mut checks = stepped(view, &rule, [before, &found, expected], live);
    let len = view.trace.sizes.all_record_quads() * 4;
    let records = &view.after::<f32>("records")[..len];
    let norm = |v: &[f32]| v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let packed = found.theta.chunks_exact(shape.stride);
    let norms = packed.flat_map(|record| {
        let channels = record.chunks_exact(shape.factors + 1).take(shape.outputs);
        channels.map(|channel| norm(&channel[..shape.factors]))
    });
    checks.push(view.checked("r", wide(&layout.last_lanes(records)), norms.collect()));
    checks.push(layout.padding(view, records));
    let moments: &[f32] = view.after("record_moments");
    for moments in moments.chunks_exact(len) {
        checks.push(layout.padding(view, moments));
        let last = wide(&layout.last_lanes(moments));
        checks.push(view.checked("padding", last.clone(), vec![0.0; last.len()]));
    }
    checks
}

//! Gradient and optimizer step of the local models, sparse rows: some columns of the batch.
//!
//! ∂w = Σ a·xⱼ, ∂V = Σ a·xⱼ·q − V·Σ a·xⱼ² over the pairs of the rows that have the column.
//! Columns absent from the batch keep their values and moments (lazy, as libFM and sparse Adam).
//!
//! One task a run of columns, with all anchors' records of them `[m, stride]`, their only writer;
//! it sums the batch's rows in order. O(entries·k·C(d + 1)) and O(m·C(d + 1)) for the step.

use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::ROW_CHUNK;
use crate::kernel::Shape;
use crate::kernel::pair_list::RowChunk;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::{Quads, as_quads, as_quads_mut, vectorized, with_quads};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "fm_update_csr",
    "fm_update_csr",
    ["step", "pair", "optimizer"],
    |sizes, step, group| { workgroups(step.n_columns as usize * group.len() * sizes.outputs) }
);

/// What a task on some columns reads of the batch.
#[derive(Clone, Copy)]
pub(crate) struct ColumnBatch<'a> {
    pub(crate) shape: Shape,
    /// Coded rows, in chunks.
    pub(crate) chunks: &'a [RowChunk],
    /// Per slot and channel a·q and a, `[n_pairs, stride]`.
    pub(crate) weighted: &'a [f32],
}

/// Some columns of a batch, and where their cells lie.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// Column that the task's cells begin with.
    pub(crate) first: usize,
    /// Columns, rising.
    pub(crate) columns: &'a [u32],
    /// `[columns + 1]`: entries of each column, rows rising.
    pub(crate) starts: &'a [u32],
    pub(crate) entries: &'a [Entry],
}

impl<'a> Columns<'a> {
    /// Place of each column among the task's cells, and its entries.
    #[inline(always)]
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, &'a [Entry])> {
        self.columns.iter().zip(self.starts.windows(2)).map(move |(&j, span)| {
            (j as usize - self.first, &self.entries[span[0] as usize..span[1] as usize])
        })
    }
}

/// One (row, value) of a column, as the device has it too.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) row: u32,
    pub(crate) value: f32,
}

/// Scratch of one task, `[m, stride]` and `[m, C]`.
#[derive(Debug, Default)]
pub(crate) struct ColumnScratch {
    pub(crate) gradient: Vec<f32>,
    pub(crate) own: Vec<f32>,
}

/// Steps the records of some columns; `records` and `moments` are `[columns, m, stride]`.
pub(crate) fn fm_update_csr(
    batch: ColumnBatch<'_>,
    columns: Columns<'_>,
    records: &mut [f32],
    moments: MomentsMut<'_>,
    update: Update,
    scratch: &mut ColumnScratch,
) {
    let Shape { anchors: m, outputs, stride, .. } = batch.shape;
    scratch.gradient.resize(m * stride, 0.0);
    scratch.own.resize(m * outputs, 0.0);
    let task = Task { batch, columns, update };
    let lanes = if outputs == 1 { stride } else { 0 };
    vectorized(
        #[inline(always)]
        || match m {
            1 => with_quads!(
                lanes,
                lone(task, records, moments),
                else any(task, records, moments, scratch)
            ),
            _ => with_quads!(
                lanes,
                one_output(task, records, moments, scratch),
                else any(task, records, moments, scratch)
            ),
        },
    );
}

#[derive(Clone, Copy)]
struct Task<'a> {
    batch: ColumnBatch<'a>,
    columns: Columns<'a>,
    update: Update,
}

/// One anchor with one output, records of Q groups of lanes: the slot of a row's pair is the row.
#[inline(always)]
fn lone<const Q: usize>(task: Task<'_>, records: &mut [f32], mut moments: MomentsMut<'_>) {
    let Task { batch, columns, update } = task;
    let d = batch.shape.factors;
    let (weighted, records) = (as_quads::<Q>(batch.weighted), as_quads_mut::<Q>(records));
    for (at, entries) in columns.iter() {
        let (mut gradient, mut own) = ([[0.0_f32; 4]; Q], 0.0_f32);
        for entry in entries {
            add(entry.value, d, &weighted[entry.row as usize], &mut gradient, &mut own);
        }
        let moments = moments.part(at * 4 * Q..(at + 1) * 4 * Q);
        step(d, update, &mut gradient, own, &mut records[at], moments);
    }
}

/// Many anchors with one output each, records of Q groups of lanes.
#[inline(always)]
fn one_output<const Q: usize>(
    task: Task<'_>,
    records: &mut [f32],
    mut moments: MomentsMut<'_>,
    scratch: &mut ColumnScratch,
) {
    let Task { batch, columns, update } = task;
    let Shape { anchors: m, factors: d, stride, .. } = batch.shape;
    let (weighted, records) = (as_quads::<Q>(batch.weighted), as_quads_mut::<Q>(records));
    let (gradient, own) = (as_quads_mut::<Q>(&mut scratch.gradient), &mut scratch.own[..m]);
    for (at, entries) in columns.iter() {
        gradient.fill([[0.0; 4]; Q]);
        own.fill(0.0);
        for entry in entries {
            let chunk = &batch.chunks[entry.row as usize / ROW_CHUNK];
            for pair in &chunk.pairs[chunk.span(entry.row as usize % ROW_CHUNK)] {
                let (i, weighted) = (pair.anchor as usize, &weighted[pair.slot as usize]);
                add(entry.value, d, weighted, &mut gradient[i], &mut own[i]);
            }
        }
        let cells = at * m..(at + 1) * m;
        let mut moments = moments.part(cells.start * stride..cells.end * stride);
        let anchors = gradient.iter_mut().zip(&*own).zip(&mut records[cells]);
        for (i, ((gradient, own), record)) in anchors.enumerate() {
            let moments = moments.part(i * stride..(i + 1) * stride);
            step(d, update, gradient, *own, record, moments);
        }
    }
}

/// Adds an entry's part of Σ a·xⱼ·q, Σ a·xⱼ and Σ a·xⱼ².
#[inline(always)]
fn add<const Q: usize>(
    value: f32,
    d: usize,
    weighted: &Quads<Q>,
    gradient: &mut Quads<Q>,
    own: &mut f32,
) {
    for q in 0..Q {
        for l in 0..4 {
            gradient[q][l] = value.mul_add(weighted[q][l], gradient[q][l]);
        }
    }
    *own = (value * value).mul_add(weighted.as_flattened()[d], *own);
}

/// Steps a record along the gradient that its sums make.
#[inline(always)]
fn step<const Q: usize>(
    d: usize,
    update: Update,
    gradient: &mut Quads<Q>,
    own: f32,
    record: &mut Quads<Q>,
    moments: MomentsMut<'_>,
) {
    for q in 0..Q {
        for l in 0..4 {
            let own = if 4 * q + l < d { own } else { 0.0 };
            gradient[q][l] = record[q][l].mul_add(-own, gradient[q][l]);
        }
    }
    update.apply_quads(record, gradient, moments);
}

/// Any number of outputs and lanes.
#[inline(always)]
fn any(
    task: Task<'_>,
    records: &mut [f32],
    mut moments: MomentsMut<'_>,
    scratch: &mut ColumnScratch,
) {
    let Task { batch, columns, update } = task;
    let Shape { anchors: m, outputs, factors: d, stride, .. } = batch.shape;
    let ColumnScratch { gradient, own } = scratch;
    for (at, entries) in columns.iter() {
        gradient.fill(0.0);
        own.fill(0.0);
        for entry in entries {
            let chunk = &batch.chunks[entry.row as usize / ROW_CHUNK];
            let squared = entry.value * entry.value;
            for pair in &chunk.pairs[chunk.span(entry.row as usize % ROW_CHUNK)] {
                let weighted = &batch.weighted[pair.slot as usize * stride..][..stride];
                let i = pair.anchor as usize;
                for (g, a) in gradient[i * stride..][..stride].iter_mut().zip(weighted) {
                    *g = entry.value.mul_add(*a, *g);
                }
                for (c, own) in own[i * outputs..][..outputs].iter_mut().enumerate() {
                    *own = squared.mul_add(weighted[c * (d + 1) + d], *own);
                }
            }
        }
        let cells = at * m * stride..(at + 1) * m * stride;
        let records = &mut records[cells.clone()];
        let anchors = gradient.chunks_exact_mut(stride).zip(records.chunks_exact(stride));
        for ((gradient, record), own) in anchors.zip(own.chunks_exact(outputs)) {
            let channels = gradient.chunks_exact_mut(d + 1).zip(record.chunks_exact(d + 1));
            for ((g, v), own) in channels.zip(own) {
                for (g, v) in g[..d].iter_mut().zip(v) {
                    *g = v.mul_add(-own, *g);
                }
            }
        }
        update.apply(records, gradient, moments.part(cells));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Optimizer;
    use crate::kernel::local_coding::Pair;

    #[test]
    fn known_lanes_give_the_bits_of_any() {
        for (m, rule) in [(1, Optimizer::Adam), (1, Optimizer::AdaGrad), (3, Optimizer::Sgd)] {
            let shape = Shape { anchors: m, features: 2, outputs: 1, factors: 5, stride: 8 };
            let mut chunk = RowChunk::default();
            chunk.clear();
            for row in 0..4_u32 {
                let anchor = row % m as u32;
                chunk.pairs.push(Pair { anchor, slot: row, ..Pair::default() });
                chunk.ends.push(row + 1);
                chunk.normalizers.push(1.0);
            }
            let number = |i: usize| (i as f32 * 0.7).sin();
            let weighted: Vec<f32> = (0..4 * 8).map(number).collect();
            let batch = ColumnBatch { shape, chunks: &[chunk], weighted: &weighted };
            let entries: Vec<Entry> =
                (0..4).map(|row| Entry { row, value: number(row as usize + 9) }).collect();
            let columns =
                Columns { first: 0, columns: &[0, 1], starts: &[0, 3, 4], entries: &entries };
            let update = Update::new(rule, 3, 0.1).with_penalty(0.01, 0.02);
            let start: Vec<f32> = (0..2 * m * 8).map(|i| number(i + 50)).collect();
            let run = |known: bool| {
                let (mut records, mut scratch) = (start.clone(), ColumnScratch::default());
                let mut moments = crate::optimizer::Moments::new(rule, start.len());
                if known {
                    let moments = moments.view();
                    fm_update_csr(batch, columns, &mut records, moments, update, &mut scratch);
                } else {
                    scratch.gradient.resize(m * 8, 0.0);
                    scratch.own.resize(m, 0.0);
                    let task = Task { batch, columns, update };
                    any(task, &mut records, moments.view(), &mut scratch);
                }
                let live = records.chunks_exact(8).flat_map(|record| &record[..6]);
                live.map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            assert_eq!(run(true), run(false), "{m} anchors, {rule:?}");
        }
    }
}

//! Gradient and optimizer step of the local models, sparse rows: one column of the batch.
//!
//! ∂w = Σ a·xⱼ, ∂V = Σ a·xⱼ·q − V·Σ a·xⱼ² over the pairs of the rows that have the column.
//! Columns absent from the batch keep their values and moments (lazy, as libFM and sparse Adam).
//!
//! One task a column, with all anchors' records of it `[m, stride]`, their only writer; it sums
//! the batch's rows in order. O(entries·k·C(d + 1)) and O(m·C(d + 1)) for the step.

use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::ROW_CHUNK;
use crate::kernel::Shape;
use crate::kernel::pair_list::RowChunk;
use crate::optimizer::{MomentsMut, Update};
use crate::simd::vectorized;

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "fm_update_csr",
    "fm_update_csr",
    ["step", "pair", "optimizer"],
    |sizes, step, group| { workgroups(step.n_columns as usize * group.len() * sizes.outputs) }
);

/// What a column's task reads of the batch.
#[derive(Clone, Copy)]
pub(crate) struct ColumnBatch<'a> {
    pub(crate) shape: Shape,
    /// Coded rows, in chunks.
    pub(crate) chunks: &'a [RowChunk],
    /// Per slot and channel a·q and a, `[n_pairs, stride]`.
    pub(crate) weighted: &'a [f32],
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

/// Steps the records of one column, `[m, stride]`.
pub(crate) fn fm_update_csr(
    batch: ColumnBatch<'_>,
    entries: &[Entry],
    records: &mut [f32],
    moments: MomentsMut<'_>,
    update: Update,
    scratch: &mut ColumnScratch,
) {
    let Shape { anchors: m, outputs, factors: d, stride, .. } = batch.shape;
    let ColumnScratch { gradient, own } = scratch;
    vectorized(
        #[inline(always)]
        || {
            gradient.clear();
            gradient.resize(m * stride, 0.0);
            own.clear();
            own.resize(m * outputs, 0.0);
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
            let anchors = gradient.chunks_exact_mut(stride).zip(records.chunks_exact(stride));
            for ((gradient, record), own) in anchors.zip(own.chunks_exact(outputs)) {
                let channels = gradient.chunks_exact_mut(d + 1).zip(record.chunks_exact(d + 1));
                for ((g, v), own) in channels.zip(own) {
                    for (g, v) in g[..d].iter_mut().zip(v) {
                        *g = v.mul_add(-own, *g);
                    }
                }
            }
            update.apply(records, gradient, moments);
        },
    );
}

//! The pairs of a batch: distances, coding, and the list by anchor.

use super::runs::run_tasks_with;
use super::search::SearchScratch;
use super::{Cpu, Store};
use crate::anchor_dropout::{AnchorDropout, Left};
use crate::kernel::ROW_CHUNK;
use crate::kernel::pair_list::RowChunk;

/// Memory for the distances of a chunk.
#[derive(Default)]
pub(crate) struct DistanceScratch {
    /// Dense rows times the metric `[rows, row_stride]`.
    pub(super) scaled: Vec<f32>,
    pub(super) search: SearchScratch,
}

/// Memory for the coding of a chunk.
#[derive(Default)]
pub(super) struct CodeScratch {
    /// `[rows, anchor_stride]`.
    distance: Vec<f32>,
    distances: DistanceScratch,
    left: Left,
}

impl<S: Store> Cpu<'_, S> {
    /// The pairs of the batch's rows, by row and by anchor, of the anchors that `dropout` leaves.
    pub(super) fn pair_up(&mut self, rows: usize, dropout: AnchorDropout, parallel: bool) {
        let coded = self.chunks.iter().map(RowChunk::n_rows).sum::<usize>();
        // Every row of a lone anchor is coded alike.
        if self.store.shape().anchors > 1 || coded != rows || rows == 0 {
            self.code(rows, dropout, parallel);
            self.pairs.fill(self.store.shape().anchors, &mut self.chunks);
        }
    }

    /// Distances of the batch's rows, and their coding with the anchors that `dropout` leaves.
    fn code(&mut self, rows: usize, dropout: AnchorDropout, parallel: bool) {
        if dropout.hides_any() {
            // A hidden anchor does not bound λ.
            self.store.search_no_anchors();
        }
        let n_chunks = rows.div_ceil(ROW_CHUNK);
        // A short batch keeps the memory of the others.
        self.spare_chunks.extend(self.chunks.drain(n_chunks.min(self.chunks.len())..));
        while self.chunks.len() < n_chunks {
            self.chunks.push(self.spare_chunks.pop().unwrap_or_default());
        }
        let (store, coder, plain) = (&self.store, self.coder, self.plain);
        let (m, width) = (store.shape().anchors, store.shape().anchor_stride());
        let tasks = self.memory.list(self.chunks.iter_mut().enumerate());
        run_tasks_with(&self.code_scratches, tasks, parallel, |scratch, (c, chunk)| {
            let first = c * ROW_CHUNK;
            let n = ROW_CHUNK.min(rows - first);
            let CodeScratch { distance, distances, left } = scratch;
            distance.resize(n * width, 0.0);
            if m > 1 {
                store.distances(first, n, plain, distances, distance);
            }
            chunk.clear();
            for (row, distance) in (first as u32..).zip(distance.chunks_exact(width)) {
                let (distance, pairs) = (&distance[..m], &mut chunk.pairs);
                let normalizer =
                    dropout.code(&coder, row, distance, store.multipliers(), left, pairs);
                chunk.normalizers.push(normalizer);
                chunk.ends.push(chunk.pairs.len() as u32);
            }
        });
        self.store.end_search(rows, parallel, &self.memory);
    }
}

//! A kernel's buffers as the CPU kernels lay them out.

use bytemuck::{Pod, Zeroable};

use crate::backend::gpu::trace::Trace;
use crate::compare::Checked;
use crate::config::{Distance, TrainConfig};
use crate::data::Csr;
use crate::kernel::Shape;
use crate::kernel::pair_list::PairList;
use crate::optimizer::Update;
use crate::simd::LANES;

/// Twin of `RowSet`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(in crate::compare) struct RowSet {
    rows: u32,
    first_slot: u32,
}

/// Twin of `RowCode`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(in crate::compare) struct RowCode {
    pub(in crate::compare) count: u32,
    pub(in crate::compare) normalizer: f32,
}

/// Twin of `Active`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(in crate::compare) struct Active {
    pub(in crate::compare) anchor: u32,
    pub(in crate::compare) slot: u32,
    pub(in crate::compare) gamma: f32,
    pub(in crate::compare) u: f32,
    pub(in crate::compare) pull: f32,
}

/// Twin of `Pair`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(in crate::compare) struct SlotPair {
    pub(in crate::compare) row: u32,
    pub(in crate::compare) data_row: u32,
    pub(in crate::compare) anchor: u32,
}

/// Which rows use an anchor.
#[derive(Clone, Copy)]
pub(in crate::compare) struct RowSets<'a> {
    sets: &'a [RowSet],
    pitch: usize,
}

impl RowSets<'_> {
    /// Slot of a row among the anchor's pairs, where the row uses the anchor; set by `pair_list`.
    pub(in crate::compare) fn slot(&self, anchor: usize, row: usize) -> Option<u32> {
        let set = self.sets[anchor * self.pitch + row / 32];
        let bit = 1 << (row % 32);
        let before = (set.rows & (bit - 1)).count_ones();
        (set.rows & bit != 0).then(|| set.first_slot.wrapping_add(before))
    }
}

/// A traced kernel and the sizes of the CPU's layout.
pub(in crate::compare) struct View<'a> {
    pub(in crate::compare) trace: &'a Trace,
    pub(in crate::compare) config: &'a TrainConfig,
    pub(in crate::compare) shape: Shape,
}

impl<'a> View<'a> {
    pub(in crate::compare) fn new(trace: &'a Trace, config: &'a TrainConfig) -> Self {
        let sizes = &trace.sizes;
        let shape = Shape {
            anchors: sizes.anchors,
            features: sizes.features,
            outputs: sizes.outputs,
            factors: sizes.factors,
            stride: (sizes.outputs * (sizes.factors + 1)).next_multiple_of(LANES),
        };
        Self { trace, config, shape }
    }

    /// A buffer as the kernel found it.
    pub(in crate::compare) fn before<T: Pod>(&self, name: &str) -> &'a [T] {
        self.trace.before.get(name)
    }

    /// A buffer as the kernel left it.
    pub(in crate::compare) fn after<T: Pod>(&self, name: &str) -> &'a [T] {
        self.trace.after.get(name)
    }

    pub(in crate::compare) fn checked(
        &self,
        output: &'static str,
        found: Vec<f64>,
        expected: Vec<f64>,
    ) -> Checked {
        Checked { kernel: self.trace.kernel, output, found, expected }
    }

    /// The sets of rows that use each anchor, before or after the kernel.
    pub(in crate::compare) fn row_sets(&self, sets: &'a [RowSet]) -> RowSets<'a> {
        RowSets { sets, pitch: self.capacity().div_ceil(32) }
    }

    /// Slot of a row among an anchor's pairs, where the row uses the anchor.
    pub(in crate::compare) fn slot(&self, anchor: usize, row: usize) -> Option<u32> {
        self.row_sets(self.before("row_sets")).slot(anchor, row)
    }

    /// Rows of the batch.
    pub(in crate::compare) fn rows(&self) -> usize {
        self.trace.step.rows as usize
    }

    /// Pitch of arrays by (anchor, row).
    pub(in crate::compare) fn capacity(&self) -> usize {
        self.trace.sizes.capacity
    }

    /// Whether the distance is plain.
    pub(in crate::compare) fn plain(&self) -> bool {
        self.config.distance == Distance::Euclidean
    }

    /// The rule of everything but the local models and the anchors.
    pub(in crate::compare) fn rule(&self) -> Update {
        let rates = self.trace.rates;
        Update::new(self.config.optimizer, rates.step, rates.rate)
    }

    /// The rule of the anchors.
    pub(in crate::compare) fn anchor_rule(&self) -> Update {
        let rates = self.trace.rates;
        Update::new(self.config.optimizer, rates.step, rates.anchor_rate)
    }

    /// The rule of the local models.
    pub(in crate::compare) fn model_rule(&self) -> Update {
        self.rule().with_penalty(self.config.l2 as f32, self.config.weight_decay as f32)
    }

    /// Row of the data that is the r-th of the batch.
    pub(in crate::compare) fn order(&self) -> &'a [u32] {
        &self.before::<u32>("order")[self.trace.step.first_row as usize..][..self.rows()]
    }

    /// A dense row of the data, of the numbers that it is stored as.
    pub(in crate::compare) fn dense_row(&self, data_row: usize) -> Vec<f32> {
        self.trace.sizes.stored_row(self.before("rows"), data_row)
    }

    /// Dense rows `[b, row_stride]`, those of the given (row of the batch, row of the data).
    pub(in crate::compare) fn dense_rows(
        &self,
        rows: impl Iterator<Item = (u32, u32)>,
    ) -> Vec<f32> {
        let stride = self.shape.row_stride();
        let mut batch = vec![0.0; self.rows() * stride];
        for (row, data_row) in rows {
            let cells = self.dense_row(data_row as usize);
            batch[row as usize * stride..][..cells.len()].copy_from_slice(&cells);
        }
        batch
    }

    /// The given rows of the sparse data.
    pub(in crate::compare) fn sparse_rows(&self, data_rows: impl Iterator<Item = u32>) -> Csr {
        let (starts, entries): (&[u32], &[[u32; 2]]) =
            (self.before("row_starts"), self.before("entries"));
        let mut rows = Csr { n_cols: self.shape.features, offsets: vec![0], ..Csr::default() };
        for r in data_rows {
            let span = starts[r as usize] as usize..starts[r as usize + 1] as usize;
            for &[column, value] in &entries[span] {
                rows.indices.push(column);
                rows.values.push(f32::from_bits(value));
            }
            rows.offsets.push(rows.indices.len());
        }
        rows
    }

    /// The batch's columns, each with the first of its entries, and the mark that ends them.
    pub(in crate::compare) fn marks(&self) -> &'a [[u32; 2]] {
        let step = &self.trace.step;
        &self.before::<[u32; 2]>("columns")[step.first_column as usize..]
            [..=step.n_columns as usize]
    }

    /// Column and entries (row of the batch, value) of each column of the batch.
    pub(in crate::compare) fn columns(&self) -> Vec<(usize, &'a [[u32; 2]])> {
        let entries: &[[u32; 2]] = self.before("column_entries");
        let ends = self.marks().windows(2);
        ends.map(|c| (c[0][0] as usize, &entries[c[0][1] as usize..c[1][1] as usize])).collect()
    }

    /// Where each anchor's slots begin `[m + 1]`.
    pub(in crate::compare) fn starts(&self) -> &'a [u32] {
        &self.before::<u32>("starts")[..=self.shape.anchors]
    }

    /// The pairs by slot.
    pub(in crate::compare) fn pairs(&self) -> &'a [SlotPair] {
        &self.before::<SlotPair>("pairs")[..self.starts()[self.shape.anchors] as usize]
    }

    /// The slots of all anchors as the CPU keeps them; rows only where `pairs` is bound.
    pub(in crate::compare) fn pair_list(&self) -> PairList {
        let rows = if self.trace.before.has("pairs") {
            self.pairs().iter().map(|pair| pair.row).collect()
        } else {
            vec![0; self.starts()[self.shape.anchors] as usize]
        };
        PairList { starts: self.starts().to_vec(), rows, ..PairList::default() }
    }

    /// Whether `head_update` steps the metric.
    pub(in crate::compare) fn steps_metric(&self) -> bool {
        let sizes = self.trace.sizes;
        self.config.learn.metric && sizes.slopes && !sizes.sparse
    }

    /// The distances that the rows were coded from: what the kernel found, or measured itself.
    pub(in crate::compare) fn coded_distances(&self) -> &'a [f32] {
        if self.trace.kernel == "anchor_coding" {
            return self.after("distance");
        }
        self.before("distance")
    }

    /// Slots of the anchors of the group.
    pub(in crate::compare) fn group_slots(&self) -> std::ops::Range<usize> {
        let group = self.trace.group;
        let starts = self.starts();
        starts[group.first_anchor as usize] as usize..starts[group.end_anchor as usize] as usize
    }

    /// b `[m, C]`, log L and L `[m]`.
    pub(in crate::compare) fn heads(&self, words: &[f32]) -> [Vec<f32>; 3] {
        let c = self.shape.outputs;
        let rows = || words.chunks_exact(c + 2).take(self.shape.anchors);
        [
            rows().flat_map(|row| &row[..c]).copied().collect(),
            rows().map(|row| row[c]).collect(),
            rows().map(|row| row[c + 1]).collect(),
        ]
    }

    /// Whether every number of the inputs that points somewhere does.
    pub(in crate::compare) fn is_sane(&self) -> bool {
        let before = &self.trace.before;
        let m = self.shape.anchors;
        let placed = self.trace.kernel != "pair_list";
        if before.has("starts") && placed {
            let starts = self.starts();
            if !starts.is_sorted()
                || starts[m] as usize > self.rows() * self.trace.sizes.most_active
            {
                return false;
            }
            let data = if before.has("rows") {
                let sizes = &self.trace.sizes;
                (self.before::<u32>("rows").len() - sizes.header_words()) / sizes.row_words()
            } else if before.has("row_starts") {
                self.before::<u32>("row_starts").len() - 1
            } else {
                usize::MAX
            };
            let points = |pair: &SlotPair| {
                (pair.row as usize) < self.rows()
                    && (pair.data_row as usize) < data
                    && (pair.anchor as usize) < m
            };
            if before.has("pairs") && !self.pairs().iter().all(points) {
                return false;
            }
        }
        self.rows_point()
    }

    /// Whether the slots and active anchors of the batch's rows are within their limits.
    fn rows_point(&self) -> bool {
        let (before, sizes) = (&self.trace.before, self.trace.sizes);
        let fits = |slot: u32| (slot as usize) < sizes.most_pairs();
        match self.trace.kernel {
            "local_coding" | "anchor_coding" => return true,
            "pair_list" => {}
            _ if before.has("row_sets") => {
                let mut rows =
                    (0..sizes.anchors).flat_map(|i| (0..self.rows()).map(move |r| (i, r)));
                return rows.all(|(i, row)| self.slot(i, row).is_none_or(fits));
            }
            _ => {}
        }
        if !before.has("row_codes") {
            return true;
        }
        let active: &[Active] = self.before("active_anchors");
        let mut codes = self.before::<RowCode>("row_codes")[..self.rows()].iter().enumerate();
        codes.all(|(row, code)| {
            let count = code.count as usize;
            let sound = |it: &Active| {
                (it.anchor as usize) < sizes.anchors
                    && (self.trace.kernel == "pair_list" || fits(it.slot))
            };
            let at = |rank: usize| &active[rank * self.capacity() + row];
            count <= sizes.most_active && (0..count).all(|rank| sound(at(rank)))
        })
    }
}

/// Numbers for the comparison.
pub(in crate::compare) fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| f64::from(x)).collect()
}

/// Counts and places for the comparison.
pub(in crate::compare) fn whole(numbers: impl IntoIterator<Item = u32>) -> Vec<f64> {
    numbers.into_iter().map(f64::from).collect()
}

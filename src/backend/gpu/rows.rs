//! The training rows: on the device from the start, or gathered batch by batch.

use rayon::prelude::*;

use super::layout::RowLayout;
use super::sizes::Sizes;
use crate::backend::batch::Batch;
use crate::backend::{Placement, TrainRows, TrainTargets};
use crate::data::{Csr, Features};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;

/// Bytes of rows that one submission may bring along when they are streamed.
const WINDOW_BYTES: usize = 32 << 20;

/// Bytes a sparse row's entry takes there: by row, by column, and its column at most.
const ENTRY_BYTES: usize = 24;

/// The training rows of a run, and what of them the device has.
pub(super) struct TrainSet<'a> {
    rows: TrainRows<'a>,
    resident: bool,
    pub(super) buffers: Buffers,
    /// Batches of one submission.
    pub(super) steps: usize,
    /// Most entries of the batches of one submission; sparse rows only.
    pub(super) entries: usize,
    /// Most columns that occur in a batch.
    pub(super) most_columns: usize,
    /// One for each thread that gathers.
    batches: Vec<Batch>,
    /// How dense rows are stored.
    layout: RowLayout,
    /// Those that are on their way.
    dense: Vec<u32>,
    epoch: Epoch,
}

/// The order of an epoch's rows, which resident rows have on the device before `order`'s window of
/// batches that are no part of it.
#[derive(Debug, Default)]
struct Epoch {
    order: Vec<u32>,
    /// How much of it was stepped on.
    done: usize,
}

/// Where a batch lies in the buffers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) first_row: usize,
    pub(super) first_column: usize,
    pub(super) n_columns: usize,
}

/// Sparse batches of one submission, one after the other.
#[derive(Default)]
struct Gathered {
    row_starts: Vec<u32>,
    entries: Vec<[u32; 2]>,
    columns: Vec<[u32; 2]>,
    column_entries: Vec<crate::kernel::fm_update_csr::Entry>,
    spans: Vec<Span>,
}

impl<'a> TrainSet<'a> {
    /// Uploads the rows unless they are to be streamed; `steps` is the most batches a submission
    /// takes.
    pub(super) fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        rows: TrainRows<'a>,
        placement: Placement,
        steps: usize,
    ) -> Result<Self> {
        let window = WINDOW_BYTES.min(gpu.largest_binding() as usize);
        let (most_columns, entries) = match rows.features {
            Features::Dense(_) => (0, 0),
            Features::Sparse(csr) => sparse_limits(csr, sizes, steps, window),
        };
        let layout = match rows.features {
            Features::Dense(all) => RowLayout::of(sizes, all.as_slice().expect("row-major rows"))?,
            Features::Sparse(_) => RowLayout::plain(sizes),
        };
        let mut set = Self {
            rows,
            resident: false,
            buffers: Buffers::default(),
            steps,
            entries,
            most_columns,
            batches: Vec::new(),
            layout,
            dense: Vec::new(),
            epoch: Epoch::default(),
        };
        if let Features::Dense(_) = rows.features {
            let batch = (sizes.batch * sizes.row_words() * 4).max(1);
            set.steps = steps.min(window / batch).max(1);
        } else {
            let threads = rayon::current_num_threads().min(steps);
            set.batches.resize_with(threads, || Batch::new(sizes.features));
        }
        set.buffers = match placement {
            Placement::Stream => set.streamed(gpu, sizes)?,
            _ => set.resident(gpu, sizes, steps)?,
        };
        set.add_columns(gpu)?;
        Ok(set)
    }

    /// Where the rows lie.
    pub(super) fn placement(&self) -> Placement {
        if self.resident { Placement::Resident } else { Placement::Stream }
    }

    fn resident(&mut self, gpu: &Gpu, sizes: &Sizes, steps: usize) -> Result<Buffers> {
        let mut buffers = Buffers::default();
        match self.rows.features {
            Features::Dense(all) => {
                buffers.add(gpu, "rows", self.layout.words(all.nrows()))?;
                let cells = all.as_slice().expect("row-major rows");
                upload_rows(gpu, &buffers, &self.layout, cells)?;
            }
            Features::Sparse(csr) => {
                let starts: Vec<u32> = csr.offsets.iter().map(|&start| start as u32).collect();
                buffers.add(gpu, "entries", 2 * csr.indices.len())?;
                buffers.add_filled(gpu, "row_starts", &starts)?;
                upload_entries(gpu, &buffers, csr)?;
            }
        }
        buffers.add_filled(gpu, "targets", &self.targets(None))?;
        buffers.add(gpu, "order", self.n_rows() + steps * sizes.batch)?;
        self.steps = steps;
        self.resident = true;
        Ok(buffers)
    }

    fn streamed(&self, gpu: &Gpu, sizes: &Sizes) -> Result<Buffers> {
        let rows = self.steps * sizes.batch;
        let mut buffers = Buffers::default();
        if sizes.sparse {
            buffers.add(gpu, "row_starts", rows + 1)?;
            buffers.add(gpu, "entries", 2 * self.entries)?;
        } else {
            buffers.add(gpu, "rows", self.layout.words(rows))?;
            gpu.write(buffers.get("rows"), 0, &self.layout.header())?;
        }
        buffers.add(gpu, "targets", 2 * rows)?;
        let order: Vec<u32> = (0..rows as u32).collect();
        buffers.add_filled(gpu, "order", &order)?;
        Ok(buffers)
    }

    fn add_columns(&mut self, gpu: &Gpu) -> Result<()> {
        // Each batch ends its columns with a mark.
        let columns = (self.most_columns + 1) * self.steps;
        let columns = columns.min(self.entries + self.steps);
        self.buffers.add(gpu, "columns", 2 * columns)?;
        self.buffers.add(gpu, "column_entries", 2 * self.entries)
    }

    /// Number of training rows.
    pub(super) fn n_rows(&self) -> usize {
        self.rows.features.n_rows()
    }

    /// Entries of a batch of sparse rows.
    pub(super) fn entries_of(&self, rows: &[u32]) -> usize {
        match self.rows.features {
            Features::Dense(_) => 0,
            Features::Sparse(csr) => rows.iter().map(|&r| csr.row(r as usize).0.len()).sum(),
        }
    }

    /// Uploads the order of an epoch, where the rows are resident: its batches then need none.
    pub(super) fn begin_epoch(&mut self, gpu: &Gpu, order: &[u32]) -> Result<()> {
        if !self.resident || order.len() > self.n_rows() {
            return Ok(());
        }
        // The kernels trust what they are given.
        assert!(order.iter().all(|&r| (r as usize) < self.n_rows()), "no such row");
        gpu.write(self.buffers.get("order"), 0, order)?;
        self.epoch = Epoch { order: order.to_vec(), done: 0 };
        Ok(())
    }

    /// Where each batch begins in `order` of resident rows: in that of the epoch if it goes on there,
    /// else in the window behind, which is uploaded.
    fn place(&mut self, gpu: &Gpu, batches: &[Vec<u32>]) -> Result<Vec<usize>> {
        let (window, mut others) = (self.n_rows(), Vec::new());
        let mut firsts = Vec::with_capacity(batches.len());
        for rows in batches {
            if self.epoch.order[self.epoch.done..].starts_with(rows) {
                firsts.push(self.epoch.done);
                self.epoch.done += rows.len();
            } else {
                firsts.push(window + others.len());
                others.extend_from_slice(rows);
            }
        }
        gpu.write(self.buffers.get("order"), window as u64, &others)?;
        Ok(firsts)
    }

    /// Brings the batches to the device, while it works on those of earlier submissions.
    pub(super) fn load(
        &mut self,
        gpu: &Gpu,
        sizes: &Sizes,
        batches: &[Vec<u32>],
    ) -> Result<Vec<Span>> {
        let mut spans = match self.rows.features {
            Features::Dense(_) => spans(batches),
            Features::Sparse(csr) => self.load_sparse(gpu, csr, batches)?,
        };
        if self.resident {
            let firsts = self.place(gpu, batches)?;
            spans.iter_mut().zip(firsts).for_each(|(span, first)| span.first_row = first);
            return Ok(spans);
        }
        let order = batches.concat();
        if let Features::Dense(all) = self.rows.features {
            let cells = all.as_slice().expect("row-major rows");
            let rows = order.par_iter().map(|&r| r as usize);
            self.layout.gather(cells, rows, &mut self.dense);
            gpu.write(self.buffers.get("rows"), sizes.header_words() as u64, &self.dense)?;
        }
        gpu.write(self.buffers.get("targets"), 0, &self.targets(Some(&order)))?;
        Ok(spans)
    }

    /// Threads gather and transpose the batches.
    fn load_sparse(&mut self, gpu: &Gpu, csr: &Csr, batches: &[Vec<u32>]) -> Result<Vec<Span>> {
        let share = batches.len().div_ceil(self.batches.len());
        let parts: Vec<Gathered> = (batches.par_chunks(share).zip(&mut self.batches))
            .map(|(batches, scratch)| {
                let mut part = Gathered::default();
                batches.iter().for_each(|rows| part.add(csr, rows, scratch));
                part
            })
            .collect();
        let mut all = Gathered::default();
        parts.into_iter().for_each(|part| all.append(part));
        if !self.resident {
            all.row_starts.push(all.entries.len() as u32);
            gpu.write(self.buffers.get("row_starts"), 0, &all.row_starts)?;
            gpu.write(self.buffers.get("entries"), 0, &all.entries)?;
        }
        gpu.write(self.buffers.get("columns"), 0, &all.columns)?;
        gpu.write(self.buffers.get("column_entries"), 0, &all.column_entries)?;
        Ok(all.spans)
    }

    /// Targets and weights of the given rows, or of all, as the kernels read them.
    fn targets(&self, order: Option<&[u32]>) -> Vec<[u32; 2]> {
        let of = |r: usize| {
            let target = match self.rows.targets {
                TrainTargets::Classes(classes) => classes[r],
                TrainTargets::Values(values) => values[r].to_bits(),
            };
            let weight = self.rows.weights.map_or(1.0, |weights| weights[r]);
            [target, weight.to_bits()]
        };
        match order {
            Some(order) => order.iter().map(|&r| of(r as usize)).collect(),
            None => (0..self.rows.features.n_rows()).map(of).collect(),
        }
    }
}

impl Gathered {
    fn add(&mut self, csr: &Csr, rows: &[u32], batch: &mut Batch) {
        batch.gather(csr, rows, true);
        let span = Span {
            first_row: self.row_starts.len(),
            first_column: self.columns.len(),
            n_columns: batch.columns().len(),
        };
        self.spans.push(span);
        for r in 0..rows.len() {
            self.row_starts.push(self.entries.len() as u32);
            let (columns, values) = batch.row(r);
            self.entries.extend(columns.iter().zip(values).map(|(&j, x)| [j, x.to_bits()]));
        }
        for (slot, &column) in batch.columns().iter().enumerate() {
            self.columns.push([column, self.column_entries.len() as u32]);
            self.column_entries.extend_from_slice(batch.entries(slot));
        }
        self.columns.push([u32::MAX, self.column_entries.len() as u32]);
    }

    fn append(&mut self, other: Self) {
        let (rows, columns) = (self.row_starts.len(), self.columns.len());
        let (entries, by_column) = (self.entries.len() as u32, self.column_entries.len() as u32);
        self.row_starts.extend(other.row_starts.iter().map(|start| start + entries));
        self.columns.extend(other.columns.iter().map(|&[j, start]| [j, start + by_column]));
        self.entries.extend(other.entries);
        self.column_entries.extend(other.column_entries);
        self.spans.extend(other.spans.into_iter().map(|span| Span {
            first_row: span.first_row + rows,
            first_column: span.first_column + columns,
            ..span
        }));
    }
}

fn spans(batches: &[Vec<u32>]) -> Vec<Span> {
    let mut first_row = 0;
    let starts = batches.iter().map(|rows| {
        let span = Span { first_row, ..Span::default() };
        first_row += rows.len();
        span
    });
    starts.collect()
}

/// Most columns that occur in a batch, and most entries of a submission: those of any one batch
/// always fit.
fn sparse_limits(csr: &Csr, sizes: &Sizes, steps: usize, window: usize) -> (usize, usize) {
    let mut lengths: Vec<usize> = csr.offsets.windows(2).map(|ends| ends[1] - ends[0]).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let longest: usize = lengths.iter().take(sizes.batch).sum();
    let usual = csr.indices.len().div_ceil(csr.n_rows().max(1)) * sizes.batch * steps;
    (longest.min(sizes.features), longest.max(usual.min(window / ENTRY_BYTES)))
}

/// Uploads dense rows, and what stands before them.
pub(super) fn upload_rows(
    gpu: &Gpu,
    buffers: &Buffers,
    layout: &RowLayout,
    cells: &[f32],
) -> Result<()> {
    let buffer = buffers.get("rows");
    if layout.is_plain() {
        return gpu.write(buffer, 0, cells);
    }
    gpu.write(buffer, 0, &layout.header())?;
    let n = layout.n_rows(cells);
    let at_once = (WINDOW_BYTES / (4 * layout.words(1))).max(1);
    let mut stored = Vec::new();
    for first in (0..n).step_by(at_once) {
        let rows = first..(first + at_once).min(n);
        layout.gather(cells, rows.into_par_iter(), &mut stored);
        gpu.write(buffer, layout.words(first) as u64, &stored)?;
    }
    Ok(())
}

/// Uploads the entries of sparse rows as (column, bits of the value).
pub(super) fn upload_entries(gpu: &Gpu, buffers: &Buffers, csr: &Csr) -> Result<()> {
    let at_once = WINDOW_BYTES / 8;
    let parts = csr.indices.chunks(at_once).zip(csr.values.chunks(at_once));
    for (i, (columns, values)) in parts.enumerate() {
        let entries: Vec<[u32; 2]> =
            columns.iter().zip(values).map(|(&j, x)| [j, x.to_bits()]).collect();
        gpu.write(buffers.get("entries"), (i * at_once) as u64, &entries)?;
    }
    Ok(())
}

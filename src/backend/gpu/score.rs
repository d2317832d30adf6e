//! Scoring rows with the parameters on the device.

use ndarray::Array2;

use super::launch::{Launch, Launcher};
use super::layout::RowLayout;
use super::rows::{upload_entries, upload_rows};
use super::sizes::Sizes;
use super::step::Step;
use crate::backend::Scores;
use crate::config::TrainConfig;
use crate::data::{Csr, Features};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;

/// Entries of sparse rows scored at a time, or those of one row if that has more.
const ENTRIES: usize = 1 << 20;

/// Buffers for the rows to be scored, and what is counted of them.
pub(super) fn buffers(gpu: &Gpu, sizes: &Sizes) -> Result<Buffers> {
    let rows = sizes.capacity;
    let mut own = Buffers::default();
    if sizes.sparse {
        own.add(gpu, "row_starts", rows + 1)?;
        own.add(gpu, "entries", 2 * most_entries(gpu, sizes))?;
    } else {
        own.add(gpu, "rows", rows * sizes.row_quads * 4)?;
    }
    let order: Vec<u32> = (0..rows as u32).collect();
    own.add_filled(gpu, "order", &order)?;
    own.add(gpu, "targets", 0)?;
    own.add(gpu, "anchor_totals", 2 * sizes.anchors)?;
    own.add_uniform(gpu, "step", &Step::default())?;
    Ok(own)
}

fn most_entries(gpu: &Gpu, sizes: &Sizes) -> usize {
    ENTRIES.min(gpu.largest_binding() as usize / 8).max(sizes.features)
}

/// The kernels up to ŷ.
pub(super) struct Scoring {
    sizes: Sizes,
    buffers: Buffers,
    launches: Vec<Launch>,
    entries: usize,
}

impl Scoring {
    /// Binds the kernels to the parameters, the workspace and [`buffers`].
    pub(super) fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        config: &TrainConfig,
        buffers: Buffers,
    ) -> Result<Self> {
        let sizes = sizes.scoring(gpu.offer(), config);
        let launches = Launcher { gpu, sizes: &sizes, config }.scoring(&buffers)?;
        Ok(Self { sizes, buffers, launches, entries: most_entries(gpu, &sizes) })
    }

    /// Scores all rows, a few at a time.
    pub(super) fn score(&self, gpu: &Gpu, features: &Features) -> Result<Scores> {
        let sizes = &self.sizes;
        let n = features.n_rows();
        let mut outputs = Vec::with_capacity(n * sizes.outputs);
        let mut encoder = gpu.encoder();
        encoder.clear_buffer(&self.buffers.get("anchor_totals").raw, 0, None);
        gpu.submit(encoder)?;
        let mut first = 0;
        while first < n {
            let rows = self.load(gpu, sizes, features, first)?;
            let step = Step { rows: rows as u32, ..Step::default() };
            gpu.write(self.buffers.get("step"), 0, &[step])?;
            let mut encoder = gpu.encoder();
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for launch in &self.launches {
                launch.record(&mut pass, sizes, &step, 0);
            }
            drop(pass);
            gpu.submit(encoder)?;
            outputs.extend(gpu.read::<f32>(self.buffers.get("outputs"), rows * sizes.outputs)?);
            first += rows;
        }
        let totals: Vec<[u32; 2]> = gpu.read(self.buffers.get("anchor_totals"), sizes.anchors)?;
        Ok(Scores {
            outputs: Array2::from_shape_vec((n, sizes.outputs), outputs).expect("n rows of C"),
            pairs: totals.iter().map(|total| u64::from(total[0])).sum(),
            gamma: totals.iter().map(|total| f64::from(f32::from_bits(total[1]))).collect(),
        })
    }

    /// Brings as many rows from `first` on as fit; returns how many.
    fn load(&self, gpu: &Gpu, sizes: &Sizes, features: &Features, first: usize) -> Result<usize> {
        let n = features.n_rows();
        match features {
            Features::Dense(all) => {
                let rows = sizes.capacity.min(n - first);
                let cells = all.as_slice().expect("row-major rows");
                let cells = &cells[first * sizes.features..][..rows * sizes.features];
                upload_rows(gpu, &self.buffers, &RowLayout::plain(sizes), cells)?;
                Ok(rows)
            }
            Features::Sparse(csr) => {
                let begin = csr.offsets[first];
                let fits = |end: usize| end - begin <= self.entries;
                let ends = &csr.offsets[first + 1..];
                let rows = ends.iter().take(sizes.capacity).take_while(|end| fits(**end)).count();
                let offsets: Vec<usize> =
                    csr.offsets[first..=first + rows].iter().map(|offset| offset - begin).collect();
                let end = begin + offsets[rows];
                let starts: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
                gpu.write(self.buffers.get("row_starts"), 0, &starts)?;
                let columns = &csr.indices[begin..end];
                assert!(columns.iter().all(|&j| (j as usize) < sizes.features), "no such column");
                let part = Csr {
                    n_cols: csr.n_cols,
                    offsets,
                    indices: columns.to_vec(),
                    values: csr.values[begin..end].to_vec(),
                };
                upload_entries(gpu, &self.buffers, &part)?;
                Ok(rows)
            }
        }
    }
}

//! A step taken kernel by kernel, with every buffer before and after each: what parity is checked on.

use std::collections::BTreeMap;

use bytemuck::Pod;

use super::sizes::Sizes;
use super::step::{Group, Step};
use super::{Launch, Trainer};
use crate::backend::StepRates;
use crate::error::Result;
use crate::gpu::buffer::Buffers;

/// One kernel of one step.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// Entry point.
    pub(crate) kernel: &'static str,
    pub(crate) sizes: Sizes,
    pub(crate) step: Step,
    /// What `step` was made from.
    pub(crate) rates: StepRates,
    pub(crate) group: Group,
    /// Of a score kernel: whether it writes the sums, and the scores.
    pub(crate) writes: (bool, bool),
    /// Every storage buffer the kernel is bound to, before it ran.
    pub(crate) before: Snapshot,
    /// Those it writes, after.
    pub(crate) after: Snapshot,
}

/// Contents of buffers by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot(BTreeMap<String, Vec<u32>>);

impl Snapshot {
    /// The elements of a buffer.
    pub(crate) fn get<T: Pod>(&self, name: &str) -> &[T] {
        let words = self.0.get(name).unwrap_or_else(|| panic!("no buffer `{name}`"));
        let whole = words.len() * 4 / size_of::<T>() * size_of::<T>() / 4;
        bytemuck::cast_slice(&words[..whole])
    }

    /// Whether there is a buffer of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The buffers' names.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The same, to be changed.
    #[cfg(test)]
    pub(crate) fn get_mut(&mut self, name: &str) -> &mut [u32] {
        self.0.get_mut(name).unwrap_or_else(|| panic!("no buffer `{name}`"))
    }
}

/// Buffers of numbers that a step fills before it reads them: they start as NaN, so that a cell no
/// kernel writes is seen.
const FILLED: [&str; 8] =
    ["distance", "norm_parts", "scores", "sums", "outputs", "row_losses", "pulls", "kappa_totals"];

impl Trainer<'_> {
    /// Takes a step on `rows`, and tells what each kernel did.
    pub(crate) fn trace(&mut self, rows: &[u32], rates: StepRates) -> Result<Vec<Trace>> {
        self.fetch_totals()?;
        self.current = None;
        let span = self.set.load(&self.gpu, &self.sizes, &[rows.to_vec()])?[0];
        let step = Step {
            first_row: span.first_row as u32,
            first_column: span.first_column as u32,
            n_columns: span.n_columns as u32,
            ..Step::new(rows.len(), rates, &self.config)
        };
        self.gpu.write(self.buffers.get("step"), 0, &Step::spread(&[step]))?;
        for name in FILLED {
            if name == "distance" && self.sizes.anchors == 1 {
                continue;
            }
            let buffer = self.buffers.get(name);
            let words = buffer.raw.size() as usize / 4;
            self.gpu.write(buffer, 0, &vec![f32::NAN; words])?;
        }
        // Running sums that start at something.
        let totals = self.buffers.get("anchor_totals");
        self.gpu.write(totals, 0, &vec![[3, 0.5_f32.to_bits()]; self.sizes.anchors])?;
        let traces = self.launches.iter().map(|launch| self.trace_kernel(launch, step, rates));
        let traces = traces.collect::<Result<_>>()?;
        self.gpu.write(totals, 0, &vec![[0_u32; 2]; self.sizes.anchors])?;
        Ok(traces)
    }

    fn trace_kernel(&self, launch: &Launch, step: Step, rates: StepRates) -> Result<Trace> {
        let before = self.snapshot(launch, &launch.buffers, |_| true)?;
        let mut encoder = self.gpu.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        launch.record(&mut pass, &self.sizes, &step, 0);
        drop(pass);
        self.gpu.submit(encoder)?;
        Ok(Trace {
            kernel: launch.bound.pipeline.name,
            sizes: self.sizes,
            step,
            rates,
            group: launch.group,
            writes: launch.writes,
            before,
            after: self.snapshot(launch, &launch.buffers, |written| written)?,
        })
    }

    fn snapshot(
        &self,
        launch: &Launch,
        buffers: &Buffers,
        wanted: impl Fn(bool) -> bool,
    ) -> Result<Snapshot> {
        let mut contents = BTreeMap::new();
        for binding in launch.bound.pipeline.bindings() {
            if binding.is_storage() && wanted(binding.is_written()) {
                let buffer = buffers.find(&binding.name).expect("it was bound");
                let words = self.gpu.read(buffer, buffer.raw.size() as usize / 4)?;
                contents.insert(binding.name.clone(), words);
            }
        }
        Ok(Snapshot(contents))
    }
}

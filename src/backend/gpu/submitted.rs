//! Steps on their way: what the host hears of them while it is ahead of the device.

use super::step::Step;
use crate::backend::StepLoss;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::{Buffer, Reading};

/// A submission, and the losses of its steps, which come back with it: divergence is seen while the
/// epoch runs.
pub(super) struct Submitted {
    index: wgpu::SubmissionIndex,
    losses: Reading,
    /// Rows of each step.
    rows: Vec<u32>,
}

impl Submitted {
    /// Submits what is recorded of these steps, and the losses behind it.
    pub(super) fn send(
        gpu: &Gpu,
        mut encoder: wgpu::CommandEncoder,
        losses: &Buffer,
        steps: &[Step],
    ) -> Result<Self> {
        let first = steps.first().map_or(0, |step| u64::from(step.loss_slot));
        let bytes = size_of::<f32>() as u64;
        let n = steps.len() as u64;
        let mut losses = Reading::record(gpu, &mut encoder, losses, first * bytes, n * bytes)?;
        let index = gpu.submit(encoder)?;
        losses.begin();
        Ok(Self { index, losses, rows: steps.iter().map(|step| step.rows).collect() })
    }

    /// Waits for it.
    pub(super) fn finish(self, gpu: &Gpu) -> Result<Vec<StepLoss>> {
        gpu.wait(Some(self.index))?;
        let mut losses: Vec<f32> = Vec::new();
        self.losses.take(gpu, &mut losses)?;
        let steps = self.rows.iter().zip(losses);
        Ok(steps.map(|(&rows, loss)| StepLoss { rows: rows.into(), sum: loss.into() }).collect())
    }
}

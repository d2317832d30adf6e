//! The time of each kernel of a GPU, dispatch by dispatch, beside what the adapter can do at best.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{GpuFloors, Job, KernelCost, STILL, StepFloor, Timing};
use crate::backend::gpu::Trainer;
use crate::backend::{Backend, Placement, RowStorage};
use crate::error::Result;
use crate::gpu::Gpu;

pub use crate::backend::gpu::timer::Dispatch;

/// The most dispatches that are timed: a trace of more is more than anybody looks at.
const MOST_DISPATCHES: usize = 100_000;

/// What the steps of a GPU run, and, where the device tells, how long it takes.
#[derive(Debug, Clone)]
pub struct GpuTiming {
    /// Kernels of a step in their order, each with its dispatches.
    pub kernels: Vec<(&'static str, usize)>,
    /// Whether the training rows lie on the device.
    pub resident: bool,
    /// Steps timed; none where the device has no timestamps.
    pub steps: usize,
    /// Their dispatches.
    pub dispatches: Vec<Dispatch>,
}

/// A kernel of an epoch beside its floor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelReport {
    /// Entry point.
    pub kernel: &'static str,
    /// Dispatches of a step.
    pub dispatches: usize,
    /// Operations of a step.
    pub flops: f64,
    /// Bytes that a step reads and writes.
    pub bytes: f64,
    /// Least seconds of an epoch: max(flops/peak, bytes/copy rate, dispatches × latency).
    pub floor_seconds: f64,
    /// What was measured, where the device has timestamps.
    #[serde(flatten)]
    pub rates: Option<KernelRates>,
}

/// What a kernel was measured to take and do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelRates {
    /// Seconds of an epoch.
    pub seconds: f64,
    /// Part of the seconds of all kernels.
    pub share: f64,
    /// Operations a second, in 10⁹.
    pub gflops_per_second: f64,
    /// Bytes a second, in 10⁹.
    pub gigabytes_per_second: f64,
    /// Least time it can take over that it took.
    pub of_floor: f64,
}

/// A step, and an epoch beside its floor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Dispatches of a step, each of which waits for the one before.
    pub dispatches: usize,
    /// Operations of a step.
    pub flops: f64,
    /// Bytes that the kernels of a step read and write.
    pub bytes: f64,
    /// Bytes that the host sends for a step.
    pub uploaded_bytes: f64,
    /// Least seconds of an epoch, and the terms they are made of.
    pub floor: StepFloor,
    /// Seconds of all kernels of an epoch, where the device has timestamps.
    pub kernel_seconds: Option<f64>,
    /// Steps whose dispatches were timed.
    pub steps_timed: usize,
    /// Least time an epoch can take over that it took, without timestamps.
    pub of_floor: f64,
}

impl Job<'_> {
    /// Takes the time of each dispatch of an epoch, in a run of its own: as many steps as `budget` allows, one at
    /// least, until `goes_on` says to end.
    ///
    /// # Errors
    /// Those of the device.
    pub fn time_kernels(
        &self,
        gpu: &Arc<Gpu>,
        (placement, storage): (Placement, RowStorage),
        budget: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<GpuTiming> {
        let rows = self.train_rows();
        let mut trainer =
            Trainer::new(gpu, &self.initial, &self.config, rows, (placement, storage))?;
        let mut kernels: Vec<(&'static str, usize)> = Vec::new();
        for name in trainer.kernels() {
            match kernels.iter_mut().find(|(known, _)| *known == name) {
                Some((_, dispatches)) => *dispatches += 1,
                None => kernels.push((name, 1)),
            }
        }
        let resident = trainer.device_use().is_some_and(|it| it.placement == Placement::Resident);
        let mut timing = GpuTiming { kernels, resident, steps: 0, dispatches: Vec::new() };
        if !trainer.time_dispatches()? {
            return Ok(timing);
        }
        // A driver may compile when a kernel first runs.
        if let Some(first) = self.batches().next() {
            trainer.step(first, self.rates(STILL))?;
            trainer.take_totals()?;
            trainer.take_dispatches()?;
        }
        let a_step: usize = timing.kernels.iter().map(|(_, dispatches)| dispatches).sum();
        let start = Instant::now();
        for batch in self.batches() {
            let most = (timing.steps + 1) * a_step > MOST_DISPATCHES;
            if timing.steps > 0 && (most || start.elapsed() >= budget || !goes_on()) {
                break;
            }
            trainer.step(batch, self.rates(STILL))?;
            timing.steps += 1;
        }
        timing.dispatches = trainer.take_dispatches()?;
        Ok(timing)
    }
}

impl Timing {
    /// The kernels of an epoch beside their floors, in the order of a step; and the step itself.
    pub fn gpu_report(
        &self,
        timed: &GpuTiming,
        floors: &GpuFloors,
    ) -> (Vec<KernelReport>, StepReport) {
        let steps = self.steps as f64;
        let costs: Vec<KernelCost> = (timed.kernels.iter())
            .map(|&(name, dispatches)| KernelCost {
                dispatches: dispatches as f64,
                ..self.work.kernel(name).expect("a test goes over the kernels")
            })
            .collect();
        let sum = |of: fn(&KernelCost) -> f64| costs.iter().map(of).sum::<f64>();
        let bytes = sum(|kernel| kernel.bytes);
        let seconds = (timed.steps > 0).then(|| {
            let an_epoch = steps / timed.steps as f64;
            costs.iter().map(|kernel| an_epoch * timed.seconds(kernel.name)).collect::<Vec<f64>>()
        });
        let kernel_seconds = seconds.as_ref().map(|seconds| seconds.iter().sum::<f64>());
        let report = |(i, cost): (usize, &KernelCost)| {
            let floor_seconds = steps * floors.seconds(cost, bytes);
            let rates = seconds.as_ref().zip(kernel_seconds).map(|(all, total)| {
                // A clock may be too coarse to see a kernel at all.
                let seconds = all[i].max(f64::MIN_POSITIVE);
                KernelRates {
                    seconds: all[i],
                    share: all[i] / total.max(f64::MIN_POSITIVE),
                    gflops_per_second: (1e-9 * steps * cost.flops / seconds).min(f64::MAX),
                    gigabytes_per_second: (1e-9 * steps * cost.bytes / seconds).min(f64::MAX),
                    of_floor: (floor_seconds / seconds).min(f64::MAX),
                }
            });
            let KernelCost { name: kernel, dispatches, flops, bytes } = *cost;
            let dispatches = dispatches as usize;
            KernelReport { kernel, dispatches, flops, bytes, floor_seconds, rates }
        };
        let rows = costs.iter().enumerate().map(report).collect();
        let floor = floors.steps(&costs, steps);
        let step = StepReport {
            dispatches: sum(|kernel| kernel.dispatches) as usize,
            flops: sum(|kernel| kernel.flops),
            bytes,
            uploaded_bytes: self.work.uploaded_bytes(timed.resident),
            floor,
            kernel_seconds,
            steps_timed: timed.steps,
            of_floor: floor.seconds / self.seconds,
        };
        (rows, step)
    }
}

impl GpuTiming {
    /// Seconds of the dispatches of a kernel.
    fn seconds(&self, kernel: &str) -> f64 {
        let own = self.dispatches.iter().filter(|dispatch| dispatch.kernel == kernel);
        own.map(|dispatch| dispatch.seconds).sum()
    }
}

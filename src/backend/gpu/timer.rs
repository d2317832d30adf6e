//! The time of each dispatch of the steps: every one gets a pass of its own, whose beginning and end
//! the device writes down.

use serde::Serialize;

use super::sizes::Sizes;
use super::step::{STEP_PITCH, Step};
use super::{Launch, Trainer};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::queries::{MOST_PASSES, Queries};

/// A dispatch, as the device timed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dispatch {
    /// Entry point.
    pub kernel: &'static str,
    /// The step it belongs to, from 0 on.
    pub step: u64,
    /// Workgroups.
    pub workgroups: u64,
    /// Seconds at which it began, since the first one.
    pub start: f64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Times dispatches.
#[derive(Debug)]
pub(super) struct Timer {
    queries: Queries,
    steps: u64,
    /// Those that were submitted, without their times as yet.
    waiting: Vec<Dispatch>,
    dispatches: Vec<Dispatch>,
}

impl Timer {
    /// Records the steps of a submission.
    pub(super) fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        launches: &[Launch],
        sizes: &Sizes,
        steps: &[Step],
    ) {
        for (i, step) in steps.iter().enumerate() {
            for launch in launches {
                let mut pass = self.queries.pass(encoder);
                launch.record(&mut pass, sizes, step, i as u32 * STEP_PITCH as u32);
                self.waiting.push(Dispatch {
                    kernel: launch.bound.pipeline.name,
                    step: self.steps,
                    workgroups: launch.workgroups(sizes, step),
                    start: 0.0,
                    seconds: 0.0,
                });
            }
            self.steps += 1;
        }
        self.queries.resolve(encoder);
    }

    /// Waits for the times of what was recorded.
    pub(super) fn read(&mut self, gpu: &Gpu) -> Result<()> {
        let timed = self.waiting.drain(..).zip(self.queries.read(gpu)?);
        self.dispatches.extend(timed.map(|(of, (start, seconds))| Dispatch {
            start,
            seconds,
            ..of
        }));
        Ok(())
    }
}

impl Trainer<'_> {
    /// From now on the time of each dispatch is taken, and the host waits for every submission. False
    /// where the device does not tell them, or a step has more than it tells of.
    pub(crate) fn time_dispatches(&mut self) -> Result<bool> {
        self.flush()?;
        let steps = self.set.steps.min(MOST_PASSES / self.launches.len());
        let Some(queries) = self.gpu.queries(steps.max(1) * self.launches.len())? else {
            return Ok(false);
        };
        self.set.steps = steps;
        let (waiting, dispatches) = (Vec::new(), Vec::new());
        self.timer = Some(Timer { queries, steps: 0, waiting, dispatches });
        Ok(true)
    }

    /// The dispatches timed since they were taken last, with those of steps that wait; steps count from 0
    /// again.
    pub(crate) fn take_dispatches(&mut self) -> Result<Vec<Dispatch>> {
        self.flush()?;
        let Some(timer) = &mut self.timer else { return Ok(Vec::new()) };
        timer.steps = 0;
        Ok(std::mem::take(&mut timer.dispatches))
    }

    /// The kernels of a step, in their order; more than once where it takes the anchors in groups.
    pub(crate) fn kernels(&self) -> Vec<&'static str> {
        self.launches.iter().map(|launch| launch.bound.pipeline.name).collect()
    }
}

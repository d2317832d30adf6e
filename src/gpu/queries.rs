//! When passes begin and end, by the device's own clock.
//!
//! The crate `wgpu-profiler` does this for nested scopes over frames, and its trace files have no place for
//! the number of a step: one pass after the other takes less code than to use it.

use super::buffer::Buffer;
use super::device::Gpu;
use crate::error::Result;

/// The most passes that can be timed at once: each takes two queries of a set.
pub(crate) const MOST_PASSES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Timestamps of passes.
#[derive(Debug)]
pub(crate) struct Queries {
    set: wgpu::QuerySet,
    results: Buffer,
    /// Seconds of a tick.
    tick: f64,
    /// The first tick read: the others count from it.
    origin: Option<u64>,
    /// Passes recorded, and those there is room for.
    passes: u32,
    most: u32,
}

impl Gpu {
    /// Whether the device tells when passes begin and end.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Room for the times of so many passes; none where the device does not tell them, or not of so many.
    pub(crate) fn queries(&self, passes: usize) -> Result<Option<Queries>> {
        if !self.has_timestamps() || passes > MOST_PASSES {
            return Ok(None);
        }
        let most = passes as u32;
        let descriptor = wgpu::QuerySetDescriptor {
            label: Some("llfm.times"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * most,
        };
        let set = self.guarded(|| self.device.create_query_set(&descriptor));
        Ok(Some(Queries {
            set: set.map_err(|refusal| self.error(refusal))?,
            results: self.query_results(16 * passes as u64)?,
            tick: 1e-9 * f64::from(self.queue.get_timestamp_period()),
            origin: None,
            passes: 0,
            most,
        }))
    }
}

impl Queries {
    /// A pass whose beginning and end are taken.
    pub(crate) fn pass<'e>(
        &mut self,
        encoder: &'e mut wgpu::CommandEncoder,
    ) -> wgpu::ComputePass<'e> {
        assert!(self.passes < self.most, "room for {} passes", self.most);
        let first = 2 * self.passes;
        self.passes += 1;
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.set,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            }),
        })
    }

    /// Ends what is to be submitted before [`read`](Self::read).
    pub(crate) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.set, 0..2 * self.passes, &self.results.raw, 0);
    }

    /// Seconds at which each of the passes began, since the first of all, and which it took; waits for them.
    pub(crate) fn read(&mut self, gpu: &Gpu) -> Result<Vec<(f64, f64)>> {
        let passes = std::mem::take(&mut self.passes) as usize;
        let ticks: Vec<[u64; 2]> = gpu.read(&self.results, passes)?;
        let origin = *self.origin.get_or_insert(ticks.first().map_or(0, |first| first[0]));
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 * self.tick;
        Ok(ticks
            .iter()
            .map(|&[begin, end]| (seconds(origin, begin), seconds(begin, end)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::fault::Faults;
    use crate::gpu::testing::{faulty_gpu, test_gpu};

    #[test]
    fn passes_are_timed_in_their_order() {
        let Some(gpu) = test_gpu().filter(|gpu| gpu.has_timestamps()) else { return };
        let mut queries = gpu.queries(3).expect("memory").expect("timestamps");
        let mut last = 0.0;
        for passes in [3, 2] {
            let mut encoder = gpu.encoder();
            (0..passes).for_each(|_| drop(queries.pass(&mut encoder)));
            queries.resolve(&mut encoder);
            gpu.submit(encoder).expect("submitted");
            let times = queries.read(&gpu).expect("read");
            assert_eq!(times.len(), passes);
            for (begin, seconds) in times {
                assert!(begin >= last && seconds >= 0.0, "{begin} after {last}, {seconds}");
                last = begin + seconds;
            }
        }
    }

    #[test]
    fn no_times_where_the_device_has_none_or_too_many_are_asked_for() {
        let Some(gpu) = test_gpu() else { return };
        assert!(gpu.queries(super::MOST_PASSES + 1).expect("no error").is_none());
        let faults = Faults { no_timestamps: true, ..Faults::default() };
        let Some(gpu) = faulty_gpu(faults) else { return };
        assert!(!gpu.has_timestamps() && gpu.queries(1).expect("no error").is_none());
    }
}

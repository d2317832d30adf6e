//! What a GPU can do at best: multiply and add, copy, and begin one dispatch after another.

use std::time::Instant;

use serde::Serialize;

use super::{CopyRate, Floors, TRIES};
use crate::backend::RowStorage;
use crate::bench::KernelCost;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;
use crate::gpu::pipeline::{Bound, Constants};
use crate::gpu::queries::Queries;
use crate::gpu::shaders::Shader;

/// Seconds of a measurement, of which the best of three counts: work is doubled until it takes as long.
const SECONDS: f64 = 0.01;
/// The most that work is doubled to.
const MOST_ROUNDS: u64 = 1 << 16;

/// Bytes of both buffers of a copy, the largest where no cache holds it.
const COPIES: [u64; 4] = [1 << 20, 1 << 23, 1 << 25, 1 << 27];
/// Bytes that a workgroup of `copy.wgsl` copies.
const BLOCK: u64 = 16 << 10;

/// Tiles and features of the product, as in `product.wgsl`.
const TILES: usize = 8;
const TILE: usize = 128;
const DEPTH: usize = 512;

/// Dispatches that wait for each other, and how often they are timed: a few milliseconds of a GPU.
const DISPATCHES: u64 = 200;
const WAITS: usize = 10;

/// The adapter's best.
#[derive(Debug, Clone, Serialize)]
pub struct GpuFloors {
    /// Operations and copies by kernels, in f32.
    #[serde(flatten)]
    pub rates: Floors,
    /// Seconds from one dispatch to the next that waits for it.
    pub dispatch_seconds: f64,
}

/// The least that a number of steps can take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StepFloor {
    /// Seconds: kernel by kernel the largest of the three terms, which follow summed each for itself.
    pub seconds: f64,
    /// Operations at the peak.
    pub computing: f64,
    /// Bytes at the copy rate.
    pub moving: f64,
    /// Dispatches that wait for each other.
    pub waiting: f64,
}

impl GpuFloors {
    /// Measures them on the adapter: under a second of a GPU, a few of a software driver.
    ///
    /// # Errors
    /// Those of the device.
    pub fn measure(gpu: &Gpu) -> Result<Self> {
        let mut clock = Clock { gpu, queries: gpu.queries(1)? };
        let flops_per_second = clock.product()?;
        let reached = gpu.largest_binding() / BLOCK * BLOCK;
        let mut sizes: Vec<u64> = COPIES.iter().map(|&bytes| bytes.min(2 * reached)).collect();
        sizes.dedup();
        let copies = sizes.into_iter().map(|bytes| clock.copy(bytes)).collect::<Result<_>>()?;
        let dispatch_seconds = clock.wait()?;
        Ok(Self { rates: Floors { flops_per_second, copies }, dispatch_seconds })
    }

    /// Those of an adapter known by its data sheet.
    pub fn of(flops_per_second: f64, bytes_per_second: f64, dispatch_seconds: f64) -> Self {
        let copies = vec![CopyRate { bytes: usize::MAX, bytes_per_second }];
        Self { rates: Floors { flops_per_second, copies }, dispatch_seconds }
    }

    /// Seconds that a kernel of a step takes at least: max(flops/peak, bytes/copy rate, dispatches ×
    /// latency), its arrays used again after `reach` bytes.
    pub fn seconds(&self, kernel: &KernelCost, reach: f64) -> f64 {
        self.rates.seconds(kernel.cost(), reach).max(kernel.dispatches * self.dispatch_seconds)
    }

    /// Seconds that so many steps of these kernels take at least. What a step touches it touches again a
    /// step later, so copies are those of arrays as large as all that it moves.
    pub fn steps(&self, kernels: &[KernelCost], steps: f64) -> StepFloor {
        let sum = |of: fn(&KernelCost) -> f64| kernels.iter().map(of).sum::<f64>();
        let bytes = sum(|kernel| kernel.bytes);
        let seconds: f64 = kernels.iter().map(|kernel| self.seconds(kernel, bytes)).sum();
        StepFloor {
            seconds: steps * seconds,
            computing: steps * sum(|kernel| kernel.flops) / self.rates.flops_per_second,
            moving: steps * bytes / self.rates.bytes_per_second(bytes),
            waiting: steps * sum(|kernel| kernel.dispatches) * self.dispatch_seconds,
        }
    }
}

/// Times dispatches: by the device where it tells, else from submission to the end.
struct Clock<'a> {
    gpu: &'a Gpu,
    queries: Option<Queries>,
}

/// A shader of a floor, whose workgroups are chosen by hand.
macro_rules! floor {
    ($name:literal, $file:literal) => {
        Shader { name: $name, source: include_str!($file), groups: |_, _, _| 0 }
    };
}

impl Clock<'_> {
    /// Operations a second of the product of two matrices, tile by tile.
    fn product(&mut self) -> Result<f64> {
        let (mut buffers, line) = (Buffers::default(), TILES * TILE);
        buffers.add_filled(self.gpu, "left", &vec![0.5_f32; DEPTH * line])?;
        buffers.add_filled(self.gpu, "right", &vec![0.25_f32; DEPTH * line])?;
        buffers.add(self.gpu, "product", TILES * TILES * 256 * 4)?;
        let kernel = self.bind(&floor!("product_floor", "product.wgsl"), 1, &buffers)?;
        let tiles = (TILES * TILES) as u64;
        Ok((2 * line * line * DEPTH) as f64 * self.rounds_per_second(&kernel, tiles)?)
    }

    /// Bytes read and written a second by copies between buffers of `bytes` together.
    fn copy(&mut self, bytes: u64) -> Result<CopyRate> {
        let mut buffers = Buffers::default();
        buffers.add(self.gpu, "from_here", (bytes / 8) as usize)?;
        buffers.add(self.gpu, "to_there", (bytes / 8) as usize)?;
        let blocks = bytes / 2 / BLOCK;
        let kernel = self.bind(&floor!("copy_floor", "copy.wgsl"), blocks, &buffers)?;
        let rounds_per_second = self.rounds_per_second(&kernel, blocks)?;
        let bytes_per_second = bytes as f64 * rounds_per_second;
        Ok(CopyRate { bytes: bytes as usize, bytes_per_second })
    }

    /// Seconds of a dispatch that has nothing to do but to wait for another.
    fn wait(&mut self) -> Result<f64> {
        let mut buffers = Buffers::default();
        buffers.add(self.gpu, "counts", 64)?;
        let kernel = self.bind(&floor!("wait_floor", "wait.wgsl"), 1, &buffers)?;
        let mut best = f64::INFINITY;
        for _ in 0..WAITS {
            best = best.min(self.seconds(&kernel, 1, DISPATCHES)?);
        }
        Ok(best / DISPATCHES as f64)
    }

    fn bind(&self, shader: &Shader, blocks: u64, buffers: &Buffers) -> Result<Bound> {
        let constants = Constants([("blocks", blocks as f64)].into());
        self.gpu.pipeline(shader, RowStorage::F32, &constants)?.bind(self.gpu, buffers)
    }

    /// How often `groups` workgroups are through in a second, where one dispatch has them many times.
    fn rounds_per_second(&mut self, kernel: &Bound, groups: u64) -> Result<f64> {
        let mut rounds = 1;
        while rounds < MOST_ROUNDS && self.seconds(kernel, rounds * groups, 1)? < SECONDS {
            rounds *= 2;
        }
        let mut best = f64::INFINITY;
        for _ in 0..TRIES {
            best = best.min(self.seconds(kernel, rounds * groups, 1)?);
        }
        Ok(rounds as f64 / best)
    }

    fn seconds(&mut self, kernel: &Bound, groups: u64, dispatches: u64) -> Result<f64> {
        let mut encoder = self.gpu.encoder();
        let record = |mut pass: wgpu::ComputePass<'_>| {
            (0..dispatches).for_each(|_| kernel.record(&mut pass, groups, 0));
        };
        let Some(queries) = &mut self.queries else {
            record(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            let start = Instant::now();
            let submission = self.gpu.submit(encoder)?;
            self.gpu.wait(Some(submission))?;
            return Ok(start.elapsed().as_secs_f64());
        };
        record(queries.pass(&mut encoder));
        queries.resolve(&mut encoder);
        self.gpu.submit(encoder)?;
        let seconds = queries.read(self.gpu)?[0].1;
        // A clock too coarse to see it.
        Ok(seconds.max(1e-9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fault::Faults;
    use crate::gpu::testing::{faulty_gpu, test_gpu};

    #[test]
    fn the_floor_of_a_kernel_is_the_largest_of_three_terms() {
        let floors = GpuFloors::of(100.0, 50.0, 0.25);
        let kernel = |flops, bytes, dispatches| KernelCost { name: "", dispatches, flops, bytes };
        let kernels = [kernel(200.0, 50.0, 1.0), kernel(0.0, 500.0, 1.0), kernel(0.0, 0.0, 2.0)];
        let seconds = kernels.map(|kernel| floors.seconds(&kernel, 1e9));
        assert_eq!(seconds, [2.0, 10.0, 0.5]);
        let expected = StepFloor {
            seconds: 3.0 * 12.5,
            computing: 3.0 * 2.0,
            moving: 3.0 * 11.0,
            waiting: 3.0,
        };
        assert_eq!(floors.steps(&kernels, 3.0), expected);
    }

    #[test]
    fn every_rate_is_a_positive_number_by_either_clock() {
        let without = || faulty_gpu(Faults { no_timestamps: true, ..Faults::default() });
        for gpu in [test_gpu(), without()] {
            let Some(gpu) = gpu else { return };
            let floors = GpuFloors::measure(&gpu).expect("the device works");
            let rates = [floors.rates.flops_per_second, 1.0 / floors.dispatch_seconds];
            assert!(rates.iter().all(|rate| rate.is_finite() && *rate > 100.0), "{floors:?}");
            assert!(floors.rates.copies.len() > 1, "{floors:?}");
            let sound =
                |copy: &CopyRate| copy.bytes_per_second.is_finite() && copy.bytes_per_second > 1e6;
            assert!(floors.rates.copies.iter().all(sound), "{floors:?}");
        }
    }

    #[test]
    fn copies_stay_within_what_the_device_reaches() {
        let limit = Faults { limit: Some(3 << 20), ..Faults::default() };
        let Some(gpu) = faulty_gpu(limit) else { return };
        let floors = GpuFloors::measure(&gpu).expect("the device works");
        let sizes: Vec<usize> = floors.rates.copies.iter().map(|copy| copy.bytes).collect();
        assert_eq!(sizes, [1 << 20, 6 << 20]);
    }
}

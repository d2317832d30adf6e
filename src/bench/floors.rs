//! What this machine can do at best: multiply and add, and copy.

pub(super) mod gpu;

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Simd, WithSimd};
use serde::Serialize;

use super::cost::Cost;
use crate::simd::{LANES, dispatch};

/// Time of one measurement, of which the best of three counts.
const TIME: Duration = Duration::from_millis(30);
const TRIES: usize = 3;

/// Bytes of both buffers of a copy, all threads together: from what any core's own cache holds to what no
/// cache does.
const COPIES: [usize; 4] = [1 << 18, 1 << 21, 1 << 24, 1 << 28];

/// Rows and vectors of the product held in registers: enough chains of fused operations to hide
/// their latency, few enough for 16 registers.
const ROWS: usize = 6;
const VECTORS: usize = 2;
/// Terms of the sums; both factors stay in the first cache.
const DEPTH: usize = 128;

/// The machine's best.
#[derive(Debug, Clone, Serialize)]
pub struct Floors {
    /// Floating-point operations a second of all threads, a fused one counting two.
    pub flops_per_second: f64,
    /// Copies, by rising size.
    pub copies: Vec<CopyRate>,
}

/// How fast buffers of a size are copied.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CopyRate {
    /// Bytes of all buffers.
    pub bytes: usize,
    /// Bytes read and written a second, all threads together.
    pub bytes_per_second: f64,
}

impl Floors {
    /// Measures them on every thread of rayon's pool, in about half a second.
    pub fn measure() -> Self {
        Self { flops_per_second: peak(), copies: COPIES.map(copy).to_vec() }
    }

    /// The rate of copies of arrays that are used again only after `reach` bytes: that of the
    /// smallest buffers of at least that size.
    pub fn bytes_per_second(&self, reach: f64) -> f64 {
        let fits = self.copies.iter().find(|copy| copy.bytes as f64 >= reach);
        fits.or(self.copies.last()).map_or(f64::INFINITY, |copy| copy.bytes_per_second)
    }

    /// Copies beyond every cache.
    pub fn memory(&self) -> f64 {
        self.bytes_per_second(f64::INFINITY)
    }

    /// Seconds that a phase takes at least, whose arrays are used again after `reach` bytes.
    pub fn seconds(&self, cost: Cost, reach: f64) -> f64 {
        let moving = cost.bytes / self.bytes_per_second(reach);
        (cost.flops / self.flops_per_second).max(moving)
    }
}

/// Operations a second of the product of a few rows with a few vectors, the shape of the kernels.
fn peak() -> f64 {
    let terms = (2 * ROWS * VECTORS * DEPTH) as f64;
    best(|| {
        let (rows, columns) = (vec![0.5_f32; ROWS * DEPTH], vec![0.25_f32; 2 * LANES * DEPTH]);
        let mut out = [0.0_f32; 2 * LANES];
        rate(terms * lanes() as f64 * 64.0, || {
            for _ in 0..64 {
                dispatch(Product { rows: black_box(&rows), columns: &columns, out: &mut out });
            }
            black_box(&out);
        })
    })
}

fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    dispatch(Lanes)
}

struct Product<'a> {
    rows: &'a [f32],
    columns: &'a [f32],
    out: &'a mut [f32; 2 * LANES],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        let width = VECTORS * S::F32_LANES;
        let terms = self.rows.as_chunks::<ROWS>().0.iter().zip(self.columns.chunks_exact(width));
        for (row, column) in terms {
            let column = &S::as_simd_f32s(column).0[..VECTORS];
            for r in 0..ROWS {
                let value = simd.splat_f32s(row[r]);
                for w in 0..VECTORS {
                    sums[r][w] = simd.mul_add_f32s(value, column[w], sums[r][w]);
                }
            }
        }
        let mut all = sums[0];
        for row in &sums[1..] {
            for w in 0..VECTORS {
                all[w] = simd.add_f32s(all[w], row[w]);
            }
        }
        S::as_mut_simd_f32s(&mut self.out[..width]).0.copy_from_slice(&all);
    }
}

/// Copies between buffers of `bytes` together.
fn copy(bytes: usize) -> CopyRate {
    let numbers = (bytes / (2 * 4 * rayon::current_num_threads())).max(1);
    let bytes_per_second = best(|| {
        let (from, mut to) = (vec![1.0_f32; numbers], vec![0.0_f32; numbers]);
        rate(8.0 * numbers as f64, || {
            to.copy_from_slice(black_box(&from));
            black_box(&mut to);
        })
    });
    CopyRate { bytes, bytes_per_second }
}

/// The best of a few sums over the threads.
fn best(on_thread: impl Fn() -> f64 + Sync) -> f64 {
    let tries = (0..TRIES).map(|_| rayon::broadcast(|_| on_thread()).iter().sum());
    tries.fold(0.0, f64::max)
}

/// Amount a second, of work of `amount` done over and over.
fn rate(amount: f64, mut work: impl FnMut()) -> f64 {
    work();
    let (start, mut done) = (Instant::now(), 0_u32);
    while done == 0 || start.elapsed() < TIME {
        work();
        done += 1;
    }
    f64::from(done) * amount / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_slower_of_computing_and_copying() {
        let copy = |bytes, bytes_per_second| CopyRate { bytes, bytes_per_second };
        let floors =
            Floors { flops_per_second: 100.0, copies: vec![copy(10, 50.0), copy(20, 5.0)] };
        let cost = Cost { flops: 200.0, bytes: 50.0 };
        assert_eq!(floors.seconds(cost, 10.0), 2.0, "in the first cache");
        assert_eq!(floors.seconds(cost, 11.0), 10.0, "beyond it");
        assert_eq!(floors.seconds(cost, 1e9), 10.0);
        assert_eq!(floors.memory(), 5.0);
    }

    #[test]
    fn every_rate_is_a_positive_number() {
        let floors = Floors::measure();
        assert!(floors.flops_per_second.is_finite() && floors.flops_per_second > 1e6);
        assert_eq!(floors.copies.len(), COPIES.len());
        assert!(floors.copies.iter().all(|copy| copy.bytes_per_second.is_finite()));
        assert!(floors.copies.iter().all(|copy| copy.bytes_per_second > 1e6), "{floors:?}");
    }
}

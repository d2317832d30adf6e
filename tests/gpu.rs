//! What the GPU backend promises beside being right: the same bits every time, wherever the rows lie
//! and however a run is cut into submissions; the CPU's results to the eye of a user.

#[path = "common/gpu.rs"]
mod adapter;
#[path = "training/bench.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bench;
#[path = "gpu/bits.rs"]
mod bits;
#[path = "gpu/training.rs"]
mod training;

use std::sync::OnceLock;

use llfm::backend::{Device, Placement};
use llfm::gpu::Gpu;

/// The device, with the training rows at a place.
pub(crate) fn gpu(placement: Placement) -> Option<Device> {
    static SHARED: OnceLock<Option<Device>> = OnceLock::new();
    let open = || {
        let gpu = Gpu::open(&adapter::gpu_or_skip()?).expect("the adapter opens");
        Some(Device::Gpu { gpu, placement: Placement::Auto })
    };
    match SHARED.get_or_init(open).clone()? {
        Device::Gpu { gpu, .. } => Some(Device::Gpu { gpu, placement }),
        Device::Cpu => unreachable!("a GPU was opened"),
    }
}

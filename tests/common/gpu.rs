//! The GPU that the tests of a binary share.

use std::sync::{Arc, OnceLock};

use llfm::backend::{Device, Placement};
use llfm::gpu::{Adapter, Gpu, adapter};

/// The GPU with the rows placed so; none where `LLFM_GPU=off` says so.
pub(crate) fn device(placement: Placement) -> Option<Device> {
    static OPEN: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let gpu = OPEN.get_or_init(|| Some(Gpu::open(&adapter()?).expect("the adapter opens")));
    gpu.clone().map(|gpu| Device::Gpu { gpu, placement })
}

/// The adapter; without one a test fails, unless `LLFM_GPU=off` says that there is none.
pub(crate) fn adapter() -> Option<Adapter> {
    if std::env::var("LLFM_GPU").is_ok_and(|value| value == "off") {
        eprintln!("LLFM_GPU=off: nothing is checked on a GPU");
        return None;
    }
    let found = adapter::first();
    Some(found.expect(
        "these tests need a GPU or a software Vulkan driver (Debian, Ubuntu: apt-get install \
         mesa-vulkan-drivers libvulkan1); LLFM_GPU=off leaves them out",
    ))
}

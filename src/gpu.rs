//! The GPU as the backend uses it: adapters, device, buffers, pipelines, the kernels' text.

pub mod adapter;
pub(crate) mod buffer;
mod device;
pub(crate) mod pipeline;
pub(crate) mod shaders;

pub use adapter::Adapter;
pub use device::Gpu;

/// The device that unit tests share, software included. `None` only where `LLFM_GPU=off` asks for
/// the tests without a GPU: no device at all is a failure, or tests would pass that checked nothing.
#[cfg(test)]
#[track_caller]
pub(crate) fn test_gpu() -> Option<std::sync::Arc<Gpu>> {
    static SHARED: std::sync::OnceLock<Option<std::sync::Arc<Gpu>>> = std::sync::OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        if std::env::var_os("LLFM_GPU").is_some_and(|value| value == "off") {
            // Past the test harness, which keeps what passing tests print to itself.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "\n*** LLFM_GPU=off: GPU TESTS ARE SKIPPED ***");
            return None;
        }
        Some(adapter::first().and_then(|adapter| Gpu::open(&adapter)).unwrap_or_else(|error| {
            panic!(
                "{error}: install a Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers, which \
                 has a software one), or skip these tests by LLFM_GPU=off"
            )
        }))
    });
    shared.clone()
}

//! The GPU as the backend uses it: adapters, device, buffers, pipelines, the kernels' text.

pub mod adapter;
pub(crate) mod buffer;
mod device;
mod fault;
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
        let opened = Gpu::open(&test_adapter());
        Some(opened.unwrap_or_else(|error| panic!("{error} (LLFM_GPU=off skips these tests)")))
    });
    shared.clone()
}

/// The adapter of the tests; `LLFM_ADAPTER` names another.
#[cfg(test)]
#[track_caller]
pub(crate) fn test_adapter() -> Adapter {
    match adapter::choose(&adapter::Request::Gpu(None)) {
        Ok(adapter::Choice::Gpu(adapter)) => adapter,
        Ok(adapter::Choice::Cpu { .. }) => unreachable!("a GPU was asked for"),
        Err(error) => panic!("{error} (LLFM_GPU=off skips the tests that need one)"),
    }
}

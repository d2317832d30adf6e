//! The adapter that GPU tests run on, and the device that those of a binary share.

use std::io::Write;
use std::sync::{Arc, Once, OnceLock};

use llfm::backend::{Device, Placement, RowStorage};
use llfm::gpu::adapter::{Choice, Request, choose};
use llfm::gpu::{Adapter, Gpu};

/// The GPU, with the training rows at a place; none where `LLFM_GPU=off`.
pub(crate) fn device(placement: Placement) -> Option<Device> {
    static OPEN: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || Some(Gpu::open(&gpu_or_skip()?).expect("the adapter opens"));
    let storage = RowStorage::default();
    OPEN.get_or_init(open).clone().map(|gpu| Device::Gpu { gpu, placement, storage })
}

/// The adapter, software included; `LLFM_ADAPTER` names another. `None` only where `LLFM_GPU=off`
/// asks for the tests without a GPU: none at all is a failure, or tests would pass that checked
/// nothing.
#[track_caller]
pub(crate) fn gpu_or_skip() -> Option<Adapter> {
    static SAID: Once = Once::new();
    if std::env::var_os("LLFM_GPU").is_some_and(|value| value == "off") {
        // Past the test harness, which keeps what passing tests print to itself.
        SAID.call_once(|| {
            let _ = writeln!(std::io::stderr(), "\n*** LLFM_GPU=off: GPU TESTS ARE SKIPPED ***");
        });
        return None;
    }
    match choose(&Request::Gpu(None)) {
        Ok(Choice::Gpu(adapter)) => Some(adapter),
        Ok(Choice::Cpu { .. }) => unreachable!("a GPU was asked for"),
        Err(error) => panic!("{error}\n(LLFM_GPU=off skips the tests that need one)"),
    }
}

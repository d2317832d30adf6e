//! The device of unit tests.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use super::adapter::{Adapter, Choice, Request, choose};
use super::fault::Faults;
use super::{Gpu, fault};

/// The device that unit tests share, software included. `None` only where `LLFM_GPU=off` asks for
/// the tests without a GPU: no device at all is a failure, or tests would pass that checked nothing.
pub(crate) fn test_gpu() -> Option<Arc<Gpu>> {
    static SHARED: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || Some(Gpu::open(&test_adapter()?).expect("the adapter opens"));
    SHARED.get_or_init(open).clone()
}

/// A device of its own, with faults.
pub(crate) fn faulty_gpu(faults: Faults) -> Option<Arc<Gpu>> {
    Some(Gpu::open_with(&test_adapter()?, faults).expect("the adapter opens"))
}

/// A device with a text in the source of one kernel replaced.
pub(crate) fn edited_gpu(kernel: &str, from: &str, to: &str) -> Option<Arc<Gpu>> {
    let edit = fault::Edit { kernel: kernel.into(), from: from.into(), to: to.into() };
    faulty_gpu(Faults { edit: Some(edit), ..Faults::default() })
}

fn test_adapter() -> Option<Adapter> {
    if std::env::var_os("LLFM_GPU").is_some_and(|value| value == "off") {
        // Past the test harness, which keeps what passing tests print to itself.
        let _ = writeln!(std::io::stderr(), "\n*** LLFM_GPU=off: GPU TESTS ARE SKIPPED ***");
        return None;
    }
    match choose(&Request::Gpu(None)) {
        Ok(Choice::Gpu(adapter)) => Some(adapter),
        Ok(Choice::Cpu { .. }) => unreachable!("a GPU was asked for"),
        Err(error) => panic!("{error}\n(LLFM_GPU=off skips the tests that need one)"),
    }
}

//! The device of unit tests.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use super::adapter::{Adapter, Choice, Request, choose};
use super::fault::Faults;
use super::{Gpu, fault};
use crate::backend::gpu::tuning::Variant;

/// The device that unit tests share, software included. `None` only where `LLFM_GPU=off` asks for
/// the tests without a GPU: no device at all is a failure, or tests would pass that checked nothing.
pub(crate) fn test_gpu() -> Option<Arc<Gpu>> {
    static SHARED: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || Some(Gpu::open(&test_adapter()?).expect("the adapter opens"));
    SHARED.get_or_init(open).clone()
}

/// A device of its own, with faults.
pub(crate) fn faulty_gpu(faults: Faults) -> Option<Arc<Gpu>> {
    Some(Gpu::open_with(&test_adapter()?, faults, Variant::default()).expect("the adapter opens"))
}

/// A device with forms of the kernels that the rules would not choose.
pub(crate) fn variant_gpu(variant: Variant) -> Option<Arc<Gpu>> {
    Some(Gpu::open_variant(&test_adapter()?, variant).expect("the adapter opens"))
}

/// The shared device, and others that between them take every other form of the kernels.
pub(crate) fn test_gpus() -> Vec<Arc<Gpu>> {
    let variants = [(false, 32, 64, false), (true, 8, 16, false), (false, 4, 4, true)];
    let other = |(fused_and_by_pairs, score_splits, update_splits, sorted)| {
        let variant = Variant {
            subgroups: Some(true),
            sorted: Some(sorted),
            fused_coding: Some(fused_and_by_pairs),
            score_pairs: Some(fused_and_by_pairs),
            score_splits: Some(score_splits),
            update_splits: Some(update_splits),
        };
        variant_gpu(variant)
    };
    test_gpu().into_iter().chain(variants.into_iter().filter_map(other)).collect()
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

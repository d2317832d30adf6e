//! What the comparison finds, and that it finds it.

mod cases;
pub(in crate::compare) mod corruption;
mod faults;

use std::sync::Arc;

use super::{Row, STEPS, TOLERANCES, Tolerance, kernels, kernels_reading, rings, run, steps};
use crate::backend::{Device, Placement, RowStorage};
use crate::event::Flow;
use crate::gpu::Gpu;
use crate::gpu::testing::{test_gpu, test_gpus};
use cases::{Case, cases};

#[track_caller]
fn passes(name: &str, rows: &[Row]) {
    for row in rows {
        assert!(row.pass, "{name}: {row:?}");
        assert_eq!(row.pass, row.max_error <= row.tolerance, "{name}: {row:?}");
    }
}

fn device(gpu: &Arc<Gpu>) -> Device {
    Device::Gpu { gpu: Arc::clone(gpu), placement: Placement::Auto, storage: RowStorage::F32 }
}

#[test]
fn every_kernel_agrees_with_its_twin() {
    let gpus = test_gpus();
    let mut seen = std::collections::BTreeSet::new();
    for gpu in &gpus {
        for (name, case) in cases() {
            let rows = kernels(&case.data(), &case.config, gpu).unwrap();
            passes(name, &rows);
            seen.extend(rows.into_iter().map(|row| row.name));
        }
    }
    if gpus.is_empty() {
        return;
    }
    let all: std::collections::BTreeSet<String> =
        crate::kernel::SHADERS.iter().map(|kernel| kernel.name.to_owned()).collect();
    assert_eq!(seen, all, "some kernels were not compared");
}

#[test]
fn kernels_agree_with_their_twins_on_the_rows_as_they_are_stored() {
    let Some(gpu) = test_gpu() else { return };
    for storage in [RowStorage::F16, RowStorage::U8] {
        for (name, case) in cases().into_iter().filter(|(name, _)| !name.contains("sparse")) {
            let rows = kernels_reading(storage, &case.data(), &case.config, &gpu).unwrap();
            passes(&format!("{name}, {storage:?}"), &rows);
        }
    }
}

#[test]
fn twenty_steps_end_at_the_same_parameters() {
    let Some(gpu) = test_gpu() else { return };
    for (name, case) in cases() {
        let rows = steps(&case.data(), &case.config, &device(&gpu)).unwrap();
        passes(name, &rows);
        let kinds: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        for kind in ["loss", "anchors", "log L", "metric", "bias", "linear", "scores"] {
            assert!(kinds.contains(&kind), "{name}: {kind} is not in {kinds:?}");
        }
    }
    assert_eq!(STEPS, 20, "the name of this test");
}

#[test]
fn a_whole_run_comes_to_the_same_metric() {
    let Some(gpu) = test_gpu() else { return };
    let mut case = Case::rings(false);
    case.config.epochs = 3;
    let test = rings(1000, 8, false);
    let data = crate::train::TrainData { test: Some(&test), ..case.data() };
    let found = run(&data, &case.config, &device(&gpu), &mut |_| Flow::Continue).unwrap().unwrap();
    passes("run", std::slice::from_ref(&found.row));
    assert_eq!((found.part, found.rows, found.metric), ("test", 1000, "accuracy"));
    assert!(found.cpu > 0.6 && found.seeds <= 3, "{found:?}");
    assert!(run(&data, &case.config, &device(&gpu), &mut |_| Flow::Stop).unwrap().is_none());
}

#[test]
fn every_tolerance_is_positive_and_explained() {
    for entry in TOLERANCES {
        assert!(entry.limit > 0.0 && entry.limit <= 0.2, "{entry:?}");
        assert!(entry.reason.len() > 10, "{entry:?}");
    }
}

#[test]
fn the_page_on_the_gpu_has_the_table_of_tolerances() {
    let page = include_str!("../../docs/gpu.md");
    for entry in TOLERANCES {
        let Tolerance { kernel, output, limit, reason } = entry;
        let line = format!("| `{kernel}` | {output} | {limit:e} | {reason} |");
        assert!(page.contains(&line), "docs/gpu.md lacks:\n{line}");
    }
}

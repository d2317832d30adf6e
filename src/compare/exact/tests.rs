//! Every kernel over the edges of the shapes.

mod problems;

use std::collections::{BTreeMap, BTreeSet};

use super::{expected, limit};
use crate::backend::gpu::trace::Trace;
use crate::compare::tests::corruption::corrupt;
use crate::config::{Coding, TrainConfig};
use crate::gpu::testing::{test_gpu, test_gpus};
use problems::{Problem, Rows, Spec, specs};

/// The first output of a kernel that is too far off.
fn failure(trace: &Trace, config: &TrainConfig) -> Option<String> {
    let checks = expected(trace, config);
    let bad = checks.iter().find(|checked| checked.error() > limit(trace, checked))?;
    let (error, most) = (bad.error(), limit(trace, bad));
    Some(format!("{} {}: {error:.2e} > {most:.2e}", bad.kernel, bad.output))
}

#[test]
fn every_kernel_agrees_with_its_equations_over_edge_shapes() {
    let (gpus, mut failures, mut worst) = (test_gpus(), Vec::new(), BTreeMap::new());
    for (gpu, spec) in gpus.iter().flat_map(|gpu| specs().into_iter().map(move |spec| (gpu, spec)))
    {
        let problem = Problem::new(&spec);
        for trace in problem.trace(gpu) {
            for checked in expected(&trace, &problem.config) {
                let (error, most) = (checked.error(), limit(&trace, &checked));
                if error > most {
                    let what = (checked.kernel, checked.output, &spec, gpu.variant);
                    failures.push(format!("{what:?}: {error:.2e} > {most:.2e}"));
                }
                let entry = worst.entry((checked.kernel, checked.output)).or_insert(0.0_f64);
                *entry = entry.max(error);
            }
        }
    }
    for ((kernel, output), error) in &worst {
        println!("{kernel} {output}: {error:.2e}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if gpus.is_empty() {
        return;
    }
    let seen: BTreeSet<&str> = worst.keys().map(|(kernel, _)| *kernel).collect();
    let all: BTreeSet<&str> = crate::kernel::SHADERS.iter().map(|kernel| kernel.name).collect();
    assert_eq!(seen, all, "some kernels were not checked");
}

#[test]
fn the_problem_with_a_lonely_anchor_has_one() {
    let Some(gpu) = test_gpu() else { return };
    for spec in specs().iter().filter(|spec| spec.rows == Rows::LonelyAnchor) {
        let traces = Problem::new(spec).trace(&gpu);
        let list = traces.iter().find(|trace| trace.kernel == "pair_list").unwrap();
        let starts: &[u32] = list.after.get("starts");
        assert!(starts[1] == 0 && starts.iter().any(|&n| n > 0), "{starts:?}");
    }
}

#[test]
fn one_wrong_number_is_too_far_from_the_equations() {
    let Some(gpu) = test_gpu() else { return };
    for sparse in [false, true] {
        let spec = Spec {
            shape: (20, 9, 6, 3, 4),
            sparse,
            rows: Rows::OneEmpty,
            coding: Coding::Adaptive,
            neighbors: 3,
            all_active: true,
            // Learns everything, with Adam.
            number: 1,
        };
        let problem = Problem::new(&spec);
        let mut traces = problem.trace(&gpu);
        corrupt("exact", &mut traces, |trace| failure(trace, &problem.config).is_none());
    }
}

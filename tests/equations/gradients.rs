//! Gradients: one SGD step moves the parameters by exactly minus the rate times the gradient.

use llfm::backend::{AnchorDropout, Device, StepRates};

use crate::equations::bridge::{Problem, all_specs, to_params, worst_difference};
use crate::equations::cases::{devices, devices_and_streams, edge_cases, random_cases};
use crate::oracle::gradient::weighted_gradient;
use crate::oracle::params::Params;
use crate::oracle::train::Optimizer;
use crate::oracle::{Coding, Distance};

/// So large that the subtraction of old and new parameters costs no digits of the gradient, and a
/// power of two, so that the division costs none.
const RATE: f32 = 64.0;

/// f32 sums of some dozens of terms, where the slopes of several anchors nearly cancel.
const TOLERANCE: f64 = 1e-4;
/// Sparse rows take ‖x − z‖² as a difference of sums; the root or the inverse of a small one
/// magnifies its error.
const SPARSE_TOLERANCE: f64 = 1e-2;

fn backend_gradient(problem: &Problem, device: &Device, sparse: bool) -> Params {
    let config = problem.config(Optimizer::Sgd);
    let rows: Vec<u32> = (0..problem.rows.len() as u32).collect();
    let label_smoothing = problem.spec.smoothing as f32;
    let moved = problem.with_backend(device, &config, sparse, |backend| {
        let rates = StepRates {
            step: 1,
            rate: RATE,
            anchor_rate: RATE,
            label_smoothing,
            anchor_dropout: AnchorDropout::default(),
        };
        backend.step(&rows, rates).unwrap();
        backend.parameters().unwrap()
    });
    let mut gradient = problem.params.clone();
    for ((_, old), (_, new)) in gradient.cells_mut().into_iter().zip(to_params(&moved).cells()) {
        *old = (*old - new) / f64::from(RATE);
    }
    gradient
}

/// The gradient as sparse rows follow it: a column without an entry keeps its numbers.
fn without_absent_columns(problem: &Problem, mut gradient: Params) -> Params {
    for j in 0..problem.rows[0].len() {
        if problem.rows.iter().all(|row| row[j] == 0.0) {
            gradient.log_metric[j] = 0.0;
            gradient.anchors.iter_mut().for_each(|z| z[j] = 0.0);
            gradient.anchor_scale.iter_mut().for_each(|t| t[j] = 0.0);
        }
    }
    gradient
}

fn check(name: &str, problem: &Problem, devices: &[(&str, Device)]) {
    let spec = problem.spec;
    let Problem { params, rows, targets, weights, .. } = problem;
    let all = weighted_gradient(params, &spec, rows, targets, weights);
    let present = without_absent_columns(problem, all.clone());
    let magnified =
        spec.distance == Distance::Euclidean || matches!(spec.coding, Coding::Inverse { .. });
    for (device, backend) in devices {
        for (sparse, expected) in [(false, &all), (true, &present)] {
            let found = backend_gradient(problem, backend, sparse);
            let worst = worst_difference(&found, expected);
            let tolerance = if sparse && magnified { SPARSE_TOLERANCE } else { TOLERANCE };
            assert!(worst < tolerance, "{device}, {name}, sparse {sparse}: {worst:.2e}");
        }
    }
}

fn check_all(shape: (usize, usize, usize), rows: usize, seed: u64, devices: &[(&str, Device)]) {
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, shape, rows, seed + s as u64);
        check(&format!("{spec:?}, {shape:?}"), &problem, devices);
    }
}

#[test]
fn gradients_equal_the_oracle_for_every_method_loss_and_distance() {
    check_all((6, 5, 2), 12, 1, &devices_and_streams());
}

#[test]
fn gradients_of_weighted_rows_equal_the_oracle() {
    let devices = devices_and_streams();
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, (6, 5, 2), 12, 100 + s as u64).weighted();
        check(&format!("{spec:?}, weighted"), &problem, &devices);
    }
}

#[test]
fn gradients_equal_the_oracle_at_edges() {
    let cpu = [("CPU", Device::Cpu)];
    check_all((2, 1, 1), 3, 2, &cpu);
    check_all((3, 16, 10), 16, 3, &cpu);
    check_all((17, 17, 3), 34, 4, &devices());
    check_all((4, 6, 0), 7, 5, &cpu);
    check_all((5, 70, 11), 140, 6, &cpu);
    for case in edge_cases() {
        check(&case.name, &case.problem, &devices());
    }
}

#[test]
fn gradients_equal_the_oracle_for_random_shapes() {
    for case in random_cases(12) {
        check(&case.name, &case.problem, &devices());
    }
}

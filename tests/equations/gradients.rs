//! Gradients: one SGD step of rate 1 moves the parameters by exactly minus the gradient.

use crate::equations::bridge::{Problem, all_specs, everywhere, to_params, worst_difference};
use crate::oracle::gradient::gradient;
use crate::oracle::params::Params;
use crate::oracle::train::Optimizer;
use crate::oracle::{Coding, Distance};
use llfm::backend::{Device, StepRates};

/// The subtraction of old and new parameters alone costs 1e-7 of their size.
const TOLERANCE: f64 = 3e-4;
/// Sparse rows take ‖x − z‖² as a difference of sums; the root or the inverse of a small one
/// magnifies its error.
const SPARSE_TOLERANCE: f64 = 1e-2;

fn backend_gradient(problem: &Problem, device: &Device, sparse: bool) -> Params {
    let config = problem.config(Optimizer::Sgd);
    let rows: Vec<u32> = (0..problem.rows.len() as u32).collect();
    let moved = problem.with_backend(device, &config, sparse, |backend| {
        backend.step(&rows, StepRates { step: 1, rate: 1.0, anchor_rate: 1.0 }).unwrap();
        backend.parameters().unwrap()
    });
    let mut gradient = problem.params.clone();
    for ((_, old), (_, new)) in gradient.cells_mut().into_iter().zip(to_params(&moved).cells()) {
        *old -= new;
    }
    gradient
}

fn check(shape: (usize, usize, usize), rows: usize, seed: u64) {
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, shape, rows, seed + s as u64);
        let expected = gradient(&problem.params, &spec, &problem.rows, &problem.targets);
        for ((name, device), sparse) in everywhere() {
            let worst = worst_difference(&backend_gradient(&problem, device, sparse), &expected);
            let magnified = spec.distance == Distance::Euclidean
                || matches!(spec.coding, Coding::Inverse { .. });
            let tolerance = if sparse && magnified { SPARSE_TOLERANCE } else { TOLERANCE };
            assert!(worst < tolerance, "{name}, {spec:?}, {shape:?}, sparse {sparse}: {worst:.2e}");
        }
    }
}

#[test]
fn gradients_equal_the_oracle_for_every_method_loss_and_distance() {
    check((6, 5, 2), 12, 1);
}

#[test]
fn gradients_equal_the_oracle_at_edges() {
    check((2, 1, 1), 3, 2);
    check((3, 16, 10), 16, 3);
    check((17, 17, 3), 34, 4);
    check((4, 6, 0), 7, 5);
    check((5, 70, 11), 140, 6);
}

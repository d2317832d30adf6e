//! Scores of single rows.

use llfm::backend::Device;

use crate::equations::bridge::{Problem, all_specs};
use crate::equations::cases::{devices, devices_and_streams, edge_cases, random_cases};
use crate::oracle::forward::forward;
use crate::oracle::train::Optimizer;

/// f32 sums of a few dozen terms of size one, times the root of the number of features.
const TOLERANCE: f64 = 2e-5;

fn check(name: &str, problem: &Problem, device: &(&str, Device)) {
    let config = problem.config(Optimizer::Sgd);
    let tolerance = TOLERANCE * (problem.rows[0].len() as f64).sqrt();
    for sparse in [false, true] {
        let features = problem.features(sparse);
        let score = |backend: &mut dyn llfm::backend::Backend| backend.score(&features).unwrap();
        let scores = problem.with_backend(&device.1, &config, sparse, score);
        for (r, row) in problem.rows.iter().enumerate() {
            let expected = forward(&problem.params, &problem.spec, row).output;
            for (c, expected) in expected.iter().enumerate() {
                let found = f64::from(scores.outputs[[r, c]]);
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(
                    error <= tolerance,
                    "{}, {name}, sparse {sparse}, row {r}: {found} for {expected}",
                    device.0
                );
            }
        }
    }
}

fn check_all(shape: (usize, usize, usize), rows: usize, seed: u64, devices: &[(&str, Device)]) {
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, shape, rows, seed + s as u64);
        let name = format!("{spec:?}, {shape:?}");
        devices.iter().for_each(|device| check(&name, &problem, device));
    }
}

#[test]
fn scores_equal_the_oracle_for_every_method_loss_and_distance() {
    check_all((6, 5, 2), 12, 1, &devices_and_streams());
}

#[test]
fn scores_equal_the_oracle_at_edges() {
    let cpu = [("CPU", Device::Cpu)];
    check_all((1, 1, 1), 1, 2, &devices());
    check_all((3, 16, 10), 5, 3, &cpu);
    check_all((17, 17, 3), 9, 4, &cpu);
    check_all((4, 6, 0), 7, 5, &cpu);
    check_all((5, 70, 11), 130, 6, &devices());
    for case in edge_cases() {
        devices().iter().for_each(|device| check(&case.name, &case.problem, device));
    }
}

#[test]
fn scores_equal_the_oracle_for_random_shapes() {
    for case in random_cases(12) {
        devices().iter().for_each(|device| check(&case.name, &case.problem, device));
    }
}

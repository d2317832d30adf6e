//! Scores of single rows.

use crate::equations::bridge::{Problem, all_specs, everywhere};
use crate::oracle::forward::forward;
use crate::oracle::train::Optimizer;

/// f32 sums of a few dozen terms of size one.
const TOLERANCE: f64 = 2e-5;

fn check(shape: (usize, usize, usize), rows: usize, seed: u64) {
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, shape, rows, seed + s as u64);
        let config = problem.config(Optimizer::Sgd);
        for ((name, device), sparse) in everywhere() {
            let features = problem.features(sparse);
            let scores = problem
                .with_backend(device, &config, sparse, |backend| backend.score(&features).unwrap());
            for (r, row) in problem.rows.iter().enumerate() {
                let expected = forward(&problem.params, &spec, row).output;
                for (c, expected) in expected.iter().enumerate() {
                    let found = f64::from(scores.outputs[[r, c]]);
                    let error = (found - expected).abs() / expected.abs().max(1.0);
                    assert!(
                        error <= TOLERANCE * (shape.1 as f64).sqrt(),
                        "{name}, {spec:?}, sparse {sparse}, row {r}: {found} for {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn scores_equal_the_oracle_for_every_method_loss_and_distance() {
    check((6, 5, 2), 12, 1);
}

#[test]
fn scores_equal_the_oracle_at_edges() {
    check((1, 1, 1), 1, 2);
    check((3, 16, 10), 5, 3);
    check((17, 17, 3), 9, 4);
    check((4, 6, 0), 7, 5);
    check((5, 70, 11), 130, 6);
}

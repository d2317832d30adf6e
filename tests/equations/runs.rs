//! Twenty steps of every method, loss and optimizer; the paper's loop.

use llfm::backend::{AnchorDropout, Device, StepRates};

use crate::equations::bridge::{OPTIMIZERS, Problem, all_specs, to_params, worst_difference};
use crate::equations::cases::devices;
use crate::oracle::params::Params;
use crate::oracle::train::{Optimizer, Rates, Trainer};

/// Rounding grows over the steps, most where an anchor enters or leaves a row's active set.
const TOLERANCE: f64 = 1e-4;
const STEPS: usize = 20;

fn backend_run(
    problem: &Problem,
    device: &Device,
    optimizer: Optimizer,
    rates: Rates,
    sparse: bool,
) -> Params {
    let mut config = problem.config(optimizer);
    (config.l2, config.weight_decay) = (rates.l2, rates.weight_decay);
    let rows: Vec<u32> = (0..problem.rows.len() as u32).collect();
    let label_smoothing = problem.spec.smoothing as f32;
    let found = problem.with_backend(device, &config, sparse, |backend| {
        for step in 1..=STEPS as u64 {
            let (rate, anchor_rate) = (rates.rate as f32, rates.anchor_rate as f32);
            let anchor_dropout = AnchorDropout::default();
            let rates = StepRates { step, rate, anchor_rate, label_smoothing, anchor_dropout };
            backend.step(&rows, rates).unwrap();
        }
        backend.parameters().unwrap()
    });
    to_params(&found)
}

#[test]
fn twenty_steps_follow_the_oracle_for_every_optimizer() {
    let rates = Rates { rate: 0.01, anchor_rate: 0.02, l2: 0.01, weight_decay: 0.1 };
    let devices = devices();
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, (6, 5, 2), 15, s as u64);
        for optimizer in OPTIMIZERS {
            let mut oracle = Trainer::new(problem.params.clone(), problem.spec, optimizer);
            for _ in 0..STEPS {
                oracle.step(&problem.rows, &problem.targets, &rates);
            }
            for ((name, device), sparse) in
                devices.iter().flat_map(|device| [(device, false), (device, true)])
            {
                let found = backend_run(&problem, device, optimizer, rates, sparse);
                let worst = worst_difference(&found, &oracle.params);
                assert!(
                    worst < TOLERANCE,
                    "{name}, {spec:?} {optimizer:?} sparse {sparse}: {worst:.2e}"
                );
            }
        }
    }
}

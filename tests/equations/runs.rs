//! Twenty steps of every method, loss and optimizer; the paper's loop.

use crate::equations::bridge::{
    OPTIMIZERS, Problem, all_specs, everywhere, to_params, worst_difference,
};
use crate::oracle::train::{Optimizer, Rates, Trainer};
use llfm::backend::{Device, StepRates};

/// Rounding grows over the steps, most where an anchor enters or leaves a row's active set.
const TOLERANCE: f64 = 2e-3;
const STEPS: usize = 20;

fn run_both(
    problem: &Problem,
    optimizer: Optimizer,
    rates: Rates,
    device: &Device,
    sparse: bool,
) -> f64 {
    let mut config = problem.config(optimizer);
    (config.l2, config.weight_decay) = (rates.l2, rates.weight_decay);
    let rows: Vec<u32> = (0..problem.rows.len() as u32).collect();
    let found = problem.with_backend(device, &config, sparse, |backend| {
        for step in 1..=STEPS as u64 {
            let (rate, anchor_rate) = (rates.rate as f32, rates.anchor_rate as f32);
            backend.step(&rows, StepRates { step, rate, anchor_rate }).unwrap();
        }
        backend.parameters().unwrap()
    });
    let mut trainer = Trainer::new(problem.params.clone(), problem.spec, optimizer);
    for _ in 0..STEPS {
        trainer.step(&problem.rows, &problem.targets, &rates);
    }
    worst_difference(&to_params(&found), &trainer.params)
}

#[test]
fn twenty_steps_follow_the_oracle_for_every_optimizer() {
    let rates = Rates { rate: 0.01, anchor_rate: 0.02, l2: 0.01, weight_decay: 0.1 };
    for (s, spec) in all_specs().enumerate() {
        let problem = Problem::random(spec, (6, 5, 2), 15, s as u64);
        for optimizer in OPTIMIZERS {
            for ((name, device), sparse) in everywhere() {
                let worst = run_both(&problem, optimizer, rates, device, sparse);
                assert!(
                    worst < TOLERANCE,
                    "{name} {spec:?} {optimizer:?} sparse {sparse}: {worst:.2e}"
                );
            }
        }
    }
}

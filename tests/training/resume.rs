//! A run that is left between two steps and taken up again ends with the bits of one without a break.

use std::borrow::Cow;

use llfm::backend::Device;
use llfm::config::{Coding, Distance, Method, Optimizer, TrainConfig};
use llfm::data::{Dataset, Features, Targets};
use llfm::event::{Event, Flow};
use llfm::train::{Snapshot, TrainData, train};
use ndarray::Array2;

use crate::bench::{METHODS, compressed, config, only, pairs, regression, rings, surface};
use crate::resume::assert_resumes;

/// Within an epoch, at its end, and in a later one: of 10 steps each.
const STEPS: [u64; 4] = [3, 10, 17, 18];

fn on_the_cpu(data: &TrainData<'_>, config: &TrainConfig) {
    assert_resumes(&Device::Cpu, data, config, &STEPS);
}

#[test]
fn every_method_optimizer_and_storage_resumes_to_the_same_bits() {
    let dense = rings(310, 5, 1);
    let sparse = [compressed(&dense), pairs(310, 60, 1)];
    for data in [&dense].into_iter().chain(&sparse) {
        for method in METHODS {
            for optimizer in [Optimizer::Sgd, Optimizer::AdaGrad, Optimizer::Adam] {
                let config = TrainConfig { optimizer, epochs: 2, ..config(method) };
                on_the_cpu(&only(data), &config);
            }
        }
    }
}

#[test]
fn ensembles_resume_in_any_member() {
    let data = rings(310, 5, 1);
    let config = TrainConfig { ensemble: 3, epochs: 2, ..config(Method::LlfmJo) };
    assert_resumes(&Device::Cpu, &only(&data), &config, &[5, 20, 33, 40, 41, 57]);
}

#[test]
fn the_best_epoch_and_patience_are_kept_over_a_break() {
    let (train, valid) = (rings(310, 4, 1), rings(200, 4, 2));
    let data = TrainData { valid: Some(&valid), ..only(&train) };
    let overfitting =
        TrainConfig { epochs: 60, learning_rate: 0.3, patience: Some(4), ..config(Method::LlfmJo) };
    assert_resumes(&Device::Cpu, &data, &overfitting, &[15, 40, 61]);
}

#[test]
fn everything_else_that_changes_from_step_to_step_resumes_too() {
    let values = surface(310, 4, 1);
    on_the_cpu(&only(&values), &TrainConfig { l2: 0.01, epochs: 2, ..regression(Method::LlfmJo) });
    let classes = rings(310, 4, 1);
    let busy = TrainConfig {
        anchor_dropout: 0.3,
        label_smoothing: 0.1,
        weight_decay: 0.01,
        distance: Distance::Euclidean,
        epochs: 2,
        ..config(Method::LlfmJo)
    };
    on_the_cpu(&only(&classes), &busy);
    // Few batches have the same rows.
    on_the_cpu(&only(&classes), &TrainConfig { batch_size: 31, epochs: 2, ..busy });
}

/// Rows that are mostly the same: they are trained on as differences, and their many anchors searched for.
#[test]
fn backgrounds_and_searched_anchors_resume_to_the_same_bits() {
    let cell = |i: usize, j: usize| if (i * 31 + j * 17).is_multiple_of(7) { 1.0 } else { -0.5 };
    let rows = Array2::from_shape_fn((310, 80), |(i, j)| cell(i, j) + (i % 5) as f32 * 0.01);
    let features = Features::Dense(Array2::from_shape_fn((310, 80), |(i, j)| {
        if rows[[i, j]] < 0.0 { -0.5 } else { rows[[i, j]] }
    }));
    let targets = Targets::Classes((0..310).map(|i| (i % 2) as u32).collect());
    let data = Dataset { features, targets, weights: None };
    for anchors in [8, 128] {
        let config = TrainConfig { anchors, factors: 15, epochs: 2, ..config(Method::LlfmApl) };
        on_the_cpu(&only(&data), &config);
        let config = TrainConfig { method: Method::LlfmJo, coding: Coding::Adaptive, ..config };
        on_the_cpu(&only(&data), &config);
    }
}

#[test]
fn a_snapshot_of_another_run_is_refused() {
    let data = rings(310, 5, 1);
    let config = config(Method::LlfmJo);
    let mut snapshots = Vec::new();
    let keep = &mut |event: &Event<'_>| match event {
        Event::Step { done: 3, .. } => Flow::Snapshot,
        Event::Snapshot(snapshot) => {
            snapshots.push(Snapshot {
                members: snapshot.members.to_vec().into(),
                best: Cow::Owned(snapshot.best.clone().into_owned()),
                ..(*snapshot).clone()
            });
            Flow::Stop
        }
        _ => Flow::Continue,
    };
    train(&only(&data), &config, &Device::Cpu, keep).expect("it trains");
    let snapshot = snapshots.pop().expect("a snapshot");
    let refused = |data: &Dataset, config: &TrainConfig, snapshot: &Snapshot<'_>| {
        let data = TrainData { resume: Some(snapshot), ..only(data) };
        let error =
            train(&data, config, &Device::Cpu, &mut |_| Flow::Continue).expect_err("another run");
        assert_eq!(error.exit_code(), 2, "{error}");
    };
    refused(&rings(310, 6, 1), &config, &snapshot);
    refused(&data, &TrainConfig { factors: 5, ..config.clone() }, &snapshot);
    refused(&data, &TrainConfig { anchors: 4, ..config.clone() }, &snapshot);
    refused(
        &data,
        &TrainConfig { optimizer: Optimizer::Sgd, factors: 3, ..config.clone() },
        &snapshot,
    );
    refused(
        &data,
        &TrainConfig { optimizer: Optimizer::AdaGrad, epochs: 0, ..config.clone() },
        &snapshot,
    );
    let mut forged = snapshot.clone();
    forged.position.steps = u64::MAX;
    refused(&data, &config, &forged);
    let mut forged = snapshot.clone();
    forged.position.epoch = usize::MAX;
    refused(&data, &config, &forged);
    let mut forged = snapshot.clone();
    forged.position.best_epochs = vec![1];
    refused(&data, &config, &forged);
    let mut forged = snapshot.clone();
    forged.memory.tensors[0].1.pop();
    refused(&data, &config, &forged);
    let mut forged = snapshot;
    forged.memory.totals.pairs.push(1);
    refused(&data, &config, &forged);
}

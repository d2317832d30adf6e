//! Whole runs, as `train` makes them.

use llfm::backend::{Device, Placement};
use llfm::config::{Method, TrainConfig};
use llfm::data::Dataset;
use llfm::event::{Event, Flow};
use llfm::metrics;
use llfm::outcome::Outcome;
use llfm::predict::Scorer;
use llfm::train::{TrainData, train};

use crate::bench::{METHODS, compressed, config, only, regression, rings, surface};
use crate::gpu::device;

/// What a run tells of each epoch, and how good its model is.
struct Told {
    losses: Vec<f64>,
    test_losses: Vec<f64>,
    active: Vec<f64>,
    accuracy: f64,
    rmse: f64,
}

fn told(device: &Device, config: &TrainConfig, rows: &Dataset, test: &Dataset) -> Told {
    let data = TrainData { test: Some(test), ..only(rows) };
    let mut epochs = Vec::new();
    let trained = train(&data, config, device, &mut |event| {
        if let Event::Epoch(report) = event {
            epochs.push((*report).clone());
        }
        Flow::Continue
    });
    let trained = trained.expect("it trains");
    let sparse = matches!(rows.features, llfm::data::Features::Sparse(_));
    let mut scorer = Scorer::new(&trained.members, config, sparse, device).expect("a scorer");
    let outputs = scorer.score(&test.features).expect("scores").outputs;
    let outcome = Outcome { loss: config.loss, target_scale: trained.target_scale, range: None };
    let found = metrics::compute(&outcome, &outputs, &test.targets);
    Told {
        losses: epochs.iter().map(|epoch| epoch.train_loss).collect(),
        test_losses: epochs.iter().filter_map(|epoch| epoch.test_loss).collect(),
        active: epochs.iter().map(|epoch| epoch.mean_active).collect(),
        accuracy: found.accuracy.unwrap_or(f64::NAN),
        rmse: found.rmse.unwrap_or(f64::NAN),
    }
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * b.abs())
}

#[test]
fn every_method_trains_to_the_accuracy_of_the_cpu() {
    let Some(device) = device(Placement::Auto) else { return };
    let (rows, test) = (rings(2_000, 3, 1), rings(4_000, 3, 2));
    for (rows, test) in [(compressed(&rows), compressed(&test)), (rows, test)] {
        for method in METHODS {
            let config = TrainConfig { lipschitz: Some(0.6), ..config(method) };
            let (found, expected) =
                (told(&device, &config, &rows, &test), told(&Device::Cpu, &config, &rows, &test));
            let far = (found.accuracy - expected.accuracy).abs();
            assert!(far <= 0.003, "{method:?}: {} for {}", found.accuracy, expected.accuracy);
            // Adam amplifies what rounding leaves, epoch by epoch.
            assert!(close(&found.losses, &expected.losses, 1e-3), "{method:?}: training losses");
            assert!(close(&found.test_losses, &expected.test_losses, 1e-2), "{method:?}: test");
            assert!(close(&found.active, &expected.active, 1e-2), "{method:?}: active anchors");
        }
    }
}

#[test]
fn a_regression_trains_to_the_error_of_the_cpu() {
    let Some(device) = device(Placement::Auto) else { return };
    let (rows, test) = (surface(1_000, 3, 1), surface(1_000, 3, 2));
    let config = regression(Method::LlfmJo);
    let (found, expected) =
        (told(&device, &config, &rows, &test), told(&Device::Cpu, &config, &rows, &test));
    let far = (found.rmse - expected.rmse).abs();
    assert!(far <= 0.003 * expected.rmse, "{} for {}", found.rmse, expected.rmse);
}

#[test]
fn dropout_hides_the_same_anchors_as_on_the_cpu() {
    let Some(device) = device(Placement::Auto) else { return };
    let (rows, test) = (rings(1_000, 3, 1), rings(1_000, 3, 2));
    for (rows, test) in [(compressed(&rows), compressed(&test)), (rows, test)] {
        for method in [Method::LlfmApl, Method::LlfmJo] {
            let config =
                TrainConfig { lipschitz: Some(0.6), anchor_dropout: 0.4, ..config(method) };
            let (found, expected) =
                (told(&device, &config, &rows, &test), told(&Device::Cpu, &config, &rows, &test));
            assert!(close(&found.losses, &expected.losses, 1e-3), "{method:?}: training losses");
            assert!(close(&found.test_losses, &expected.test_losses, 1e-2), "{method:?}: test");
            assert!(close(&found.active, &expected.active, 1e-2), "{method:?}: active anchors");
        }
    }
}

#[test]
fn weighted_rows_train_to_the_losses_of_the_cpu() {
    let Some(device) = device(Placement::Auto) else { return };
    let (rows, test) = (rings(1_000, 3, 1), rings(1_000, 3, 2));
    let weights = Some((0..1_000).map(|i| [0.0, 1.0, 4.0, 0.3][i % 4]).collect());
    let rows = Dataset { weights, ..rows };
    let config = TrainConfig { lipschitz: Some(0.6), ..config(Method::LlfmJo) };
    let (found, expected) =
        (told(&device, &config, &rows, &test), told(&Device::Cpu, &config, &rows, &test));
    assert!(close(&found.losses, &expected.losses, 1e-3), "training losses");
    assert!(close(&found.test_losses, &expected.test_losses, 1e-2), "test");
}

#[test]
fn divergence_is_seen_while_the_epoch_runs() {
    let Some(device) = device(Placement::Auto) else { return };
    let rows = rings(20_000, 3, 1);
    for rate in [1e12, 1e30] {
        let wild = TrainConfig { learning_rate: rate, batch_size: 32, ..config(Method::LlfmJo) };
        let mut steps = 0;
        let trained = train(&only(&rows), &wild, &device, &mut |event| {
            if let Event::Step { done, .. } = event {
                steps = *done;
            }
            Flow::Continue
        });
        let trained = trained.expect("it trains");
        assert!(trained.diverged.is_some_and(|advice| advice.contains("--learning-rate")));
        assert!(trained.members[0].is_finite());
        // Of 625 an epoch; the host is at most three submissions of 64 ahead.
        assert!(steps <= 4 * 64, "{steps} steps at {rate}");
    }
}

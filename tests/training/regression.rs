//! Regression: units, constants, one feature.

use llfm::config::{Method, TrainConfig};
use llfm::data::{Dataset, Targets};

use crate::bench::{METHODS, compressed, only, regression, run, surface};

fn with_values(data: &Dataset, change: impl Fn(f32) -> f32) -> Dataset {
    let Targets::Values(values) = &data.targets else { panic!("a regression") };
    let targets = Targets::Values(values.iter().map(|&y| change(y)).collect());
    Dataset { features: data.features.clone(), targets, weights: None }
}

fn longer(method: Method) -> TrainConfig {
    TrainConfig { epochs: 12, ..regression(method) }
}

#[test]
fn targets_in_other_units_are_predicted_as_well() {
    let (train, test) = (surface(800, 3, 1), surface(300, 3, 2));
    for method in METHODS {
        let config = longer(method);
        let plain = run(&only(&train), &config);
        let r2 = plain.metrics(&config, &test).r2.expect("a regression has R²");
        assert!(r2 > if method == Method::Fm { 0.03 } else { 0.5 }, "{method:?}: {r2}");

        // A power of two changes no digit of the standardised targets.
        let double = run(&only(&with_values(&train, |y| 1024.0 * y)), &config);
        assert_eq!(plain.trained.members, double.trained.members, "{method:?}");
        let (scale, wide) = (plain.trained.target_scale, double.trained.target_scale);
        assert_eq!((1024.0 * scale.mean, 1024.0 * scale.deviation), (wide.mean, wide.deviation));

        let other = |y: f32| 1000.0 * y + 5.0;
        let shifted = run(&only(&with_values(&train, other)), &config);
        let found = shifted.metrics(&config, &with_values(&test, other));
        assert!((found.r2.expect("R²") - r2).abs() < 2e-3, "{method:?}: {found:?} for {r2}");
        let rmse = plain.metrics(&config, &test).rmse.expect("RMSE");
        assert!((found.rmse.expect("RMSE") / (1000.0 * rmse) - 1.0).abs() < 0.01);
        for (a, b) in plain.epochs.iter().zip(&shifted.epochs) {
            assert!((b.train_loss / (1e6 * a.train_loss) - 1.0).abs() < 0.01, "user's unit");
        }
    }
}

#[test]
fn the_reported_losses_are_half_the_squared_error_in_the_users_unit() {
    let (train, test) = (surface(400, 3, 1), surface(300, 3, 2));
    let config = longer(Method::LlfmJo);
    let data = llfm::train::TrainData { valid: Some(&test), ..only(&train) };
    let run = run(&data, &config);
    let rmse = run.metrics(&config, &test).rmse.expect("RMSE");
    let best = run.epochs[run.trained.best_epochs[0] - 1].valid_loss.expect("validation rows");
    assert!((best - 0.5 * rmse * rmse).abs() < 1e-5 * best, "{best} for RMSE {rmse}");
}

#[test]
fn a_constant_target_is_predicted() {
    let train = with_values(&surface(400, 3, 1), |_| 42.0);
    for data in [&train, &compressed(&train)] {
        for method in METHODS {
            let config = longer(method);
            let run = run(&only(data), &config);
            assert_eq!(run.trained.diverged, None);
            let metrics = run.metrics(&config, data);
            assert!(metrics.rmse.expect("RMSE") < 0.02, "{method:?}: {metrics:?}");
        }
    }
}

#[test]
fn one_feature_is_enough() {
    let (train, test) = (surface(600, 1, 1), surface(200, 1, 2));
    for (train, test) in [(&train, &test), (&compressed(&train), &compressed(&test))] {
        let r2 = |method| {
            let config = longer(method);
            run(&only(train), &config).metrics(&config, test).r2.expect("R²")
        };
        assert!(r2(Method::Fm) < 0.5, "a line does not fit a wave");
        for method in [Method::LlfmDo, Method::LlfmApl, Method::LlfmJo] {
            assert!(r2(method) > 0.9, "{method:?}: {}", r2(method));
        }
    }
}

#[test]
fn the_unit_of_a_target_never_decides_how_a_run_ends() {
    let noise = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
    let mut train = surface(500, 3, 1);
    train.targets = Targets::Values((0..500).map(noise).collect());
    let config =
        TrainConfig { schedule: llfm::config::Schedule::Constant, ..longer(Method::LlfmJo) };
    let ending = |unit: f32| {
        let train = with_values(&train, |y| unit * y);
        let data = llfm::train::TrainData { valid: Some(&train), ..only(&train) };
        let run = run(&data, &config);
        let losses: Vec<f64> =
            run.epochs.iter().map(|e| e.valid_loss.expect("validation rows")).collect();
        (run.trained.best_epochs, run.trained.diverged, losses)
    };
    // Powers of two, whose squares leave the range of f32 at both ends.
    let (best, diverged, plain) = ending(1.0);
    assert_eq!(diverged, None);
    for exponent in [-90, 10, 70] {
        let (found, diverged, losses) = ending(2.0_f32.powi(exponent));
        assert_eq!((found, diverged), (best.clone(), None), "unit 2^{exponent}");
        for (loss, plain) in losses.iter().zip(&plain) {
            assert!((loss / (plain * 4.0_f64.powi(exponent)) - 1.0).abs() < 1e-6);
        }
    }
}

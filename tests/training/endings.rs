//! How runs end: the best epoch, patience, a wish to stop, divergence.

use llfm::config::{Method, Optimizer, Schedule, TrainConfig};
use llfm::data::Dataset;
use llfm::metrics::EvalMetric;
use llfm::predict::mean_loss;
use llfm::train::{TrainData, Trained};

use crate::bench::{METHODS, Run, config, only, regression, rings, run, run_until, start, surface};

/// Few rows, many parameters and a high rate: the validation loss soon rises.
fn overfitting() -> TrainConfig {
    TrainConfig {
        epochs: 60,
        learning_rate: 0.2,
        schedule: Schedule::Constant,
        ..config(Method::LlfmJo)
    }
}

fn watched<'a>(train: &'a Dataset, valid: &'a Dataset) -> TrainData<'a> {
    TrainData { valid: Some(valid), ..only(train) }
}

fn valid_losses(run: &Run) -> Vec<f64> {
    run.epochs.iter().map(|e| e.valid_loss.expect("there are validation rows")).collect()
}

fn least(losses: &[f64]) -> f64 {
    losses.iter().copied().fold(f64::INFINITY, f64::min)
}

#[test]
fn the_parameters_of_the_best_validation_epoch_are_returned() {
    let (train, valid) = (rings(80, 4, 1), rings(200, 4, 2));
    let config = TrainConfig { ensemble: 2, ..overfitting() };
    let run = run(&watched(&train, &valid), &config);
    for member in 0..2 {
        let losses = &valid_losses(&run)[60 * member..][..60];
        let best = run.trained.best_epochs[member];
        assert_eq!(losses[best - 1], least(losses));
        assert!(best < 60 && losses[59] > 1.2 * losses[best - 1], "the run should overfit");
        let scores = member_of(&run, member).scores(&config, &valid);
        let loss = mean_loss(config.loss, &scores, &valid.targets, run.trained.target_scale);
        assert_eq!(loss, least(losses), "the returned parameters are those of the best epoch");
    }
}

/// One member of an ensemble as a model of its own.
fn member_of(run: &Run, member: usize) -> Run {
    let all = &run.trained;
    let trained = Trained {
        members: vec![all.members[member].clone()],
        best_epochs: vec![all.best_epochs[member]],
        diverged: None,
        failed: None,
        ..*all
    };
    Run { trained, epochs: vec![], warnings: vec![], steps: 0 }
}

#[test]
fn patience_ends_a_run_and_test_rows_change_nothing() {
    let (train, valid) = (rings(80, 4, 1), rings(200, 4, 2));
    let config = TrainConfig { patience: Some(4), ..overfitting() };
    let patient = run(&watched(&train, &valid), &config);
    let losses = valid_losses(&patient);
    let best = patient.trained.best_epochs[0];
    assert_eq!(losses.len(), best + 4);
    assert!(losses.len() < 60 && losses[best - 1] == least(&losses));
    assert_eq!(patient.trained.epochs_run, losses.len() as f64);
    assert!(!patient.trained.stopped);

    let tested = TrainData { test: Some(&train), ..watched(&train, &valid) };
    let tested = run(&tested, &config);
    assert_eq!(tested.trained.members, patient.trained.members);
    assert!(tested.epochs.iter().all(|e| e.test_loss.is_some_and(f64::is_finite)));
    assert!(patient.epochs.iter().all(|e| e.test_loss.is_none()));
}

#[test]
fn the_best_epoch_is_that_of_the_chosen_metric_whether_it_rises_or_falls() {
    let (train, valid) = (rings(80, 4, 1), rings(200, 4, 2));
    for metric in [EvalMetric::Auc, EvalMetric::Accuracy, EvalMetric::Error, EvalMetric::MacroF1] {
        let config = TrainConfig { eval_metric: metric, patience: Some(4), ..overfitting() };
        let run = run(&watched(&train, &valid), &config);
        let sign = if metric.rises() { -1.0 } else { 1.0 };
        let costs: Vec<f64> =
            run.epochs.iter().map(|e| sign * e.valid_metric.expect("it is not the loss")).collect();
        let best = run.trained.best_epochs[0];
        assert_eq!(costs[best - 1], least(&costs));
        assert_eq!(costs.len(), best + 4, "patience waits for the same metric");
        let found = metric.of(&run.metrics(&config, &valid)).expect("it applies");
        assert_eq!(sign * found, least(&costs));
    }
}

#[test]
fn without_validation_rows_the_last_epoch_is_kept_and_patience_waits() {
    let train = rings(80, 4, 1);
    let patient = run(&only(&train), &TrainConfig { patience: Some(1), ..overfitting() });
    assert_eq!(patient.epochs.len(), 60);
    assert_eq!(patient.trained.best_epochs, [60]);
}

#[test]
fn a_wish_to_stop_ends_the_run_after_the_step_with_a_model() {
    let train = rings(320, 3, 1); // ten steps an epoch
    for method in METHODS {
        let config = TrainConfig { ensemble: 2, ..config(method) };
        let data = only(&train);
        for (last, members) in [(3, 1), (10, 1), (23, 1), (53, 2)] {
            let stopped = run_until(&data, &config, last);
            assert!(stopped.trained.stopped);
            assert_eq!(stopped.steps, last, "no step after the wish");
            assert_eq!(stopped.trained.members.len(), members);
            assert_eq!(stopped.trained.epochs_run, last as f64 / 10.0);
            let newest = &stopped.trained.members[members - 1];
            assert!(newest.is_finite());
            let begin = start(&data, &config).trained.members;
            assert_ne!(newest.bias, begin[members - 1].bias, "the steps done are in the model");
        }
    }
    // The wish at the very last step comes too late to change anything but the word.
    let config = config(Method::LlfmJo);
    let (whole, stopped) = (run(&only(&train), &config), run_until(&only(&train), &config, 50));
    assert_eq!(whole.trained.members, stopped.trained.members);
}

#[test]
fn a_diverging_run_says_so_and_keeps_finite_parameters() {
    let train = rings(300, 4, 1);
    let valid = rings(50, 4, 2);
    for method in METHODS {
        for rate in [1e3, 1e12, 1e30] {
            let sgd = Optimizer::Sgd;
            let wild = TrainConfig {
                optimizer: sgd,
                learning_rate: rate,
                schedule: Schedule::Constant,
                ensemble: 3,
                ..config(method)
            };
            for valid in [None, Some(&valid)] {
                let data = TrainData { valid, ..only(&train) };
                let run = run(&data, &wild);
                let advice = run.trained.diverged.as_deref().unwrap_or_default();
                assert!(advice.contains("--learning-rate"), "{method:?} at {rate}: `{advice}`");
                assert_eq!(run.trained.members.len(), 1, "no further member is tried");
                assert!(run.trained.members[0].is_finite());
                assert!(!run.trained.stopped);
            }
        }
    }
}

#[test]
fn a_run_that_diverges_late_keeps_the_best_epoch_before() {
    let train = surface(300, 3, 1);
    let squared = TrainConfig {
        optimizer: Optimizer::Sgd,
        learning_rate: 0.02,
        epochs: 3,
        schedule: Schedule::Constant,
        ..regression(Method::LlfmJo)
    };
    let fine = run(&only(&train), &squared);
    assert_eq!(fine.trained.diverged, None);
    assert_eq!(fine.trained.best_epochs, [3]);
    // Every step multiplies the weights by 1 − rate · l2 = −1.3: they blow up after a while.
    let growing = TrainConfig { epochs: 60, l2: 115.0, ..squared };
    let run = run(&only(&train), &growing);
    let best = run.trained.best_epochs[0];
    assert!(run.trained.diverged.is_some());
    assert!(run.trained.members[0].is_finite());
    assert!((1..60).contains(&best));
    assert_eq!(run.epochs.len(), best, "the epochs before the fall are reported");
}

#[test]
fn divergence_is_seen_within_a_few_steps() {
    let train = rings(4_000, 4, 1);
    for method in METHODS {
        for (optimizer, rate) in
            [(Optimizer::Sgd, 1e3), (Optimizer::Sgd, 1e25), (Optimizer::Adam, 1e12)]
        {
            let wild = TrainConfig {
                optimizer,
                learning_rate: rate,
                batch_size: 16,
                schedule: Schedule::Constant,
                ..config(method)
            };
            let run = run(&only(&train), &wild);
            assert!(run.trained.diverged.is_some(), "{method:?} at {rate}");
            assert!(run.trained.members[0].is_finite());
            // Of 250 an epoch: a row may be far off, so three means of 1024 are looked at.
            assert!(run.steps <= 3 * 1024 / 16, "{method:?} at {rate}: {} steps", run.steps);
            assert_eq!(run.epochs.len(), 0, "an epoch that fell is not reported");
        }
    }
}

#[test]
fn a_loss_that_only_grows_is_no_training() {
    // Far from the absolute limit, but ten times what knowing nothing costs, epoch after epoch.
    let train = surface(300, 3, 1);
    let growing = TrainConfig {
        optimizer: Optimizer::Sgd,
        learning_rate: 0.02,
        epochs: 60,
        schedule: Schedule::Constant,
        l2: 101.0,
        ..regression(Method::LlfmJo)
    };
    let run = run(&only(&train), &growing);
    assert!(run.trained.diverged.is_some());
    let worst = run.epochs.iter().map(|epoch| epoch.train_loss).fold(0.0, f64::max);
    let unknowing = f64::from(run.trained.target_scale.deviation).powi(2);
    assert!(worst <= 10.0 * unknowing, "{worst} of {unknowing}");
    assert!(run.trained.best_epochs[0] < 60 && run.trained.members[0].is_finite());
}

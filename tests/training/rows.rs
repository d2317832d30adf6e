//! Rows of any storage and number: dense and sparse, repeated, few, with features never seen.

use llfm::backend::Device;
use llfm::config::{Coding, Distance, Method, Optimizer, TrainConfig};
use llfm::data::{Csr, Dataset, Features, Targets};
use llfm::train::TrainData;
use ndarray::Array2;

use crate::bench::{METHODS, compressed, config, only, pairs, rings, run, start};

#[test]
fn dense_and_sparse_storage_train_the_same_model() {
    let dense = rings(256, 3, 1);
    let sparse = compressed(&dense);
    for method in METHODS {
        for distance in [Distance::SqEuclidean, Distance::Euclidean] {
            // Calibration would end where the k of some row changes, and the slopes jump there.
            let lipschitz = Some(0.6);
            let config = TrainConfig { distance, epochs: 4, lipschitz, ..config(method) };
            let (a, b) = (run(&only(&dense), &config), run(&only(&sparse), &config));
            let worst = (a.scores(&config, &dense).iter())
                .zip(&b.scores(&config, &sparse))
                .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            // Distances are summed in another order; 32 Adam steps enlarge the difference.
            assert!(worst < 2e-3, "{method:?} {distance:?}: {worst:.2e}");
            for (a, b) in a.epochs.iter().zip(&b.epochs) {
                assert!((a.train_loss - b.train_loss).abs() < 1e-4, "{method:?} {distance:?}");
            }
        }
    }
}

#[test]
fn the_reported_mean_of_active_anchors_is_that_of_the_pairs() {
    let data = rings(200, 3, 1);
    for data in [&data, &compressed(&data)] {
        for method in METHODS {
            let config = config(method);
            let still = start(&only(data), &config);
            let sparse = matches!(data.features, Features::Sparse(_));
            let mut scorer =
                Device::Cpu.scorer(&still.trained.members[0], &config, sparse).expect("a scorer");
            let scores = scorer.score(&data.features).expect("the backend works");
            assert_eq!(still.epochs[0].mean_active, scores.pairs as f64 / 200.0, "{method:?}");
            assert!((scores.gamma.iter().sum::<f64>() - 200.0).abs() < 1e-3);
            let dead = scores.gamma.iter().filter(|sum| **sum == 0.0).count();
            assert_eq!(still.epochs[0].dead_anchors, dead, "{method:?}");
        }
    }
    let config = config(Method::LlfmJo);
    let calibrated = start(&only(&data), &config).epochs[0].mean_active;
    assert!((calibrated - 3.0).abs() < 0.05, "L is calibrated to 3 anchors: {calibrated}");
}

#[test]
fn an_anchor_with_one_row_is_alive_and_one_flung_away_is_dead() {
    let few = rings(10, 2, 1);
    let alone = TrainConfig { lipschitz: Some(1e6), ..config(Method::LlfmJo) };
    let begin = start(&only(&few), &alone);
    assert_eq!((begin.epochs[0].mean_active, begin.epochs[0].dead_anchors), (1.0, 0));

    let data = rings(300, 2, 1);
    // Adam moves each anchor by the rate in its first step: fifty times the width of the data.
    let flung = TrainConfig { anchor_rate: 200.0, lipschitz: Some(1.0), ..alone };
    let run = run(&only(&data), &flung);
    assert!(run.epochs.iter().all(|epoch| epoch.dead_anchors < 8), "a row always has one");
    assert!(run.epochs.iter().any(|epoch| epoch.dead_anchors > 0), "{:?}", run.epochs);
}

#[test]
fn repeated_rows_make_fewer_anchors_and_a_warning() {
    let distinct = 3;
    let cells = Array2::from_shape_fn((90, 2), |(i, j)| ((i % distinct) * (j + 1)) as f32);
    let targets = Targets::Classes((0..90).map(|i| u32::from(i % distinct == 1)).collect());
    let data = Dataset { features: Features::Dense(cells), targets, weights: None };
    for data in [&data, &compressed(&data)] {
        for method in [Method::LlfmDo, Method::LlfmApl, Method::LlfmJo] {
            let config = TrainConfig { epochs: 20, ..config(method) };
            let run = run(&only(data), &config);
            assert_eq!(run.trained.members[0].n_anchors(), distinct);
            let warned = run.warnings.len() == 1 && run.warnings[0].contains("3 anchors instead");
            assert!(warned, "{:?}", run.warnings);
            assert_eq!(run.accuracy(&config, data), 1.0, "{method:?}");
        }
    }
    let plain = rings(90, 2, 1);
    assert!(run(&only(&plain), &config(Method::LlfmJo)).warnings.is_empty());
}

#[test]
fn a_batch_larger_than_the_data_is_all_rows() {
    let data = rings(100, 3, 1);
    for data in [&data, &compressed(&data)] {
        let whole = TrainConfig { batch_size: 100, ..config(Method::LlfmJo) };
        let larger = TrainConfig { batch_size: 5000, ..whole.clone() };
        let (a, b) = (run(&only(data), &whole), run(&only(data), &larger));
        assert_eq!((a.steps, b.steps), (5, 5));
        assert_eq!(a.trained.members, b.trained.members);
    }
}

#[test]
fn one_or_two_rows_train() {
    for n in [1, 2] {
        let cells = Array2::from_shape_fn((n, 2), |(i, j)| (i + j) as f32);
        let targets = Targets::Classes((0..n as u32).collect());
        let data = Dataset { features: Features::Dense(cells), targets, weights: None };
        for data in [&data, &compressed(&data)] {
            for method in METHODS {
                let config = TrainConfig { epochs: 80, ..config(method) };
                let run = run(&only(data), &config);
                assert!(run.trained.members[0].is_finite());
                assert_eq!(run.accuracy(&config, data), 1.0, "{method:?}, {n} rows");
            }
        }
    }
}

#[test]
fn coding_settings_beyond_the_anchors_are_all_anchors() {
    let data = rings(100, 2, 1);
    for coding in [Coding::Soft, Coding::Inverse] {
        let most = TrainConfig { coding, neighbors: 8, ..config(Method::LlfmApl) };
        let more = TrainConfig { neighbors: 1000, ..most.clone() };
        let (a, b) = (run(&only(&data), &most), run(&only(&data), &more));
        assert_eq!(a.trained.members, b.trained.members);
        assert_eq!(a.epochs[0].mean_active, 8.0);
    }
}

/// The same rows with a last column of ones.
fn lit(data: &Dataset) -> Dataset {
    let Features::Sparse(rows) = &data.features else { panic!("the rows are dense") };
    let mut lit = Csr { n_cols: rows.n_cols, offsets: vec![0], ..Csr::default() };
    for i in 0..rows.n_rows() {
        let (columns, values) = rows.row(i);
        lit.indices.extend(columns.iter().chain([&(rows.n_cols as u32 - 1)]));
        lit.values.extend(values.iter().chain([&1.0]));
        lit.offsets.push(lit.indices.len());
    }
    Dataset { features: Features::Sparse(lit), targets: data.targets.clone(), weights: None }
}

#[test]
fn a_feature_never_seen_has_no_weights_and_changes_no_score() {
    let mut data = pairs(400, 20, 1);
    if let Features::Sparse(rows) = &mut data.features {
        rows.n_cols = 21;
    }
    let seen = TrainData { never_seen: &[20], ..only(&data) };
    for method in METHODS {
        for optimizer in [Optimizer::Sgd, Optimizer::AdaGrad, Optimizer::Adam] {
            let config = TrainConfig { optimizer, weight_decay: 0.01, ..config(method) };
            // Per-anchor L would weigh the added distance differently.
            let config = TrainConfig { learn: llfm::config::Learn::default(), ..config };
            let run = run(&seen, &config);
            let member = &run.trained.members[0];
            let last = ndarray::Axis(2);
            assert!(member.factors.index_axis(last, 20).iter().all(|v| *v == 0.0));
            assert!(member.linear.index_axis(last, 20).iter().all(|w| *w == 0.0));
            assert!(member.factors.index_axis(last, 0).iter().any(|v| *v != 0.0));
            let (a, b) = (run.scores(&config, &data), run.scores(&config, &lit(&data)));
            let worst = a.iter().zip(&b).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-5, "{method:?} {optimizer:?}: {worst:.2e}");
        }
    }
    let run = run(&only(&data), &config(Method::Fm));
    let untold = run.trained.members[0].factors.index_axis(ndarray::Axis(2), 20).to_owned();
    assert!(untold.iter().any(|v| *v != 0.0), "without being told it is like any other");
}

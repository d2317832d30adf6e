//! What is learned: by each optimizer, of each part, under each penalty.

use llfm::config::{
    Coding, Distance, Learn, LearnPart, Loss, Method, Optimizer, Schedule, TrainConfig,
};
use llfm::model::Parameters;
use llfm::train::TrainData;

use crate::bench::{METHODS, Run, compressed, config, only, pairs, rings, run, start};

#[test]
fn local_models_learn_what_one_factorization_machine_cannot() {
    let (train, test) = (rings(1200, 2, 1), rings(600, 2, 2));
    let accuracy = |config: &TrainConfig| run(&only(&train), config).accuracy(config, &test);
    let longer = |method| TrainConfig { epochs: 15, ..config(method) };
    let fm = accuracy(&longer(Method::Fm));
    assert!(fm < 0.65, "a factorization machine should fail: {fm}");
    for method in [Method::LlfmDo, Method::LlfmApl, Method::LlfmJo] {
        let local = accuracy(&longer(method));
        assert!(local > 0.85, "{method:?}: {local}");
    }
    let linear = TrainConfig { factors: 0, ..longer(Method::LlfmJo) };
    assert!(accuracy(&linear) > 0.88, "locally linear");
    let machine =
        TrainConfig { coding: Coding::Inverse, loss: Loss::Hinge, lipschitz: Some(1.0), ..linear };
    assert!(accuracy(&machine) > 0.85, "locally linear SVM");
    let plain = TrainConfig { distance: Distance::Euclidean, ..longer(Method::LlfmJo) };
    assert!(accuracy(&plain) > 0.88, "plain distance");
}

#[test]
fn few_anchors_are_told_apart_by_calibration() {
    let train = rings(1200, 2, 1);
    // The target of 3 anchors is all there are, or all the neighbours there are.
    for (method, anchors, neighbors) in [
        (Method::LlfmJo, 3, 5),
        (Method::LlfmApl, 3, 5),
        (Method::LlfmApl, 8, 3),
        (Method::LlfmJo, 2, 5),
    ] {
        let config = TrainConfig { anchors, neighbors, epochs: 15, ..config(method) };
        let begin = start(&only(&train), &config);
        assert!(begin.trained.members[0].log_lipschitz[0] > -5.0, "{method:?} {anchors}");
        let accuracy = run(&only(&train), &config).accuracy(&config, &train);
        assert!(accuracy > if anchors == 2 { 0.7 } else { 0.8 }, "{method:?}: {accuracy}");
    }
}

#[test]
fn smoothed_labels_leave_doubt_unless_the_rate_takes_it_away() {
    let train = rings(1200, 2, 1);
    let doubt = |label_smoothing, schedule| {
        let config =
            TrainConfig { label_smoothing, schedule, epochs: 20, ..config(Method::LlfmJo) };
        let found = run(&only(&train), &config);
        let scores = found.scores(&config, &train);
        (
            1.0 / f64::from(scores.mapv(f32::abs).mean().unwrap()),
            found.metrics(&config, &train).loss,
        )
    };
    let (sure, _) = doubt(0.0, Schedule::Constant);
    let (doubtful, loss) = doubt(0.4, Schedule::Constant);
    let (less, least_loss) = doubt(0.4, Schedule::Cosine);
    assert!(doubtful > 1.5 * sure && doubtful > 1.2 * less, "{sure} {less} {doubtful}");
    assert!(least_loss < loss, "what is reported is the loss of whole labels: {least_loss} {loss}");
}

#[test]
fn dropout_changes_what_is_learned_and_hides_nothing_from_scores() {
    let (train, test) = (rings(1200, 2, 1), rings(600, 2, 2));
    for (train, test) in [(compressed(&train), compressed(&test)), (train, test)] {
        let data = TrainData { test: Some(&test), ..only(&train) };
        for method in [Method::LlfmDo, Method::LlfmJo] {
            let plain = TrainConfig { epochs: 15, ..config(method) };
            let dropped = TrainConfig { anchor_dropout: 0.3, ..plain.clone() };
            let begin = |config| start(&data, config).trained.members;
            assert_eq!(begin(&dropped), begin(&plain), "{method:?}: where training starts");
            let (without, with) = (run(&data, &plain), run(&data, &dropped));
            assert_ne!(with.trained.members, without.trained.members, "{method:?}");
            assert_ne!(with.epochs[0].mean_active, without.epochs[0].mean_active, "{method:?}");
            let found = with.metrics(&plain, &test);
            assert!(found.accuracy.expect("classes") > 0.8, "{method:?}: {found:?}");
            let told = with.epochs[14].test_loss.expect("test rows");
            assert!((told - found.loss).abs() < 1e-6, "{method:?}: {told} {}", found.loss);
        }
    }
}

#[test]
fn a_single_model_has_no_anchor_to_lose() {
    let train = rings(300, 3, 1);
    let members = |anchor_dropout| {
        let config = TrainConfig { anchor_dropout, ..config(Method::Fm) };
        run(&only(&train), &config).trained.members
    };
    assert_eq!(members(0.9), members(0.0));
}

#[test]
fn every_optimizer_lowers_the_loss() {
    let data = rings(1200, 2, 1);
    for data in [&data, &compressed(&data)] {
        for (optimizer, rate) in
            [(Optimizer::Sgd, 1.0), (Optimizer::AdaGrad, 0.2), (Optimizer::Adam, 0.03)]
        {
            for method in [Method::LlfmDo, Method::LlfmApl, Method::LlfmJo] {
                let config = TrainConfig {
                    optimizer,
                    learning_rate: rate,
                    anchor_rate: 0.3 * rate,
                    epochs: 12,
                    ..config(method)
                };
                let run = run(&only(data), &config);
                let (first, last) = (run.epochs[0].train_loss, run.epochs[11].train_loss);
                let accuracy = run.accuracy(&config, data);
                let what = format!("{optimizer:?} {method:?}: {first} to {last}, {accuracy}");
                assert!(last < 0.8 * first && accuracy > 0.84, "{what}");
            }
        }
    }
}

#[test]
fn factors_learn_the_products_of_sparse_features() {
    let (train, test) = (pairs(4000, 20, 1), pairs(500, 20, 2));
    let with = TrainConfig { epochs: 20, ..config(Method::Fm) };
    let without = TrainConfig { factors: 0, epochs: 20, ..config(Method::Fm) };
    let accuracy = |config: &TrainConfig| run(&only(&train), config).accuracy(config, &test);
    assert!(accuracy(&with) > 0.99, "a factorization machine knows parity");
    assert!(accuracy(&without) < 0.65, "a linear model cannot");
}

/// Which groups differ: anchors, log L, metric, scales.
fn changed(from: &Parameters, to: &Parameters) -> [bool; 4] {
    let scales = to.anchor_scale.as_ref().is_some_and(|t| t.iter().any(|t| *t != 1.0));
    [
        from.anchors != to.anchors,
        from.log_lipschitz != to.log_lipschitz,
        from.log_metric != to.log_metric,
        scales,
    ]
}

fn assert_learned(run: &Run, begin: &Run, learn: Learn, what: &str) {
    let (from, to) = (&begin.trained.members[0], &run.trained.members[0]);
    let expected = [learn.anchors, learn.lipschitz, learn.metric, learn.scale];
    assert_eq!(changed(from, to), expected, "{what}");
    assert!(from.factors != to.factors && from.linear != to.linear && from.bias != to.bias);
}

#[test]
fn parts_that_are_not_learned_stay_as_they_started() {
    let data = rings(300, 3, 1);
    for data in [&data, &compressed(&data)] {
        for method in METHODS {
            let config = config(method);
            let (run, begin) = (run(&only(data), &config), start(&only(data), &config));
            assert_learned(&run, &begin, config.learn, &format!("{method:?}"));
        }
        let parts = [
            LearnPart::None,
            LearnPart::Anchors,
            LearnPart::Lipschitz,
            LearnPart::Metric,
            LearnPart::Scale,
        ];
        for part in parts {
            let learn = Learn::from_parts(&[part]);
            let config = TrainConfig { learn, weight_decay: 0.1, ..config(Method::LlfmJo) };
            let (run, begin) = (run(&only(data), &config), start(&only(data), &config));
            assert_learned(&run, &begin, learn, &format!("{part:?}"));
        }
    }
}

/// Σ over linear weights and factors of θ².
fn squares(parameters: &Parameters) -> f64 {
    let weights = parameters.linear.iter().chain(&parameters.factors);
    weights.map(|w| f64::from(*w).powi(2)).sum()
}

#[test]
fn penalties_shrink_the_weights() {
    let data = rings(600, 4, 1);
    for data in [&data, &compressed(&data)] {
        for optimizer in [Optimizer::Sgd, Optimizer::AdaGrad, Optimizer::Adam] {
            let free = TrainConfig { optimizer, epochs: 10, ..config(Method::LlfmJo) };
            let free = TrainConfig { learning_rate: 0.1, ..free };
            let size = |config: &TrainConfig| squares(&run(&only(data), config).trained.members[0]);
            let none = size(&free);
            let some = size(&TrainConfig { l2: 1e-2, ..free.clone() });
            let more = size(&TrainConfig { l2: 1e-1, ..free.clone() });
            assert!(none > 1.05 * some && some > 1.05 * more, "l2 {none} {some} {more}");
            let some = size(&TrainConfig { weight_decay: 0.05, ..free.clone() });
            let more = size(&TrainConfig { weight_decay: 0.5, ..free.clone() });
            assert!(none > 1.05 * some && some > 1.05 * more, "decay {none} {some} {more}");
        }
    }
}

#[test]
fn the_objective_is_the_loss_and_the_penalty_at_the_end_of_the_epoch() {
    let data = rings(300, 3, 1);
    let config = TrainConfig { l2: 0.02, ..config(Method::LlfmJo) };
    let run = run(&only(&data), &config);
    let last = &run.epochs[4];
    let penalty = 0.5 * 0.02 * squares(&run.trained.members[0]);
    assert!((last.objective - last.train_loss - penalty).abs() < 1e-12 && penalty > 1e-3);
}

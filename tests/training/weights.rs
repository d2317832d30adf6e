//! Weights of rows in the loss, and balanced classes.

use llfm::backend::Device;
use llfm::config::{Loss, Method, Optimizer, Schedule, TrainConfig};
use llfm::data::{ClassWeight, Dataset, Features, Targets};
use llfm::event::Flow;
use llfm::model::Parameters;
use llfm::train::train;

use crate::bench::{
    Run, compressed, config, numbers, only, regression, rings, run, start, surface,
};

fn weighted(data: &Dataset, weight: impl Fn(usize) -> f32) -> Dataset {
    let weights = (0..data.features.n_rows()).map(weight).collect();
    Dataset { weights: Some(weights), ..data.clone() }
}

/// The given rows, in the given order, without weights.
fn picked(data: &Dataset, rows: &[u32]) -> Dataset {
    let targets = match &data.targets {
        Targets::Classes(all) => Targets::Classes(rows.iter().map(|&r| all[r as usize]).collect()),
        Targets::Values(all) => Targets::Values(rows.iter().map(|&r| all[r as usize]).collect()),
    };
    Dataset { features: data.features.select(rows), targets, weights: None }
}

/// Sets with the settings that suit them.
fn sets(n: usize) -> [(Dataset, TrainConfig); 3] {
    let dense = rings(n, 4, 1);
    [
        (compressed(&dense), config(Method::LlfmJo)),
        (dense, config(Method::LlfmJo)),
        (surface(n, 3, 2), regression(Method::LlfmJo)),
    ]
}

fn assert_same(a: &Run, b: &Run) {
    assert_eq!(a.trained.members, b.trained.members);
    assert_eq!(a.trained.target_scale, b.trained.target_scale);
    let losses = |run: &Run| run.epochs.iter().map(|e| e.train_loss).collect::<Vec<_>>();
    assert_eq!(losses(a), losses(b));
}

#[test]
fn the_same_weight_everywhere_is_no_weight_to_the_bit() {
    for (data, config) in sets(300) {
        let plain = run(&only(&data), &config);
        for same in [1.0, 3.0, 0.1] {
            assert_same(&plain, &run(&only(&weighted(&data, |_| same)), &config));
        }
        let odd = run(&only(&weighted(&data, |i| 1.0 + (i % 2) as f32)), &config);
        assert_ne!(plain.trained.members, odd.trained.members, "weights count");
    }
}

#[test]
fn only_the_ratios_of_weights_matter() {
    let weight = |i: usize| [0.3, 1.0, 0.0, 2.5, 0.7][i % 5];
    for (data, config) in sets(300) {
        let plain = run(&only(&weighted(&data, weight)), &config);
        assert_same(&plain, &run(&only(&weighted(&data, |i| 4.0 * weight(i))), &config));
        let one = TrainConfig { epochs: 1, ..config };
        let loss = |factor: f32| {
            let data = weighted(&data, |i| factor * weight(i));
            run(&only(&data), &one).epochs[0].train_loss
        };
        assert!((loss(3.0) / loss(1.0) - 1.0).abs() < 1e-3, "{} for {}", loss(3.0), loss(1.0));
    }
}

/// How one step on all rows at once moves a factorization machine, whose start the rows do not
/// decide; and the mean and deviation of the values.
fn first_step(data: &Dataset, squared: bool) -> (Vec<f32>, [f32; 2]) {
    let config = if squared { regression(Method::Fm) } else { config(Method::Fm) };
    let config = TrainConfig {
        optimizer: Optimizer::Sgd,
        schedule: Schedule::Constant,
        learning_rate: 1.0,
        batch_size: data.features.n_rows(),
        epochs: 1,
        ..config
    };
    let numbers = |p: &Parameters| -> Vec<f32> {
        p.bias.iter().chain(&p.linear).chain(&p.factors).copied().collect()
    };
    let (from, to) = (start(&only(data), &config), run(&only(data), &config));
    let [from, moved] = [&from, &to].map(|run| numbers(&run.trained.members[0]));
    let scale = to.trained.target_scale;
    (moved.iter().zip(&from).map(|(a, b)| a - b).collect(), [scale.mean, scale.deviation])
}

#[track_caller]
fn assert_same_step(a: &Dataset, b: &Dataset, squared: bool) {
    let ((moved, scale), (expected, expected_scale)) =
        (first_step(a, squared), first_step(b, squared));
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(moved.iter().any(|x| x.abs() > 1e-2), "it moves");
    assert!(close(&moved, &expected), "{moved:?} for {expected:?}");
    assert!(close(&scale, &expected_scale), "{scale:?} for {expected_scale:?}");
}

#[test]
fn a_row_of_weight_0_is_as_good_as_absent_in_a_whole_batch() {
    let dense = rings(90, 4, 1);
    for (data, squared) in
        [(&dense, false), (&compressed(&dense), false), (&surface(90, 3, 2), true)]
    {
        let rows: Vec<u32> = (0..90).filter(|r| r % 3 != 1).collect();
        let zeros = weighted(data, |i| if i % 3 == 1 { 0.0 } else { 1.0 });
        assert_same_step(&zeros, &picked(data, &rows), squared);
    }
}

#[test]
fn a_row_of_weight_2_is_a_row_that_is_there_twice() {
    let dense = rings(60, 4, 1);
    for (data, squared) in
        [(&dense, false), (&compressed(&dense), false), (&surface(60, 3, 2), true)]
    {
        let rows: Vec<u32> = [0, 7, 7].into_iter().chain(0..60).collect();
        let heavy =
            weighted(data, |i| [2.0, 3.0, 1.0][[0, 7, i].iter().position(|&r| r == i).unwrap()]);
        assert_same_step(&heavy, &picked(data, &rows), squared);
    }
}

#[test]
fn the_reported_loss_is_the_weighted_mean() {
    let weight = |i: usize| [0.5, 3.0, 0.0, 1.0][i % 4];
    let data = weighted(&rings(200, 3, 1), weight);
    let config = config(Method::LlfmJo);
    let begin = start(&only(&data), &config);
    let Targets::Classes(classes) = &data.targets else { panic!("two classes") };
    let scores = begin.scores(&config, &data);
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, &class) in classes.iter().enumerate() {
        let margin = f64::from(scores[[i, 0]]) * if class == 1 { 1.0 } else { -1.0 };
        sum += f64::from(weight(i)) * (-margin).exp().ln_1p();
        total += f64::from(weight(i));
    }
    let found = begin.epochs[0].train_loss;
    assert!((found - sum / total).abs() < 1e-6, "{found} for {}", sum / total);
}

#[test]
fn weights_that_are_none_are_refused_before_training() {
    let data = rings(40, 3, 1);
    for (bad, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-1.0, "-1")] {
        let data = weighted(&data, |i| if i == 6 { bad } else { 1.0 });
        let error = refusal(&data);
        assert!(error.contains(&format!("row 6 (from 0) has the weight {word}")), "{error}");
    }
    assert!(refusal(&weighted(&data, |_| 0.0)).contains("every row has the weight 0"));
    let few = Dataset { weights: Some(vec![1.0; 39]), ..data };
    assert!(refusal(&few).contains("40 rows need a weight each, found 39"));
}

fn refusal(data: &Dataset) -> String {
    let config = config(Method::LlfmJo);
    let error =
        train(&only(data), &config, &Device::Cpu, &mut |_| Flow::Continue).expect_err("no weights");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// One row in twenty is positive, and even where those lie four in five are negative.
fn rare(n: usize, seed: u64) -> Dataset {
    let rows = numbers(n, 3, seed);
    let classes = rows.outer_iter().map(|x| u32::from(x[0] > 1.0 && x[1] > 1.2));
    let targets = Targets::Classes(classes.collect());
    // The second feature is not told.
    let told = ndarray::Array2::from_shape_fn((n, 2), |(i, j)| rows[[i, 2 * j]]);
    Dataset { features: Features::Dense(told), targets, weights: None }
}

#[test]
fn balanced_classes_find_the_rare_ones() {
    let (train, test) = (rare(2000, 1), rare(2000, 2));
    let Targets::Classes(classes) = &test.targets else { panic!("two classes") };
    for loss in [Loss::Logistic, Loss::Hinge] {
        let config = TrainConfig { loss, ..config(Method::LlfmJo) };
        let macro_recall = |train: &Dataset| {
            let scores = run(&only(train), &config).scores(&config, &test);
            let recall = |class: u32| {
                let of: Vec<usize> = (0..classes.len()).filter(|&i| classes[i] == class).collect();
                let right = of.iter().filter(|&&i| (scores[[i, 0]] > 0.0) == (class == 1)).count();
                right as f64 / of.len() as f64
            };
            f64::midpoint(recall(0), recall(1))
        };
        let mut balanced = train.clone();
        ClassWeight::Balanced.weigh(&mut balanced).expect("they have classes");
        let (plain, balanced) = (macro_recall(&train), macro_recall(&balanced));
        assert!(plain < 0.6 && balanced > 0.8, "{loss:?}: {plain}, balanced {balanced}");
    }
}

//! The same seed gives the same bits, on any number of threads; members of an ensemble differ.

use llfm::config::{Loss, Method, TrainConfig};
use llfm::data::{Dataset, Features, Targets, Task};

use crate::bench::{METHODS, Run, compressed, config, numbers, only, pairs, rings, run};

/// Batches large enough that every kernel spreads over the threads.
fn large(method: Method) -> TrainConfig {
    TrainConfig { batch_size: 256, epochs: 2, ..config(method) }
}

fn on_threads(threads: usize, data: &Dataset, config: &TrainConfig) -> Run {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| run(&only(data), config))
}

fn assert_same(data: &Dataset, config: &TrainConfig) {
    let one = on_threads(1, data, config);
    for threads in [1, 3] {
        let other = on_threads(threads, data, config);
        assert_eq!(one.trained.members, other.trained.members, "{:?}", config.method);
        let losses = |run: &Run| run.epochs.iter().map(|e| e.train_loss).collect::<Vec<_>>();
        assert_eq!(losses(&one), losses(&other), "{:?}", config.method);
    }
    let other = on_threads(3, data, &TrainConfig { seed: 1, ..config.clone() });
    assert_ne!(one.trained.members, other.trained.members, "the seed matters");
}

#[test]
fn dense_rows_give_the_same_bits_on_any_number_of_threads() {
    let data = rings(700, 40, 1);
    METHODS.iter().for_each(|&method| assert_same(&data, &large(method)));
}

#[test]
fn sparse_rows_give_the_same_bits_on_any_number_of_threads() {
    let data = pairs(900, 300, 1);
    METHODS.iter().for_each(|&method| assert_same(&data, &large(method)));
}

#[test]
fn dropout_hides_the_same_anchors_on_any_number_of_threads() {
    for data in [rings(700, 40, 1), pairs(900, 300, 1)] {
        for method in [Method::LlfmDo, Method::LlfmApl, Method::LlfmJo] {
            assert_same(&data, &TrainConfig { anchor_dropout: 0.3, ..large(method) });
        }
    }
}

#[test]
fn several_outputs_give_the_same_bits_on_any_number_of_threads() {
    let rows = numbers(700, 20, 3);
    let classes = rows.outer_iter().map(|x| u32::from(x[0] > 0.0) + u32::from(x[1] > x[2]));
    let targets = Targets::Classes(classes.collect());
    let data = Dataset { features: Features::Dense(rows), targets, weights: None };
    let config =
        TrainConfig { task: Task::Multiclass, loss: Loss::Softmax, ..large(Method::LlfmJo) };
    let run_on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let data = llfm::train::TrainData { n_classes: 3, ..only(&data) };
        pool.install(|| run(&data, &config)).trained.members
    };
    assert_eq!(run_on(1), run_on(3));
}

#[test]
fn the_first_member_of_an_ensemble_is_the_single_model() {
    for data in [rings(300, 3, 1), compressed(&rings(300, 3, 1))] {
        for method in METHODS {
            let single = config(method);
            let three = TrainConfig { ensemble: 3, ..single.clone() };
            let (one, all) = (run(&only(&data), &single), run(&only(&data), &three));
            let members = &all.trained.members;
            assert_eq!(members.len(), 3);
            assert_eq!(members[0], one.trained.members[0], "{method:?}");
            assert!(members[0] != members[1] && members[1] != members[2]);
            let steps = (300_u64.div_ceil(32) * 5) * 3;
            assert_eq!((all.steps, all.epochs.len()), (steps, 15));
            assert!(all.epochs.iter().map(|e| e.member).eq((0..15).map(|i| i / 5)));
        }
    }
}

#[test]
fn an_ensemble_scores_the_mean_of_its_members() {
    let data = rings(300, 3, 1);
    let config = TrainConfig { ensemble: 4, ..config(Method::LlfmJo) };
    let all = run(&only(&data), &config);
    let mut mean = ndarray::Array2::<f64>::zeros((300, 1));
    for member in &all.trained.members {
        let mut alone = run(&only(&data), &TrainConfig { epochs: 1, ..config.clone() });
        alone.trained.members = vec![member.clone()];
        mean += &alone.scores(&config, &data).mapv(|s| f64::from(s) / 4.0);
    }
    let scores = all.scores(&config, &data);
    // Four scores of size one to ten are added in f32.
    assert!(scores.iter().zip(&mean).all(|(s, m)| (f64::from(*s) - m).abs() < 1e-5));
    let spread = scores.iter().fold(0.0_f32, |max, s| max.max(s.abs()));
    assert!(spread > 0.5, "the scores say something");
}

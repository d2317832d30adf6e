//! A process may train for as long as it likes: what a model took is given back with it.

#[path = "training/bench.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bench;
#[path = "common/gpu.rs"]
mod gpu;

use std::sync::{Mutex, MutexGuard};

use llfm::backend::{Placement, TrainRows, TrainTargets};
use llfm::config::TrainConfig;
use llfm::data::{Dataset, Targets};

use bench::{METHODS, compressed, config, only, pairs, rings, run, start};

/// One test at a time: the memory of a process is that of all its tests.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Trains and scores models of every kind, `n` in all, on one thread.
fn train_many(sets: &[Dataset], n: usize) {
    for i in 0..n {
        let data = &sets[i % sets.len()];
        let method = METHODS[i / sets.len() % METHODS.len()];
        let ensemble = 1 + usize::from(i % 7 == 0);
        let config = TrainConfig {
            epochs: 2,
            ensemble,
            anchor_dropout: 0.1,
            seed: i as u64,
            ..config(method)
        };
        let trained = run(&only(data), &config);
        assert!(trained.scores(&config, data).iter().all(|score| score.is_finite()));
    }
}

fn sets() -> [Dataset; 3] {
    let dense = rings(200, 4, 1);
    [compressed(&dense), pairs(200, 40, 2), dense]
}

fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(work)
}

#[test]
fn models_trained_one_after_another_leave_no_byte_behind() {
    let _alone = alone();
    let sets = sets();
    let left = on_one_thread(|| {
        // What is kept for the life of a thread comes with the first models.
        train_many(&sets, 12);
        allocation_counter::measure(|| train_many(&sets, 48))
    });
    assert!(left.count_total > 1000, "nothing was counted");
    assert_eq!((left.count_current, left.bytes_current), (0, 0));
}

/// Resident memory of this process in kB.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// `cargo test --release --test memory -- --ignored --nocapture` prints the figures.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a minute; the same in short is tested always"]
fn a_thousand_models_take_the_memory_of_a_hundred() {
    let _alone = alone();
    let sets = sets();
    let seen: Vec<u64> = on_one_thread(|| {
        (0..10)
            .map(|hundred| {
                train_many(&sets, 100);
                println!("{} models: {} kB", 100 * (hundred + 1), resident());
                resident()
            })
            .collect()
    });
    assert!(seen[9] < seen[0] + 2048, "kB after each hundred: {seen:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn trainers_of_a_gpu_opened_and_dropped_take_the_memory_of_a_few() {
    let Some(device) = gpu::device(Placement::Resident) else { return };
    let _alone = alone();
    // 8 MB of rows, so that a trainer that stays is seen.
    let data = rings(20_000, 100, 1);
    let Targets::Classes(classes) = &data.targets else { panic!("two classes") };
    let config = config(METHODS[3]);
    let initial = start(&only(&rings(50, 100, 1)), &config);
    let open = || {
        let targets = TrainTargets::Classes(classes);
        let rows = TrainRows { features: &data.features, targets, weights: None };
        let members = &initial.trained.members;
        let mut trainer = device.trainer(&members[0], &config, rows).expect("a trainer");
        let rates = llfm::backend::StepRates {
            step: 1,
            rate: 0.01,
            anchor_rate: 0.01,
            label_smoothing: 0.0,
            anchor_dropout: llfm::backend::AnchorDropout::new(0.0, 0),
        };
        trainer.step(&[0, 1, 2, 3], rates).expect("a step");
        assert!(trainer.parameters().expect("parameters").is_finite());
    };
    let after = |n: usize| {
        (0..n).for_each(|_| open());
        resident()
    };
    let (few, many) = (after(10), after(50));
    println!("10 trainers: {few} kB, 60: {many} kB");
    assert!(many < few + 5 * 8000, "{few} kB after 10 trainers, {many} kB after 60");
}

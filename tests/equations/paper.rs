//! Batches of one row, SGD and the inverse schedule: the paper's loop, by `train` and by steps.

use llfm::backend::{AnchorDropout, Device, StepRates};
use llfm::config::{self, Learn, Schedule, TrainConfig};
use llfm::data::{Dataset, Targets};
use llfm::event::{EpochReport, Event, Flow};
use llfm::train::{TrainData, Trained, train};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::equations::bridge::{Problem, to_params, worst_difference};
use crate::equations::cases::devices;
use crate::oracle::paper_loop::{PaperSettings, paper_loop};
use crate::oracle::train::{Optimizer, Schedule as OracleSchedule, schedule};
use crate::oracle::{Coding, Distance, Loss, Spec, Target};

/// Rounding of 300 dependent steps; a wrong rule is off by more than 1e-1 here.
const TOLERANCE: f64 = 1e-4;
/// Sparse rows take ‖x − z‖² as a difference of sums.
const SPARSE_TOLERANCE: f64 = 1e-3;
const ROWS: usize = 300;

const SPEC: Spec = Spec {
    coding: Coding::Adaptive,
    distance: Distance::SqEuclidean,
    loss: Loss::Logistic,
    smoothing: 0.0,
    learn_anchors: true,
    learn_lipschitz: false,
    learn_metric: false,
    learn_scale: false,
};

const SETTINGS: PaperSettings = PaperSettings { rho: 20.0, anchor_rho: 6.0, t0: 100.0, l2: 1e-3 };

/// A problem of the paper: one L, no metric.
fn problem() -> Problem {
    let mut problem = Problem::random(SPEC, (7, 4, 3), ROWS, 5);
    problem.params.log_metric.fill(0.0);
    problem.params.log_lipschitz.fill(-1.5);
    problem
}

/// `SETTINGS` in the crate's words: rate · t₀/(t + t₀), so rate is ρ/t₀.
fn config(problem: &Problem) -> TrainConfig {
    TrainConfig {
        learn: Learn { anchors: true, ..Learn::default() },
        schedule: Schedule::Inverse,
        learning_rate: SETTINGS.rho / SETTINGS.t0,
        anchor_rate: SETTINGS.anchor_rho / SETTINGS.t0,
        t0: SETTINGS.t0,
        l2: SETTINGS.l2,
        batch_size: 1,
        init_scale: 0.3,
        lipschitz: Some((-1.5_f64).exp()),
        ..problem.config(Optimizer::Sgd)
    }
}

fn labels(problem: &Problem) -> Vec<f64> {
    let sign = |target: &Target| if *target == Target::Class(1) { 1.0 } else { -1.0 };
    problem.targets.iter().map(sign).collect()
}

/// Single-row steps of the backend: the difference to the loop, of parameters and of the loss.
fn differences(problem: &Problem, device: &Device, sparse: bool) -> (f64, f64) {
    let labels = labels(problem);
    let (expected, loss) = paper_loop(&problem.params, &SETTINGS, &problem.rows, &labels);
    assert!(worst_difference(&problem.params, &expected) > 0.3, "the loop should move far");
    let (found, totals) = problem.with_backend(device, &config(problem), sparse, |backend| {
        for t in 0..ROWS as u32 {
            let divisor = f64::from(t) + SETTINGS.t0;
            let rate = (SETTINGS.rho / divisor) as f32;
            let anchor_rate = (SETTINGS.anchor_rho / divisor) as f32;
            let rates = StepRates {
                step: u64::from(t) + 1,
                rate,
                anchor_rate,
                label_smoothing: 0.0,
                anchor_dropout: AnchorDropout::default(),
            };
            backend.step(&[t], rates).unwrap();
        }
        (backend.parameters().unwrap(), backend.take_totals().unwrap())
    });
    let loss_difference = (totals.loss / ROWS as f64 - loss).abs() / loss;
    (worst_difference(&to_params(&found), &expected), loss_difference)
}

#[test]
fn single_row_steps_are_the_papers_loop() {
    for (name, device) in devices() {
        let (parameters, loss) = differences(&problem(), &device, false);
        assert!(parameters < TOLERANCE && loss < TOLERANCE, "{name}: {parameters:.2e}, {loss:.2e}");
    }
}

#[test]
fn single_sparse_row_steps_are_the_papers_loop() {
    // The lazy rule leaves absent columns as they are, so every row has every column.
    let mut problem = problem();
    problem.rows.iter_mut().flatten().filter(|x| **x == 0.0).for_each(|x| *x = 0.375);
    let tolerance = SPARSE_TOLERANCE;
    for (name, device) in devices() {
        let (parameters, loss) = differences(&problem, &device, true);
        assert!(parameters < tolerance && loss < tolerance, "{name}: {parameters:.2e}, {loss:.2e}");
    }
}

/// `train` on the problem's rows, and its reports.
fn run(problem: &Problem, device: &Device, config: &TrainConfig) -> (Trained, Vec<EpochReport>) {
    let rows = Dataset {
        features: problem.features(false),
        targets: Targets::Classes(problem.flat_targets().0),
        weights: None,
    };
    let data = TrainData::new(&rows, 2);
    let mut reports = Vec::new();
    let trained = train(&data, config, device, &mut |event| {
        if let Event::Epoch(report) = event {
            reports.push((*report).clone());
        }
        Flow::Continue
    });
    (trained.unwrap(), reports)
}

/// The orders of the epochs, drawn as the documentation of `random` and `schedule` says.
fn orders(seed: u64, epochs: usize) -> Vec<Vec<usize>> {
    const ORDER: u64 = 3;
    let word = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(ORDER.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(word);
    let mut order: Vec<usize> = (0..ROWS).collect();
    let mut next = || {
        order.shuffle(&mut generator);
        order.clone()
    };
    (0..epochs).map(|_| next()).collect()
}

#[test]
fn training_with_batches_of_one_is_the_papers_loop() {
    let problem = problem();
    let config = TrainConfig { epochs: 2, seed: 9, ..config(&problem) };
    // Without steps the start comes back.
    let still = TrainConfig { learning_rate: 0.0, anchor_rate: 0.0, ..config };
    let start = to_params(&run(&problem, &Device::Cpu, &still).0.members[0]);
    let order: Vec<usize> = orders(9, 2).concat();
    let rows: Vec<Vec<f64>> = order.iter().map(|&r| problem.rows[r].clone()).collect();
    let labels = labels(&problem);
    let labels: Vec<f64> = order.iter().map(|&r| labels[r]).collect();
    let (expected, loss) = paper_loop(&start, &SETTINGS, &rows, &labels);

    assert!(worst_difference(&start, &expected) > 0.3, "the loop should move far");
    for (name, device) in devices() {
        let (trained, reports) = run(&problem, &device, &config);
        let worst = worst_difference(&to_params(&trained.members[0]), &expected);
        assert!(worst < 2.0 * TOLERANCE, "{name}: {worst:.2e}");
        let found = 0.5 * (reports[0].train_loss + reports[1].train_loss);
        assert!((found - loss).abs() < 1e-4 * loss, "{name}: {found} for {loss}");
    }
}

#[test]
fn the_reported_rate_is_that_of_the_epochs_last_step() {
    let problem = problem();
    let (batch_size, epochs) = (70, 4);
    let steps = ROWS.div_ceil(batch_size);
    let kinds = [
        (Schedule::Constant, OracleSchedule::Constant),
        (Schedule::Inverse, OracleSchedule::Inverse { t0: SETTINGS.t0 }),
        (Schedule::Cosine, OracleSchedule::Cosine { total_steps: steps * epochs }),
    ];
    for (kind, oracle) in kinds {
        let config = TrainConfig {
            schedule: kind,
            batch_size,
            epochs,
            learning_rate: 0.03,
            optimizer: config::Optimizer::Adam,
            ..config(&problem)
        };
        let (_, reports) = run(&problem, &Device::Cpu, &config);
        assert_eq!(reports.len(), epochs);
        for (epoch, report) in reports.iter().enumerate() {
            let step = (epoch + 1) * steps - 1;
            let rows_seen = epoch * ROWS + (steps - 1) * batch_size;
            let expected = schedule(oracle, 0.03, rows_seen, step);
            let error = (report.learning_rate - expected).abs();
            assert!(error < 1e-12, "{kind:?}: {} for {expected}", report.learning_rate);
        }
    }
}

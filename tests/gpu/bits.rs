//! Bit for bit.

use llfm::backend::{AnchorDropout, Backend, Device, Placement, Scores, StepRates, Totals};
use llfm::backend::{TrainRows, TrainTargets};
use llfm::config::TrainConfig;
use llfm::data::{Dataset, Targets};
use llfm::model::Parameters;

use crate::bench::{METHODS, compressed, config, only, pairs, rings, start};
use crate::gpu::device;

/// Rows of both kinds: dense, and sparse with rows that share columns; some have weights.
fn sets() -> [Dataset; 3] {
    let dense = rings(300, 5, 1);
    let weights = Some((0..300).map(|i| [0.0, 1.0, 1.5, 2.0, 0.5][i % 5]).collect());
    [Dataset { weights, ..compressed(&dense) }, pairs(300, 40, 2), dense]
}

/// Everything a run leaves.
#[derive(Debug, PartialEq)]
struct Left {
    parameters: Parameters,
    totals: Totals,
    outputs: Vec<u32>,
    gamma: Vec<f64>,
}

/// Takes `steps` steps on batches that wander through the rows; `disturb` looks at the backend
/// between them.
fn run(
    device: &Device,
    config: &TrainConfig,
    data: &Dataset,
    steps: usize,
    mut disturb: impl FnMut(&mut dyn Backend, usize),
) -> Left {
    let Targets::Classes(classes) = &data.targets else { panic!("two classes") };
    let initial = &start(&only(data), config).trained.members[0];
    let weights = data.weights.as_deref();
    let targets = TrainTargets::Classes(classes);
    let rows = TrainRows { features: &data.features, targets, weights };
    let mut backend = device.trainer(initial, config, rows).expect("a backend");
    for step in 0..steps {
        // The last batch of an epoch is smaller.
        let size = if step % 7 == 6 { 5 } else { config.batch_size };
        let batch: Vec<u32> =
            (0..size).map(|r| ((r * 13 + step * 37) % classes.len()) as u32).collect();
        let rates = StepRates {
            step: step as u64 + 1,
            rate: 0.02,
            anchor_rate: 0.03,
            label_smoothing: 0.1,
            anchor_dropout: AnchorDropout::new(config.anchor_dropout, step as u32),
        };
        backend.step(&batch, rates).expect("a step");
        disturb(backend.as_mut(), step);
    }
    let Scores { outputs, gamma, .. } = backend.score(&data.features).expect("scores");
    Left {
        totals: backend.take_totals().expect("totals"),
        parameters: backend.parameters().expect("parameters"),
        outputs: outputs.iter().map(|y| y.to_bits()).collect(),
        gamma,
    }
}

#[test]
fn two_runs_are_the_same_bits_resident_or_streamed() {
    let (Some(resident), Some(stream)) = (device(Placement::Resident), device(Placement::Stream))
    else {
        return;
    };
    for data in sets() {
        for method in METHODS {
            let config = TrainConfig { anchor_dropout: 0.2, ..config(method) };
            let first = run(&resident, &config, &data, 30, |_, _| {});
            assert!(first.parameters.is_finite(), "{method:?}");
            assert_eq!(first, run(&resident, &config, &data, 30, |_, _| {}), "{method:?}");
            assert_eq!(first, run(&stream, &config, &data, 30, |_, _| {}), "{method:?}, streamed");
        }
    }
}

#[test]
fn submissions_of_any_number_of_steps_are_the_same_bits() {
    for placement in [Placement::Resident, Placement::Stream] {
        let Some(device) = crate::gpu::device(placement) else { return };
        for data in sets() {
            let config = config(METHODS[3]);
            // More than one submission takes, in one go and with the device asked in between.
            let steps = 150;
            let straight = run(&device, &config, &data, steps, |_, _| {});
            let mut counted = Totals::default();
            let mut asked = run(&device, &config, &data, steps, |backend, step| {
                if step % 11 == 3 {
                    backend.parameters().expect("parameters");
                }
                if step == 70 {
                    counted = backend.take_totals().expect("totals");
                }
            });
            asked.totals.rows += counted.rows;
            asked.totals.loss += counted.loss;
            asked.totals.pairs.iter_mut().zip(&counted.pairs).for_each(|(all, some)| *all += some);
            let far = (asked.totals.loss - straight.totals.loss).abs();
            // Losses are added in f64: in another order, the last bit may differ.
            assert!(far < 1e-9 * straight.totals.loss, "{far:.2e}");
            asked.totals.loss = straight.totals.loss;
            assert_eq!(asked, straight, "{placement:?}");
        }
    }
}

#[test]
fn scoring_in_parts_is_scoring_at_once() {
    let Some(device) = device(Placement::Auto) else { return };
    // More rows than one dispatch takes.
    let many = rings(9_000, 3, 4);
    for data in [compressed(&many), many] {
        let config = config(METHODS[3]);
        let initial = &start(&only(&data), &config).trained.members[0];
        let sparse = matches!(data.features, llfm::data::Features::Sparse(_));
        let mut gpu = device.scorer(initial, &config, sparse).expect("a scorer");
        let mut cpu = Device::Cpu.scorer(initial, &config, sparse).expect("a scorer");
        let (found, expected) = (
            gpu.score(&data.features).expect("scores"),
            cpu.score(&data.features).expect("scores"),
        );
        assert_eq!(found.outputs.dim(), (9_000, 1));
        let worst = (found.outputs.iter().zip(&expected.outputs))
            .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-5, "{worst:.2e}");
        assert!((found.gamma.iter().sum::<f64>() - 9_000.0).abs() < 0.5);
    }
}

//! What depends on the limits of a device.

use ndarray::{Array1, Array2, Array3, Array4};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::backend::{AnchorDropout, Device, TrainTargets};
use crate::config::defaults::{DataShape, resolve};
use crate::data::{Csr, Task};
use crate::error::Error;
use crate::gpu::fault::Faults;
use crate::gpu::testing::{faulty_gpu, test_gpu};
use crate::settings::Settings;

mod counts;
mod forms;

const ROWS: usize = 120;
const BATCH: usize = 40;
const FEATURES: usize = 9;
const CLASSES: usize = 3;

/// A model with twelve anchors, all of them active, and rows of either storage.
struct Case {
    parameters: Parameters,
    config: TrainConfig,
    features: Features,
    classes: Vec<u32>,
}

impl Case {
    fn new(sparse: bool) -> Self {
        let shape = DataShape {
            rows: ROWS,
            features: FEATURES,
            nonzeros: ROWS * FEATURES,
            sparse,
            classes: CLASSES,
            task: Task::Multiclass,
        };
        let config = resolve(&Settings::default(), &shape).expect("defaults are sound");
        let config = TrainConfig { anchors: 12, batch_size: BATCH, ..config };
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut number = || random.random_range(-1.0_f32..1.0);
        let (m, p, c, d) = (config.anchors, FEATURES, CLASSES, config.factors);
        let parameters = Parameters {
            anchors: Array2::from_shape_simple_fn((m, p), &mut number),
            log_lipschitz: Array1::from_elem(m, -6.0),
            log_metric: Array1::zeros(p),
            anchor_scale: None,
            bias: Array2::zeros((m, c)),
            linear: Array3::from_shape_simple_fn((m, c, p), &mut number),
            factors: Array4::from_shape_simple_fn((m, c, p, d), &mut number),
        };
        let cells = Array2::from_shape_simple_fn((ROWS, p), &mut number);
        let features = if sparse {
            let (n, all) = (ROWS * p, cells.as_slice().expect("row-major"));
            Features::Sparse(Csr {
                n_cols: p,
                offsets: (0..=ROWS).map(|r| r * p).collect(),
                indices: (0..n).map(|i| (i % p) as u32).collect(),
                values: all.to_vec(),
            })
        } else {
            Features::Dense(cells)
        };
        let classes = (0..ROWS).map(|r| (r % c) as u32).collect();
        Self { parameters, config, features, classes }
    }

    fn rows(&self) -> TrainRows<'_> {
        TrainRows {
            features: &self.features,
            targets: TrainTargets::Classes(&self.classes),
            weights: None,
        }
    }

    fn trainer<'a>(&'a self, gpu: &Arc<Gpu>, placement: Placement) -> Result<Trainer<'a>> {
        self.trainer_of(gpu, (placement, RowStorage::F32))
    }

    fn trainer_of<'a>(
        &'a self,
        gpu: &Arc<Gpu>,
        place: (Placement, RowStorage),
    ) -> Result<Trainer<'a>> {
        Trainer::new(gpu, &self.parameters, &self.config, self.rows(), place)
    }
}

/// Parameters after some steps, and the totals.
fn after_steps(trainer: &mut Trainer<'_>) -> (Parameters, Totals) {
    let order: Vec<u32> = (0..ROWS as u32).collect();
    for (step, rows) in (1..).zip(order.chunks(BATCH).cycle().take(10)) {
        trainer.step(rows, rates(step)).expect("a step");
    }
    (trainer.parameters().expect("parameters"), trainer.take_totals().expect("totals"))
}

fn rates(step: u64) -> StepRates {
    let anchor_dropout = AnchorDropout::default();
    StepRates { step, rate: 0.01, anchor_rate: 0.02, label_smoothing: 0.0, anchor_dropout }
}

fn limited(bytes: u64) -> Option<Arc<Gpu>> {
    faulty_gpu(Faults { limit: Some(bytes), ..Faults::default() })
}

#[test]
fn pairs_beyond_a_binding_are_taken_in_groups_with_the_same_bits() {
    let (Some(whole), Some(limited)) = (test_gpu(), limited(40_000)) else { return };
    for sparse in [false, true] {
        let case = Case::new(sparse);
        let mut one = case.trainer(&whole, Placement::Auto).expect("a trainer");
        let mut several = case.trainer(&limited, Placement::Auto).expect("a trainer");
        let dispatches = |trainer: &Trainer<'_>| trainer.launches.len();
        assert!(dispatches(&several) > dispatches(&one) + 2, "sparse {sparse}: one group");
        let (expected, found) = (after_steps(&mut one), after_steps(&mut several));
        assert!(expected.1.pairs.iter().all(|&pairs| pairs == 10 * BATCH as u64), "all are active");
        assert_eq!(found, expected, "sparse {sparse}");
    }
}

#[test]
fn rows_beyond_a_binding_are_streamed_or_refused() {
    // Rows take 5.8 kB where dense; eight bytes an entry, 8.6 kB, where sparse.
    let Some(whole) = test_gpu() else { return };
    for (sparse, bytes) in [(false, 5_700), (true, 8_600)] {
        let mut case = Case::new(sparse);
        // Small enough in all else.
        case.config = TrainConfig { batch_size: 4, factors: 2, anchors: 2, ..case.config };
        case.parameters = case.parameters.head(2, 2);
        let Some(limited) = limited(bytes) else { return };
        let mut streamed = case.trainer(&limited, Placement::Auto).expect("a trainer");
        let placement = streamed.device_use().expect("a GPU").placement;
        assert_eq!(placement, Placement::Stream, "sparse {sparse}");
        let mut resident = case.trainer(&whole, Placement::Resident).expect("a trainer");
        assert_eq!(after(&mut streamed), after(&mut resident), "sparse {sparse}");
        let refused = case.trainer(&limited, Placement::Resident).err().expect("it does not fit");
        let text = refused.to_string();
        assert!(matches!(refused, Error::Device(_)) && text.contains("MB"), "{text}");
        assert!(text.contains("--data-placement stream"), "{text}");
    }
}

/// The same with small batches.
fn after(trainer: &mut Trainer<'_>) -> Parameters {
    for step in 1..=20 {
        let rows: Vec<u32> = (0..4).map(|r| (r * 31 + step as u32 * 7) % ROWS as u32).collect();
        trainer.step(&rows, rates(step)).expect("a step");
    }
    trainer.parameters().expect("parameters")
}

#[test]
fn a_model_beyond_a_binding_is_refused_with_its_size() {
    let Some(limited) = limited(20_000) else { return };
    let case = Case::new(false);
    // 12 anchors, 9 features and 3 classes of 3 vectors: 15.6 kB, and twice that for Adam.
    let refused = case.trainer(&limited, Placement::Auto).err().expect("it does not fit");
    let text = refused.to_string();
    assert!(text.contains("the optimizer's memory") && text.contains("0.0311 MB"), "{text}");
    assert_eq!(refused.exit_code(), 5);
}

#[test]
fn what_no_buffer_holds_is_refused_before_anything_is_seeded() {
    // MNIST with 2,000 anchors on a device that reaches 134 MB, as software does.
    let Some(limited) = limited(1 << 27) else { return };
    let shape = DataShape {
        rows: 60_000,
        features: 784,
        nonzeros: 60_000 * 150,
        sparse: false,
        classes: 10,
        task: Task::Multiclass,
    };
    let config = resolve(&Settings::default(), &shape).expect("defaults are sound");
    let config = TrainConfig { anchors: 2_000, factors: 10, ..config };
    let (placement, storage) = (Placement::Auto, RowStorage::F32);
    let device = Device::Gpu { gpu: limited, placement, storage };
    let refused = |config: &TrainConfig| {
        let refused = device.check_model(config, &shape).expect_err("it does not fit");
        assert_eq!(refused.exit_code(), 5);
        refused.to_string()
    };
    let text = refused(&config);
    for part in ["the local models", "752.6 MB", "134.2 MB", "fewer --anchors"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Models of one output without factors fit, but not the pairs of so many rows.
    let loss = crate::config::Loss::Squared;
    let config = TrainConfig { loss, factors: 0, batch_size: 20_000, ..config };
    let text = refused(&config);
    for part in ["`distance`", "160.0 MB", "smaller --batch-size"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = refused(&TrainConfig { batch_size: 10_000, ..config });
    assert!(text.contains("`active_anchors`") && text.contains("400.0 MB"), "{text}");
    device.check_model(&TrainConfig { batch_size: 1_000, ..config }, &shape).expect("it fits");
    // Nor the sums of one anchor's pairs, where rows have many outputs: 60,000 of 10 of 34 vectors.
    let config = TrainConfig { anchors: 1, factors: 132, batch_size: 60_000, ..config };
    let text = refused(&TrainConfig { loss: crate::config::Loss::Softmax, ..config });
    for part in ["sums of one anchor's pairs", "326.4 MB", "134.2 MB", "smaller --batch-size"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

impl Parameters {
    /// The first anchors and factors alone.
    fn head(&self, m: usize, d: usize) -> Self {
        use ndarray::s;
        Self {
            anchors: self.anchors.slice(s![..m, ..]).to_owned(),
            log_lipschitz: self.log_lipschitz.slice(s![..m]).to_owned(),
            log_metric: self.log_metric.clone(),
            anchor_scale: None,
            bias: self.bias.slice(s![..m, ..]).to_owned(),
            linear: self.linear.slice(s![..m, .., ..]).to_owned(),
            factors: self.factors.slice(s![..m, .., .., ..d]).to_owned(),
        }
    }
}

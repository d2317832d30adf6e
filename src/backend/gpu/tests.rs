//! What depends on the limits of a device.

use ndarray::{Array1, Array2, Array3, Array4};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::backend::gpu::tuning::Variant;
use crate::backend::{AnchorDropout, Device, TrainTargets};
use crate::bench::Work;
use crate::config::defaults::{DataShape, resolve};
use crate::data::{Csr, Task};
use crate::error::Error;
use crate::gpu::fault::Faults;
use crate::gpu::testing::{faulty_gpu, test_gpu, variant_gpu};
use crate::settings::Settings;

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

/// Sizes of a step of a case, all of whose rows have all features.
fn work_of(case: &Case, sparse: bool) -> Work {
    let config = &case.config;
    Work {
        rows: BATCH as f64,
        nonzeros: FEATURES as f64,
        columns: FEATURES as f64,
        features: FEATURES as f64,
        sparse,
        anchors: config.anchors as f64,
        outputs: CLASSES as f64,
        factors: config.factors as f64,
        active: config.anchors as f64,
        learn: config.learn,
        optimizer: config.optimizer,
        penalty: config.l2 > 0.0 || config.weight_decay > 0.0,
    }
}

/// Dispatches that wait for one before: they touch what it wrote, or write what it touched.
fn barriers(trainer: &Trainer<'_>) -> usize {
    let mut written = std::collections::HashMap::new();
    let mut waits = |launch: &Launch| {
        let bindings = launch.bound.pipeline.bindings().iter();
        let storage = bindings.filter(|binding| binding.is_storage());
        let waiting = storage.filter(|binding| {
            let before = written.insert(binding.name.clone(), binding.is_written());
            before.is_some_and(|before| before || binding.is_written())
        });
        waiting.count() > 0
    };
    let mut in_a_step = || trainer.launches.iter().filter(|launch| waits(launch)).count();
    // Of a step that follows another.
    in_a_step();
    in_a_step()
}

/// Bytes that the host sends for three steps in one submission.
fn uploads(gpu: &Gpu, trainer: &mut Trainer<'_>) -> u64 {
    let before = gpu.written_bytes();
    for (step, first) in (1..).zip([0, 40, 80]) {
        let rows: Vec<u32> = (first..first + BATCH as u32).collect();
        trainer.step(&rows, rates(step)).expect("a step");
    }
    trainer.flush().expect("submitted");
    gpu.written_bytes() - before
}

#[test]
fn forms_of_the_coding_give_the_same_bits() {
    let forms = [(false, false), (false, true), (true, false), (true, true)];
    for sparse in [false, true] {
        let case = Case::new(sparse);
        let mut expected = None;
        for (subgroups, fused) in forms {
            let variant = Variant {
                subgroups: Some(subgroups),
                fused_coding: Some(fused),
                ..Variant::default()
            };
            let Some(gpu) = variant_gpu(variant) else { return };
            let mut trainer = case.trainer(&gpu, Placement::Auto).expect("a trainer");
            let found = after_steps(&mut trainer);
            assert_eq!(
                &found,
                expected.get_or_insert(found.clone()),
                "sparse {sparse}, {variant:?}"
            );
        }
    }
}

#[test]
fn a_step_takes_no_more_dispatches_and_bytes_than_it_did() {
    // All numbers: fewer are better, and then they go down here.
    let dense = (false, 7, 324_320.0, 416);
    let sparse = (true, 9, 298_436.0, 3_376);
    for (sparse, dispatches, bytes, uploaded) in [dense, sparse] {
        // A device of its own: others would count what tests beside this one write.
        let Some(gpu) = faulty_gpu(Faults::default()) else { return };
        let case = Case::new(sparse);
        let mut trainer = case.trainer(&gpu, Placement::Resident).expect("a trainer");
        let work = work_of(&case, sparse);
        let kernels = work.kernels();
        let modelled: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
        assert_eq!(trainer.kernels(), modelled, "sparse {sparse}");
        assert_eq!(modelled.len(), dispatches, "sparse {sparse}");
        assert_eq!(barriers(&trainer), dispatches, "sparse {sparse}");
        let moved: f64 = kernels.iter().map(|kernel| kernel.bytes).sum();
        assert_eq!(moved, bytes, "sparse {sparse}");
        assert_eq!(uploads(&gpu, &mut trainer), 3 * uploaded, "sparse {sparse}");
        assert_eq!(work.uploaded_bytes(true), uploaded as f64, "sparse {sparse}");
        let mut streamed = case.trainer(&gpu, Placement::Stream).expect("a trainer");
        // A submission of sparse rows ends with where the last one ends.
        let modelled = 3 * work.uploaded_bytes(false) as u64 + if sparse { 4 } else { 0 };
        assert_eq!(uploads(&gpu, &mut streamed), modelled, "sparse {sparse}");
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

#[test]
fn an_epoch_of_resident_rows_uploads_its_order_once_and_else_what_changes_from_step_to_step() {
    // A device of its own, whose bytes nobody else counts.
    let Some(gpu) = faulty_gpu(Faults::default()) else { return };
    let case = Case::new(false);
    let mut trainer = case.trainer(&gpu, Placement::Resident).expect("a trainer");
    let order: Vec<u32> = (0..ROWS as u32).rev().collect();
    for _ in 0..2 {
        let before = gpu.written_bytes();
        trainer.begin_epoch(&order).expect("an epoch");
        assert_eq!(gpu.written_bytes() - before, 4 * ROWS as u64);
        for (step, rows) in (1..).zip(order.chunks(BATCH)) {
            trainer.step(rows, rates(step)).expect("a step");
        }
        trainer.take_totals().expect("totals");
        let steps = (ROWS / BATCH) as u64 * STEP_PITCH;
        assert_eq!(gpu.written_bytes() - before, 4 * ROWS as u64 + steps);
    }
}

#[test]
fn steps_on_the_rows_of_an_epoch_and_on_others_are_the_same_bits() {
    let Some(gpu) = test_gpu() else { return };
    let orders: [Vec<u32>; 2] =
        [(0..ROWS as u32).rev().collect(), (0..ROWS as u32).map(|r| r * 7 % 120).collect()];
    let other: Vec<u32> = (0..17).collect();
    for (sparse, placement) in [
        (false, Placement::Resident),
        (true, Placement::Resident),
        (false, Placement::Stream),
        (true, Placement::Stream),
    ] {
        let case = Case::new(sparse);
        let left = |told: bool| {
            let mut trainer = case.trainer(&gpu, placement).expect("a trainer");
            for order in &orders {
                if told {
                    trainer.begin_epoch(order).expect("an epoch");
                }
                // Rows of no epoch come in between, and the last batch is smaller.
                let batches = order.chunks(BATCH - 7).flat_map(|rows| [rows, &other]);
                for (step, rows) in (1..).zip(batches) {
                    trainer.step(rows, rates(step)).expect("a step");
                }
            }
            (trainer.parameters().expect("parameters"), trainer.take_totals().expect("totals"))
        };
        assert_eq!(left(true), left(false), "sparse {sparse}, {placement:?}");
    }
}

#[test]
fn the_host_gathers_while_the_device_works_on_two_submissions() {
    let Some(gpu) = test_gpu() else { return };
    for sparse in [false, true] {
        let case = Case::new(sparse);
        let mut trainer = case.trainer(&gpu, Placement::Stream).expect("a trainer");
        let rows: Vec<u32> = (0..BATCH as u32).collect();
        let mut ahead = Vec::new();
        for step in 1..=5 * trainer.set.steps as u64 {
            trainer.step(&rows, rates(step)).expect("a step");
            ahead.push(trainer.submitted.len());
        }
        // A step hands over what waits only if there is no room for it: by then nothing was waited
        // for until two submissions were on their way, and then for the first of them.
        ahead.dedup();
        assert_eq!(ahead, [0, 1, AHEAD], "sparse {sparse}");
    }
}

#[test]
fn rows_that_their_storage_holds_exactly_train_to_the_same_bits() {
    let Some(gpu) = test_gpu() else { return };
    let mut case = Case::new(false);
    // Of each column the least is 0 and the greatest 255/64: a grid of sixty-fourths, as halves have.
    let mut number = 0;
    let cells = Array2::from_shape_simple_fn((ROWS, FEATURES), || {
        number += 1;
        (number * 89 % 256) as f32 / 64.0
    });
    let spans = |r: usize| if r == 0 { Some(0.0) } else { (r == 1).then_some(255.0 / 64.0) };
    let cells = Array2::from_shape_fn((ROWS, FEATURES), |(r, j)| spans(r).unwrap_or(cells[[r, j]]));
    case.features = Features::Dense(cells);
    let mut plain = case.trainer(&gpu, Placement::Resident).expect("a trainer");
    let expected = after_steps(&mut plain);
    let scores = plain.score(&case.features).expect("scores").outputs;
    for placement in [Placement::Resident, Placement::Stream] {
        for storage in [RowStorage::F16, RowStorage::U8] {
            let mut trainer = case.trainer_of(&gpu, (placement, storage)).expect("a trainer");
            let place = trainer.device_use().expect("a GPU");
            assert_eq!((place.placement, place.storage), (placement, storage));
            assert_eq!(after_steps(&mut trainer), expected, "{placement:?}, {storage:?}");
            // Scores are of the rows as they are.
            assert_eq!(trainer.score(&case.features).expect("scores").outputs, scores);
        }
    }
}

#[test]
fn rows_that_their_storage_rounds_train_elsewhere_and_score_as_they_are() {
    let Some(gpu) = test_gpu() else { return };
    let case = Case::new(false);
    let after = |storage| {
        let mut trainers = [Placement::Resident, Placement::Stream]
            .map(|at| case.trainer_of(&gpu, (at, storage)).expect("a trainer"));
        let scores = trainers[0].score(&case.features).expect("scores").outputs;
        let [resident, stream] = trainers.each_mut().map(after_steps);
        assert_eq!(resident, stream, "{storage:?}");
        (scores, resident.0)
    };
    let [plain, halves, bytes] = [RowStorage::F32, RowStorage::F16, RowStorage::U8].map(after);
    assert!(plain.0 == halves.0 && plain.0 == bytes.0, "scores before the first step");
    assert!(plain.1 != halves.1 && plain.1 != bytes.1 && halves.1 != bytes.1);
    for (name, found) in [("f16", halves.1), ("u8", bytes.1)] {
        let far = (&found.linear - &plain.1.linear).mapv(f32::abs).sum();
        assert!(far < 0.02 * plain.1.linear.mapv(f32::abs).sum(), "{name}: {far}");
    }
}

#[test]
fn rows_beyond_a_binding_are_resident_in_fewer_bytes() {
    // Rows take 120 · 3 vectors of four: 5,760 bytes, 2,880 as halves, 1,536 as bytes with their grid.
    let mut case = Case::new(false);
    case.config = TrainConfig { batch_size: 4, factors: 2, anchors: 2, ..case.config };
    case.parameters = case.parameters.head(2, 2);
    let Some(limited) = limited(5_700) else { return };
    for (storage, placement) in [
        (RowStorage::F32, Placement::Stream),
        (RowStorage::F16, Placement::Resident),
        (RowStorage::U8, Placement::Resident),
    ] {
        let trainer = case.trainer_of(&limited, (Placement::Auto, storage)).expect("a trainer");
        assert_eq!(trainer.device_use().expect("a GPU").placement, placement, "{storage:?}");
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

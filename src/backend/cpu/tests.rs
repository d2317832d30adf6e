//! Whole steps, by each way of computing them.

use ndarray::{Array1, Array2, Array3, Array4, Axis};
use rand::RngExt;

use super::*;
use crate::config::defaults::{DataShape, resolve};
use crate::config::{Method, Optimizer};
use crate::data::Csr;
use crate::data::Task;
use crate::random::plain;
use crate::settings::Settings;
use crate::simd::tests::without_vectors;

const ROWS: usize = 150;
const CLASSES: usize = 7;

/// Rows of which four cells in five are one value, the same in each column.
fn pixels(features: usize) -> Array2<f32> {
    let mut random = plain(3);
    Array2::from_shape_simple_fn((ROWS, features), || {
        random.random_range(0.0..1.0_f32).max(0.8) - 0.85
    })
}

fn settings(method: Method, optimizer: Optimizer) -> Settings {
    Settings {
        method: Some(method),
        anchors: (method != Method::Fm).then_some(5),
        optimizer: Some(optimizer),
        batch_size: Some(70),
        ..Settings::default()
    }
}

/// What trains on rows, after some steps: its parameters, and scores of the rows.
struct Course<'a> {
    features: &'a Features,
    config: TrainConfig,
    classes: Vec<u32>,
    /// Empty where rows have none.
    weights: Vec<f32>,
    initial: Parameters,
}

impl<'a> Course<'a> {
    /// With two classes, rows have weights.
    fn new(features: &'a Features, method: Method, optimizer: Optimizer, n_classes: usize) -> Self {
        let (n, p) = (features.n_rows(), features.n_cols());
        let binary = n_classes == 2;
        let shape = DataShape {
            rows: n,
            features: p,
            nonzeros: features.n_stored(),
            sparse: matches!(features, Features::Sparse(_)),
            classes: n_classes,
            task: if binary { Task::Binary } else { Task::Multiclass },
        };
        let config = resolve(&settings(method, optimizer), &shape).expect("sound settings");
        let (mut random, d, m) = (plain(5), config.factors, config.anchors);
        let outputs = if binary { 1 } else { n_classes };
        let mut number = || random.random_range(-0.1..0.1_f32);
        let initial = Parameters {
            anchors: Array2::from_shape_simple_fn((m, p), &mut number),
            log_lipschitz: Array1::zeros(m),
            log_metric: Array1::from_shape_simple_fn(p, &mut number),
            anchor_scale: None,
            bias: Array2::from_shape_simple_fn((m, outputs), &mut number),
            linear: Array3::from_shape_simple_fn((m, outputs, p), &mut number),
            factors: Array4::from_shape_simple_fn((m, outputs, p, d), &mut number),
        };
        let classes = (0..n as u32).map(|r| r * r % 7 % n_classes as u32).collect();
        let weighted = if binary { n } else { 0 };
        let weights = (0..weighted).map(|r| 1.0 + (r % 3) as f32).collect();
        Self { features, config, classes, weights, initial }
    }

    /// With other anchors, each with the first one's model.
    fn with_anchors(&mut self, anchors: Array2<f32>) {
        let m = anchors.nrows();
        let initial = &mut self.initial;
        initial.log_lipschitz = Array1::from_shape_fn(m, |i| 0.001 * i as f32);
        initial.bias = initial.bias.select(Axis(0), &vec![0; m]);
        initial.linear = initial.linear.select(Axis(0), &vec![0; m]);
        initial.factors = initial.factors.select(Axis(0), &vec![0; m]);
        initial.anchors = anchors;
    }

    fn run<S: Store>(&self, prepare: impl FnOnce(&mut S)) -> (Cpu<'_, S>, Vec<f32>) {
        let targets = TrainTargets::Classes(&self.classes);
        let weights = (!self.weights.is_empty()).then_some(&self.weights[..]);
        let rows = TrainRows { features: self.features, targets, weights };
        let mut cpu = Cpu::<S>::new(&self.initial, &self.config, Some(rows));
        prepare(&mut cpu.store);
        let order: Vec<u32> = (0..self.features.n_rows() as u32).rev().collect();
        for (step, rows) in order.chunks(self.config.batch_size).cycle().take(7).enumerate() {
            let rates = StepRates {
                step: step as u64 + 1,
                rate: 0.01,
                anchor_rate: 0.02,
                label_smoothing: 0.1,
                anchor_dropout: AnchorDropout::default(),
            };
            cpu.step(rows, rates).expect("the CPU does not fail");
        }
        let scores = cpu.score(self.features).expect("the CPU does not fail").outputs;
        let Parameters { anchors, bias, linear, factors, .. } = cpu.store.parameters();
        let parts = [anchors.flatten(), bias.flatten(), linear.flatten(), factors.flatten()];
        let numbers = parts.iter().flatten().chain(&scores).copied().collect();
        (cpu, numbers)
    }
}

#[test]
fn rows_with_a_background_train_as_whole_rows_do() {
    let features = Features::Dense(pixels(150));
    let course = Course::new(&features, Method::LlfmJo, Optimizer::Sgd, CLASSES);
    let (whole, expected) = course.run(Dense::keep_whole_rows);
    let (cpu, found) = course.run(|_: &mut Dense| {});
    assert!(cpu.store.has_background() && !whole.store.has_background());
    for (f, e) in found.iter().zip(&expected) {
        assert!((f - e).abs() < 1e-5 * (1.0 + e.abs()), "{f} for {e}");
    }
}

#[test]
fn a_search_for_near_anchors_changes_no_bit() {
    // Rows and anchors in clouds far from each other.
    let cloud = |r: usize, j: usize| if r % 20 == j { 9.0 } else { 0.0 };
    let mut random = plain(11);
    let mut number = |r, j| cloud(r, j) + random.random_range(-1.0..1.0_f32);
    let rows = Array2::from_shape_fn((ROWS, 20), |(r, j)| number(r, j));
    let features = Features::Dense(rows);
    let mut course = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    course.with_anchors(Array2::from_shape_fn((300, 20), |(i, j)| number(i, j)));
    let (cpu, found) = course.run(|_: &mut Dense| {});
    assert!(cpu.store.searches());
    let (_, expected) = course.run(Dense::search_nothing);
    assert!(found.iter().zip(&expected).all(|(f, e)| f.to_bits() == e.to_bits()));
}

#[test]
fn steps_have_the_same_bits_without_vectors() {
    let sparse = Features::Sparse(Csr {
        n_cols: 40,
        offsets: (0..=ROWS).map(|r| 2 * r).collect(),
        indices: (0..ROWS as u32).flat_map(|r| [r % 19, 19 + r * 7 % 21]).collect(),
        values: (0..2 * ROWS).map(|i| 1.0 + 0.01 * i as f32).collect(),
    });
    let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    // One thread: others have their vectors.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let courses = [
        (Method::LlfmJo, Optimizer::Adam, CLASSES),
        (Method::LlfmJo, Optimizer::AdaGrad, 2),
        (Method::Fm, Optimizer::Adam, 2),
        (Method::Fm, Optimizer::Sgd, CLASSES),
    ];
    for features in [Features::Dense(pixels(150)), Features::Dense(pixels(20)), sparse] {
        for (method, optimizer, n_classes) in courses {
            let course = Course::new(&features, method, optimizer, n_classes);
            let run = || match &features {
                Features::Dense(_) => bits(course.run(|_: &mut Dense| {}).1),
                Features::Sparse(_) => bits(course.run(|_: &mut Sparse| {}).1),
            };
            let (vectors, scalars) = pool.install(|| (run(), without_vectors(run)));
            assert_eq!(vectors, scalars, "{method:?}, {} features", features.n_cols());
        }
    }
}

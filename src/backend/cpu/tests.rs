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

/// Rows of two columns each.
fn pairs_of_columns() -> Features {
    Features::Sparse(Csr {
        n_cols: 40,
        offsets: (0..=ROWS).map(|r| 2 * r).collect(),
        indices: (0..ROWS as u32).flat_map(|r| [r % 19, 19 + r * 7 % 21]).collect(),
        values: (0..2 * ROWS).map(|i| 1.0 + 0.01 * i as f32).collect(),
    })
}

/// Methods, optimizers and numbers of classes that take different ways.
const COURSES: [(Method, Optimizer, usize); 4] = [
    (Method::LlfmJo, Optimizer::Adam, CLASSES),
    (Method::LlfmJo, Optimizer::AdaGrad, 2),
    (Method::Fm, Optimizer::Adam, 2),
    (Method::Fm, Optimizer::Sgd, CLASSES),
];

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

    fn backend<S: Store>(&self) -> Cpu<'_, S> {
        let targets = TrainTargets::Classes(&self.classes);
        let weights = (!self.weights.is_empty()).then_some(&self.weights[..]);
        let rows = TrainRows { features: self.features, targets, weights };
        Cpu::new(&self.initial, &self.config, Some(rows))
    }

    fn step<S: Store>(&self, cpu: &mut Cpu<'_, S>, steps: Range<usize>) {
        self.step_hiding(AnchorDropout::default(), cpu, steps);
    }

    fn step_hiding<S: Store>(
        &self,
        anchor_dropout: AnchorDropout,
        cpu: &mut Cpu<'_, S>,
        steps: Range<usize>,
    ) {
        let order: Vec<u32> = (0..self.features.n_rows() as u32).rev().collect();
        let batches: Vec<_> = order.chunks(self.config.batch_size).collect();
        for step in steps {
            let rates = StepRates {
                step: step as u64 + 1,
                rate: 0.01,
                anchor_rate: 0.02,
                label_smoothing: 0.1,
                anchor_dropout,
            };
            cpu.step(batches[step % batches.len()], rates).expect("the CPU does not fail");
        }
    }

    fn run<S: Store>(&self, prepare: impl FnOnce(&mut S)) -> (Cpu<'_, S>, Vec<f32>) {
        let mut cpu = self.backend::<S>();
        prepare(&mut cpu.store);
        self.step(&mut cpu, 0..7);
        let scores = cpu.score(self.features).expect("the CPU does not fail").outputs;
        let Parameters { anchors, bias, linear, factors, .. } = cpu.store.parameters();
        let parts = [anchors.flatten(), bias.flatten(), linear.flatten(), factors.flatten()];
        let numbers = parts.iter().flatten().chain(&scores).copied().collect();
        (cpu, numbers)
    }

    /// Allocations of some steps, once others are done.
    fn allocations<S: Store>(&self, steps: usize) -> u64 {
        let mut cpu = self.backend::<S>();
        self.step(&mut cpu, 0..20);
        let none = allocation_counter::measure(|| self.step(&mut cpu, 20..20)).count_total;
        let all = allocation_counter::measure(|| self.step(&mut cpu, 20..20 + steps)).count_total;
        all - none
    }
}

#[test]
fn a_step_allocates_nothing() {
    let two_a_row = pairs_of_columns();
    // One thread: the counter sees its own alone.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for features in [Features::Dense(pixels(150)), Features::Dense(pixels(20)), two_a_row] {
        for (method, optimizer, n_classes) in COURSES {
            let course = Course::new(&features, method, optimizer, n_classes);
            let allocations = pool.install(|| match &features {
                Features::Dense(_) => course.allocations::<Dense>(6),
                Features::Sparse(_) => course.allocations::<Sparse>(6),
            });
            assert_eq!(allocations, 0, "{method:?}, {} features", features.n_cols());
        }
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

/// A course with 300 anchors: `spread` wide clouds of rows and anchors in 20 features.
fn many_anchors(rows: usize, spread: f32) -> (Features, Array2<f32>) {
    let mut random = plain(11);
    let mut cloud = |r: usize, j: usize| {
        let center = if r % 20 == j { 9.0 } else { 0.0 };
        center + random.random_range(-spread..spread)
    };
    let features = Features::Dense(Array2::from_shape_fn((rows, 20), |(r, j)| cloud(r, j)));
    (features, Array2::from_shape_fn((300, 20), |(i, j)| cloud(i, j)))
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_search_for_near_anchors_changes_no_bit() {
    let (features, anchors) = many_anchors(ROWS, 1.0);
    let mut course = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    course.with_anchors(anchors);
    let (cpu, found) = course.run(|_: &mut Dense| {});
    assert!(cpu.store.searches());
    let (_, expected) = course.run(Dense::search_no_anchors);
    assert_eq!(bits(&found), bits(&expected));
    assert_eq!(course.allocations::<Dense>(6), 0);
}

#[test]
fn a_search_that_rests_and_starts_again_changes_no_bit() {
    // Clouds so wide that no search pays.
    let (features, anchors) = many_anchors(4200, 30.0);
    let mut course = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    course.with_anchors(anchors);
    let epochs = |cpu: &mut Cpu<'_, Dense>| {
        let mut searches = Vec::new();
        for epoch in 0..3 {
            searches.push(cpu.store.searches());
            course.step(cpu, 60 * epoch..60 * (epoch + 1));
            searches.push(cpu.store.searches());
            cpu.take_totals().expect("the CPU does not fail");
        }
        let scores = cpu.score(&features).expect("the CPU does not fail").outputs;
        (searches, bits(&scores.iter().copied().collect::<Vec<_>>()))
    };
    let (searches, found) = epochs(&mut course.backend());
    assert_eq!(searches, [true, false, true, false, false, false]);
    let mut all = course.backend::<Dense>();
    all.store.search_no_anchors();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    assert_eq!(found, pool.install(|| epochs(&mut all).1));
}

#[test]
fn a_search_that_rests_between_two_scores_changes_no_bit() {
    let (features, anchors) = many_anchors(4200, 30.0);
    let mut course = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    course.with_anchors(anchors);
    let score_twice = |cpu: &mut Cpu<'_, Dense>| {
        course.step(cpu, 0..20);
        [(); 2].map(|()| cpu.score(&features).expect("the CPU does not fail").outputs)
    };
    let mut searched = course.backend::<Dense>();
    let [first, second] = score_twice(&mut searched);
    assert!(!searched.store.searches());
    let mut all = course.backend::<Dense>();
    all.store.search_no_anchors();
    assert_eq!([&first, &second], score_twice(&mut all).each_ref());
}

#[test]
fn nothing_is_searched_for_without_a_bound() {
    let (features, anchors) = many_anchors(ROWS, 1.0);
    let mut soft = Course::new(&features, Method::LlfmApl, Optimizer::Adam, 2);
    soft.with_anchors(anchors.clone());
    assert!(!soft.backend::<Dense>().store.searches());
    let mut scaled = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    scaled.with_anchors(anchors.clone());
    scaled.initial.anchor_scale = Some(Array2::from_elem(anchors.dim(), 0.5));
    assert!(!scaled.backend::<Dense>().store.searches());
    let mut hidden = Course::new(&features, Method::LlfmJo, Optimizer::Adam, 2);
    hidden.with_anchors(anchors);
    let hide = |cpu: &mut Cpu<'_, Dense>| {
        hidden.step_hiding(AnchorDropout::new(0.5, 3), cpu, 0..4);
        assert!(!cpu.store.searches());
        cpu.score(&features).expect("the CPU does not fail").outputs
    };
    let mut searched = hidden.backend::<Dense>();
    assert!(searched.store.searches());
    let mut all = hidden.backend::<Dense>();
    all.store.search_no_anchors();
    assert_eq!(hide(&mut searched), hide(&mut all));
}

#[test]
fn steps_have_the_same_bits_without_vectors() {
    let sparse = pairs_of_columns();
    // One thread: others have their vectors.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for features in [Features::Dense(pixels(150)), Features::Dense(pixels(20)), sparse] {
        for (method, optimizer, n_classes) in COURSES {
            let course = Course::new(&features, method, optimizer, n_classes);
            let run = || match &features {
                Features::Dense(_) => bits(&course.run(|_: &mut Dense| {}).1),
                Features::Sparse(_) => bits(&course.run(|_: &mut Sparse| {}).1),
            };
            let (vectors, scalars) = pool.install(|| (run(), without_vectors(run)));
            assert_eq!(vectors, scalars, "{method:?}, {} features", features.n_cols());
        }
    }
}

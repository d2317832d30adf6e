//! Small data sets, settings spelled out, and a run with everything it told.

use llfm::backend::Device;
use llfm::config::{Coding, Distance, Learn, Loss, Method, Optimizer, Schedule, TrainConfig};
use llfm::data::{Csr, Dataset, Features, Targets, Task};
use llfm::event::{EpochReport, Event, Flow};
use llfm::metrics::{self, EvalMetric, Metrics};
use llfm::outcome::Outcome;
use llfm::predict::Scorer;
use llfm::train::{TrainData, Trained, train};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) const METHODS: [Method; 4] =
    [Method::Fm, Method::LlfmDo, Method::LlfmApl, Method::LlfmJo];

/// A run and everything it told.
pub(crate) struct Run {
    pub(crate) trained: Trained,
    pub(crate) epochs: Vec<EpochReport>,
    pub(crate) warnings: Vec<String>,
    pub(crate) steps: u64,
}

/// Settings of a method on two classes; nothing is left to the defaults.
pub(crate) fn config(method: Method) -> TrainConfig {
    let all = Learn { anchors: true, lipschitz: true, metric: true, scale: true };
    let (coding, learn) = match method {
        Method::Fm => (Coding::Single, Learn::default()),
        Method::LlfmDo => (Coding::Soft, Learn::default()),
        Method::LlfmApl => (Coding::Soft, Learn { scale: false, ..all }),
        Method::LlfmJo => (Coding::Adaptive, all),
    };
    TrainConfig {
        method,
        coding,
        learn,
        task: Task::Binary,
        loss: Loss::Logistic,
        anchors: if method == Method::Fm { 1 } else { 8 },
        factors: 4,
        neighbors: 5,
        lipschitz: None,
        target_active: 3.0,
        distance: Distance::SqEuclidean,
        optimizer: Optimizer::Adam,
        learning_rate: 0.03,
        anchor_rate: 0.05,
        schedule: Schedule::Cosine,
        t0: 1000.0,
        batch_size: 32,
        epochs: 5,
        patience: None,
        eval_metric: EvalMetric::Loss,
        l2: 0.0,
        label_smoothing: 0.0,
        anchor_dropout: 0.0,
        weight_decay: 0.0,
        init_scale: 0.1,
        seed: 0,
        ensemble: 1,
    }
}

/// The same settings for a regression.
pub(crate) fn regression(method: Method) -> TrainConfig {
    TrainConfig { task: Task::Regression, loss: Loss::Squared, ..config(method) }
}

/// Numbers between −2 and 2 `[n, p]`.
pub(crate) fn numbers(n: usize, p: usize, seed: u64) -> Array2<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n, p), || random.random_range(-2.0_f32..2.0))
}

/// A disc within a ring, one row in twenty on the wrong side: no factorization machine without
/// anchors tells them apart.
pub(crate) fn rings(n: usize, p: usize, seed: u64) -> Dataset {
    let rows = numbers(n, p, seed);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x77);
    let classes = rows.outer_iter().map(|x| {
        let inside = x[0] * x[0] + x[1] * x[1] < 2.5;
        u32::from(inside != (random.random_range(0.0..1.0) < 0.05))
    });
    let targets = Targets::Classes(classes.collect());
    Dataset { features: Features::Dense(rows), targets, weights: None }
}

/// A curved surface to predict.
pub(crate) fn surface(n: usize, p: usize, seed: u64) -> Dataset {
    let rows = numbers(n, p, seed);
    let values = rows.outer_iter().map(|x| (2.0 * x[0]).cos() + 0.3 * x[p - 1]).collect();
    Dataset { features: Features::Dense(rows), targets: Targets::Values(values), weights: None }
}

/// Rows of a user and an item, one of each; class 1 where their numbers add up evenly.
pub(crate) fn pairs(n: usize, p: usize, seed: u64) -> Dataset {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut csr, mut classes) = (Csr { n_cols: p, offsets: vec![0], ..Csr::default() }, vec![]);
    for _ in 0..n {
        let (user, item) = (random.random_range(0..p / 2), random.random_range(p / 2..p));
        csr.indices.extend([user as u32, item as u32]);
        csr.values.extend([1.0, 1.0]);
        csr.offsets.push(csr.indices.len());
        classes.push(((user + item) % 2) as u32);
    }
    Dataset { features: Features::Sparse(csr), targets: Targets::Classes(classes), weights: None }
}

/// The same rows, compressed.
pub(crate) fn compressed(data: &Dataset) -> Dataset {
    let Features::Dense(rows) = &data.features else { panic!("the rows are compressed already") };
    let mut csr = Csr { n_cols: rows.ncols(), offsets: vec![0], ..Csr::default() };
    for row in rows.outer_iter() {
        for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            csr.indices.push(j as u32);
            csr.values.push(x);
        }
        csr.offsets.push(csr.indices.len());
    }
    Dataset { features: Features::Sparse(csr), targets: data.targets.clone(), weights: None }
}

/// Training rows alone.
pub(crate) fn only(train: &Dataset) -> TrainData<'_> {
    let n_classes = if matches!(train.targets, Targets::Values(_)) { 1 } else { 2 };
    TrainData::new(train, n_classes)
}

/// Trains to the end.
pub(crate) fn run(data: &TrainData<'_>, config: &TrainConfig) -> Run {
    run_until(data, config, u64::MAX)
}

/// Trains until step `last` and then asks to stop.
pub(crate) fn run_until(data: &TrainData<'_>, config: &TrainConfig, last: u64) -> Run {
    config.check().expect("the settings are sound");
    run_unchecked(data, config, last)
}

/// Where a run of these settings starts: without a rate, steps change nothing.
pub(crate) fn start(data: &TrainData<'_>, config: &TrainConfig) -> Run {
    let still = TrainConfig {
        learning_rate: 0.0,
        anchor_rate: 0.0,
        optimizer: Optimizer::Sgd,
        epochs: 1,
        ..config.clone()
    };
    run_unchecked(data, &still, u64::MAX)
}

fn run_unchecked(data: &TrainData<'_>, config: &TrainConfig, last: u64) -> Run {
    let (mut epochs, mut warnings, mut steps) = (Vec::new(), Vec::new(), 0);
    let trained = train(data, config, &Device::Cpu, &mut |event| {
        match event {
            Event::Epoch(report) => epochs.push((*report).clone()),
            Event::Warning(text) => warnings.push(text.clone()),
            Event::Step { done, .. } => {
                assert_eq!(*done, steps + 1, "steps are counted one by one");
                steps = *done;
            }
            Event::MemberStart { .. }
            | Event::Device(_)
            | Event::Kept { .. }
            | Event::Snapshot(_) => {}
        }
        if steps >= last { Flow::Stop } else { Flow::Continue }
    });
    Run { trained: trained.expect("the backend works"), epochs, warnings, steps }
}

impl Run {
    /// Scores of some rows under all members.
    pub(crate) fn scores(&self, config: &TrainConfig, data: &Dataset) -> Array2<f32> {
        let sparse = matches!(data.features, Features::Sparse(_));
        let mut scorer = Scorer::new(&self.trained.members, config, sparse, &Device::Cpu)
            .expect("the CPU takes any model");
        scorer.score(&data.features).expect("the backend works").outputs
    }

    /// Metrics on some rows.
    pub(crate) fn metrics(&self, config: &TrainConfig, data: &Dataset) -> Metrics {
        let target_scale = self.trained.target_scale;
        let outcome = Outcome { loss: config.loss, target_scale, range: None };
        metrics::compute(&outcome, &self.scores(config, data), &data.targets)
    }

    pub(crate) fn accuracy(&self, config: &TrainConfig, data: &Dataset) -> f64 {
        self.metrics(config, data).accuracy.expect("classes have an accuracy")
    }
}

//! The same problem in the oracle's words and in the crate's.

use llfm::backend::{Backend, Device, TrainRows, TrainTargets};
use llfm::config::{self, Learn, Method, Schedule, TrainConfig};
use llfm::data::{Csr, Features, Task};
use llfm::model::Parameters;
use ndarray::{Array1, Array2, Array3, Array4};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::oracle::params::{Params, Shape};
use crate::oracle::train::Optimizer;
use crate::oracle::{Coding, Distance, Loss, Spec, Target};

pub(crate) const CODINGS: [Coding; 4] = [
    Coding::Single,
    Coding::Adaptive,
    Coding::Soft { neighbors: 3 },
    Coding::Inverse { neighbors: 3 },
];
pub(crate) const LOSSES: [Loss; 5] =
    [Loss::Logistic, Loss::Hinge, Loss::Softmax, Loss::OneVsRest, Loss::Squared];
pub(crate) const DISTANCES: [Distance; 2] = [Distance::SqEuclidean, Distance::Euclidean];
pub(crate) const OPTIMIZERS: [Optimizer; 3] = [Optimizer::Sgd, Optimizer::AdaGrad, Optimizer::Adam];

/// A model, rows and targets, in f64 numbers that f32 holds exactly.
#[derive(Clone)]
pub(crate) struct Problem {
    pub(crate) spec: Spec,
    pub(crate) params: Params,
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) targets: Vec<Target>,
    /// Of mean 1, or all 1.
    pub(crate) weights: Vec<f64>,
}

/// Every coding, loss and distance.
pub(crate) fn all_specs() -> impl Iterator<Item = Spec> {
    CODINGS.into_iter().flat_map(|coding| {
        LOSSES.into_iter().flat_map(move |loss| {
            DISTANCES.into_iter().map(move |distance| Spec {
                coding,
                distance,
                loss,
                smoothing: smoothing_of(loss, distance),
                learn_anchors: coding != Coding::Single,
                learn_lipschitz: coding != Coding::Single,
                learn_metric: coding != Coding::Single,
                learn_scale: coding != Coding::Single,
            })
        })
    })
}

/// Half of the losses that labels can be smoothed under have them smoothed.
fn smoothing_of(loss: Loss, distance: Distance) -> f64 {
    let smooth = !matches!(loss, Loss::Hinge | Loss::Squared) && distance == Distance::Euclidean;
    if smooth { 0.2 } else { 0.0 }
}

fn many_channels(loss: Loss) -> bool {
    matches!(loss, Loss::Softmax | Loss::OneVsRest)
}

impl Problem {
    /// A random problem; about half the cells of its rows are zero.
    pub(crate) fn random(spec: Spec, shape: (usize, usize, usize), rows: usize, seed: u64) -> Self {
        Self::with_classes(spec, shape, 3, rows, seed)
    }

    /// The same with so many classes, where the loss has a channel a class.
    pub(crate) fn with_classes(
        spec: Spec,
        (m, p, d): (usize, usize, usize),
        classes: usize,
        rows: usize,
        seed: u64,
    ) -> Self {
        let anchors = if spec.coding == Coding::Single { 1 } else { m };
        let channels = if many_channels(spec.loss) { classes } else { 1 };
        let shape = Shape { anchors, channels, features: p, factors: d };
        let mut params = Params::random(shape, seed);
        for (_, cell) in params.cells_mut() {
            *cell = f64::from(*cell as f32);
        }
        if !spec.learn_scale {
            params.anchor_scale.iter_mut().flatten().for_each(|t| *t = 1.0);
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xabcd);
        let mut cell = |r: usize, j: usize| {
            let lit = random.random_range(0.0..1.0) < 0.5 || r % p == j;
            if lit { f64::from(random.random_range(-1.5_f32..1.5)) } else { 0.0 }
        };
        let all: Vec<Vec<f64>> = (0..rows).map(|r| (0..p).map(|j| cell(r, j)).collect()).collect();
        let targets = (0..rows)
            .map(|_| match spec.loss {
                Loss::Squared => Target::Value(f64::from(random.random_range(-2.0_f32..2.0))),
                Loss::Softmax | Loss::OneVsRest => Target::Class(random.random_range(0..classes)),
                _ => Target::Class(random.random_range(0..2)),
            })
            .collect();
        Self { spec, params, rows: all, targets, weights: vec![1.0; rows] }
    }

    /// The same with rows that weigh from nothing to three.
    pub(crate) fn weighted(mut self) -> Self {
        let weights = self.weights.iter_mut().zip([0.5, 0.0, 1.5, 3.0, 0.75].into_iter().cycle());
        weights.for_each(|(weight, new)| *weight = new);
        self
    }

    /// The rows, dense or compressed.
    pub(crate) fn features(&self, sparse: bool) -> Features {
        let p = self.rows[0].len();
        if !sparse {
            let cells = self.rows.iter().flatten().map(|&x| x as f32).collect();
            return Features::Dense(Array2::from_shape_vec((self.rows.len(), p), cells).unwrap());
        }
        let mut csr = Csr { n_cols: p, offsets: vec![0], ..Csr::default() };
        for row in &self.rows {
            for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                csr.indices.push(j as u32);
                csr.values.push(x as f32);
            }
            csr.offsets.push(csr.indices.len());
        }
        Features::Sparse(csr)
    }

    /// The targets as the backend reads them: classes, values.
    pub(crate) fn flat_targets(&self) -> (Vec<u32>, Vec<f32>) {
        let (mut classes, mut values) = (Vec::new(), Vec::new());
        for target in &self.targets {
            match target {
                Target::Class(class) => classes.push(*class as u32),
                Target::Value(value) => values.push(*value as f32),
            }
        }
        (classes, values)
    }

    /// Runs `body` with a backend over the problem's rows.
    pub(crate) fn with_backend<R>(
        &self,
        device: &Device,
        config: &TrainConfig,
        sparse: bool,
        body: impl FnOnce(&mut dyn Backend) -> R,
    ) -> R {
        let features = self.features(sparse);
        let (classes, values) = self.flat_targets();
        let targets = if values.is_empty() {
            TrainTargets::Classes(&classes)
        } else {
            TrainTargets::Values(&values)
        };
        let weights: Vec<f32> = self.weights.iter().map(|&w| w as f32).collect();
        let weights = weights.iter().any(|w| *w != 1.0).then_some(weights.as_slice());
        let rows = TrainRows { features: &features, targets, weights };
        body(device.trainer(&self.parameters(), config, rows).unwrap().as_mut())
    }

    /// The model in the crate's arrays.
    pub(crate) fn parameters(&self) -> Parameters {
        let params = &self.params;
        let (m, p) = (params.anchors.len(), params.log_metric.len());
        let (c, d) = (params.bias[0].len(), params.factors[0][0][0].len());
        let at2 = |v: &[Vec<f64>], (i, j): (usize, usize)| v[i][j] as f32;
        Parameters {
            anchors: Array2::from_shape_fn((m, p), |at| at2(&params.anchors, at)),
            log_lipschitz: Array1::from_shape_fn(m, |i| params.log_lipschitz[i] as f32),
            log_metric: Array1::from_shape_fn(p, |j| params.log_metric[j] as f32),
            anchor_scale: self
                .spec
                .learn_scale
                .then(|| Array2::from_shape_fn((m, p), |at| at2(&params.anchor_scale, at))),
            bias: Array2::from_shape_fn((m, c), |at| at2(&params.bias, at)),
            linear: Array3::from_shape_fn((m, c, p), |(i, c, j)| params.linear[i][c][j] as f32),
            factors: Array4::from_shape_fn((m, c, p, d), |(i, c, j, f)| {
                params.factors[i][c][j][f] as f32
            }),
        }
    }

    /// Settings of a run of the problem.
    pub(crate) fn config(&self, optimizer: Optimizer) -> TrainConfig {
        let spec = self.spec;
        let (coding, neighbors) = match spec.coding {
            Coding::Single => (config::Coding::Single, 1),
            Coding::Adaptive => (config::Coding::Adaptive, 1),
            Coding::Soft { neighbors } => (config::Coding::Soft, neighbors),
            Coding::Inverse { neighbors } => (config::Coding::Inverse, neighbors),
        };
        let (task, loss) = match spec.loss {
            Loss::Logistic => (Task::Binary, config::Loss::Logistic),
            Loss::Hinge => (Task::Binary, config::Loss::Hinge),
            Loss::Softmax => (Task::Multiclass, config::Loss::Softmax),
            Loss::OneVsRest => (Task::Multiclass, config::Loss::Ovr),
            Loss::Squared => (Task::Regression, config::Loss::Squared),
        };
        TrainConfig {
            method: Method::LlfmJo,
            coding,
            learn: Learn {
                anchors: spec.learn_anchors,
                lipschitz: spec.learn_lipschitz,
                metric: spec.learn_metric,
                scale: spec.learn_scale,
            },
            task,
            loss,
            anchors: self.params.anchors.len(),
            factors: self.params.factors[0][0][0].len(),
            neighbors,
            lipschitz: None,
            target_active: 3.0,
            distance: match spec.distance {
                Distance::SqEuclidean => config::Distance::SqEuclidean,
                Distance::Euclidean => config::Distance::Euclidean,
            },
            optimizer: match optimizer {
                Optimizer::Sgd => config::Optimizer::Sgd,
                Optimizer::AdaGrad => config::Optimizer::AdaGrad,
                Optimizer::Adam => config::Optimizer::Adam,
            },
            learning_rate: 1.0,
            anchor_rate: 1.0,
            schedule: Schedule::Constant,
            t0: 1.0,
            batch_size: self.rows.len(),
            epochs: 1,
            patience: None,
            eval_metric: llfm::metrics::EvalMetric::Loss,
            l2: 0.0,
            label_smoothing: spec.smoothing,
            anchor_dropout: 0.0,
            weight_decay: 0.0,
            init_scale: 0.1,
            seed: 0,
            ensemble: 1,
        }
    }
}

/// The crate's arrays in the oracle's shape; absent scales are 1.
pub(crate) fn to_params(parameters: &Parameters) -> Params {
    let (m, p) = parameters.anchors.dim();
    let shape = Shape {
        anchors: m,
        channels: parameters.bias.ncols(),
        features: p,
        factors: parameters.factors.dim().3,
    };
    let mut params = Params::neutral(shape);
    let scale = parameters.anchor_scale.clone().unwrap_or_else(|| Array2::ones((m, p)));
    let numbers = (parameters.anchors.iter())
        .chain(&parameters.log_lipschitz)
        .chain(&parameters.log_metric)
        .chain(&scale)
        .chain(&parameters.bias)
        .chain(&parameters.linear)
        .chain(&parameters.factors);
    for ((_, cell), number) in params.cells_mut().into_iter().zip(numbers) {
        *cell = f64::from(*number);
    }
    params
}

/// Largest difference, relative to the largest magnitude in `expected` of the same kind; a number
/// that is not finite counts as infinitely far.
pub(crate) fn worst_difference(found: &Params, expected: &Params) -> f64 {
    let (found, expected) = (found.cells(), expected.cells());
    assert_eq!(found.len(), expected.len());
    let mut scales = [1e-3_f64; 7];
    for (kind, e) in &expected {
        scales[*kind as usize] = scales[*kind as usize].max(e.abs());
    }
    let mut worst = 0.0_f64;
    for ((kind, f), (_, e)) in found.iter().zip(&expected) {
        let difference = (f - e).abs() / scales[*kind as usize];
        worst = if difference.is_finite() { worst.max(difference) } else { f64::INFINITY };
    }
    worst
}

#[test]
fn one_wrong_number_in_a_thousand_is_seen() {
    let spec = all_specs().nth(11).unwrap();
    let problem = Problem::random(spec, (6, 5, 2), 4, 1);
    assert_eq!(worst_difference(&problem.params, &problem.params), 0.0);
    let n_cells = problem.params.cells().len();
    for at in 0..n_cells {
        let mut wrong = problem.params.clone();
        let mut cells = wrong.cells_mut();
        *cells[at].1 += 0.002;
        drop(cells);
        assert!(worst_difference(&wrong, &problem.params) > 1e-3, "cell {at} passed unseen");
        *wrong.cells_mut()[at].1 = f64::NAN;
        assert_eq!(worst_difference(&wrong, &problem.params), f64::INFINITY);
    }
}

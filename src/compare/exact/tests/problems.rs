//! Problems made from random parameters and rows, over the edges of the shapes.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, Array4};
use rand::{RngExt, SeedableRng};

use crate::backend::gpu::Trainer;
use crate::backend::gpu::trace::Trace;
use crate::backend::{
    AnchorDropout, Backend, Placement, RowStorage, StepRates, TrainRows, TrainTargets,
};
use crate::config::defaults::{DataShape, resolve};
use crate::config::{Coding, Distance, Learn, Loss, Optimizer, TrainConfig};
use crate::data::{Csr, Features, Task};
use crate::gpu::Gpu;
use crate::model::Parameters;
use crate::random::Generator;
use crate::settings::Settings;

/// Which rows a problem has, beside random ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rows {
    /// The first of a batch is zero or empty.
    OneEmpty,
    AllEmpty,
    /// Random, and no row is near the first anchor.
    LonelyAnchor,
}

/// What a problem is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    /// (b, p, m, C, d).
    pub(super) shape: (usize, usize, usize, usize, usize),
    pub(super) sparse: bool,
    pub(super) rows: Rows,
    pub(super) coding: Coding,
    pub(super) neighbors: usize,
    /// L so small that all anchors of a row are active.
    pub(super) all_active: bool,
    /// Cycles through losses, rules, distances, what is learned, penalties, dropout,
    /// placements and storages.
    pub(super) number: usize,
}

pub(super) struct Problem {
    pub(super) config: TrainConfig,
    parameters: Parameters,
    features: Features,
    classes: Vec<u32>,
    values: Vec<f32>,
    weights: Option<Vec<f32>>,
    rows: usize,
    place: (Placement, RowStorage),
}

impl Problem {
    pub(super) fn new(spec: &Spec) -> Self {
        let random = &mut Generator::seed_from_u64(spec.number as u64);
        let (b, _, _, c, _) = spec.shape;
        let config = config(spec);
        let n = 3 * b;
        let storage = match spec.number % 7 {
            1 if !spec.sparse => RowStorage::F16,
            2 if !spec.sparse => RowStorage::U8,
            _ => RowStorage::F32,
        };
        Self {
            parameters: parameters(spec, &config, random),
            features: features(spec, n, random),
            classes: (0..n).map(|_| random.random_range(0..c.max(2)) as u32).collect(),
            values: (0..n).map(|_| random.random_range(-2.0..2.0)).collect(),
            weights: (spec.number % 5 == 2)
                .then(|| (0..n).map(|i| [0.0, 0.4, 1.0, 2.6][i % 4]).collect()),
            rows: b,
            place: ([Placement::Stream, Placement::Resident][spec.number % 2], storage),
            config,
        }
    }

    /// The third step, kernel by kernel.
    pub(super) fn trace(&self, gpu: &Arc<Gpu>) -> Vec<Trace> {
        let targets = match self.config.loss {
            Loss::Squared => TrainTargets::Values(&self.values),
            _ => TrainTargets::Classes(&self.classes),
        };
        let weights = self.weights.as_deref();
        let rows = TrainRows { features: &self.features, targets, weights };
        let mut trainer =
            Trainer::new(gpu, &self.parameters, &self.config, rows, self.place).unwrap();
        let batch = |step: usize| -> Vec<u32> {
            // Backwards, so that rows of the batch and of the data differ.
            (0..self.rows).rev().map(|r| (3 * r + step) as u32).collect()
        };
        let label_smoothing = self.config.label_smoothing as f32;
        let rates = |step: u64| StepRates {
            step,
            rate: 0.05,
            anchor_rate: 0.1,
            label_smoothing,
            anchor_dropout: AnchorDropout::new(self.config.anchor_dropout, step as u32),
        };
        for step in 0..2 {
            trainer.step(&batch(step), rates(step as u64 + 1)).unwrap();
        }
        trainer.trace(&batch(2), rates(3)).unwrap()
    }
}

fn config(spec: &Spec) -> TrainConfig {
    let ((b, p, m, c, d), number) = (spec.shape, spec.number);
    let (task, loss) = match (c, number % 3) {
        (1, 0) => (Task::Binary, Loss::Logistic),
        (1, 1) => (Task::Regression, Loss::Squared),
        (1, _) => (Task::Binary, Loss::Hinge),
        (_, 0) => (Task::Multiclass, Loss::Ovr),
        _ => (Task::Multiclass, Loss::Softmax),
    };
    let (rows, nonzeros, classes) = (3 * b, 3 * b * p, c.max(2));
    let shape = DataShape { rows, features: p, nonzeros, sparse: spec.sparse, classes, task };
    let config = resolve(&Settings::default(), &shape).unwrap();
    let flag = |every: usize| number % every != 0;
    // The lonely anchor is to stay one.
    let dropped = [0.0, 0.3, 0.0, 0.8][number / 4 % 4];
    let learn = Learn { anchors: flag(7), lipschitz: flag(3), metric: flag(4), scale: flag(2) };
    TrainConfig {
        anchors: m,
        factors: d,
        neighbors: spec.neighbors,
        coding: spec.coding,
        learn: if number % 11 == 10 { Learn::default() } else { learn },
        loss,
        task,
        distance: [Distance::SqEuclidean, Distance::Euclidean][number / 2 % 2],
        optimizer: [Optimizer::Adam, Optimizer::AdaGrad, Optimizer::Sgd][number / 3 % 3],
        l2: [0.01, 0.0][number / 3 % 2],
        label_smoothing: if loss.has_probabilities() { [0.0, 0.2][number / 5 % 2] } else { 0.0 },
        anchor_dropout: if spec.rows == Rows::LonelyAnchor { 0.0 } else { dropped },
        weight_decay: [0.0, 0.1, 0.0][number % 3],
        // Sometimes the batch is not full.
        batch_size: b + 3 * (number % 2),
        ..config
    }
}

fn parameters(spec: &Spec, config: &TrainConfig, random: &mut Generator) -> Parameters {
    let (_, p, m, c, d) = spec.shape;
    let width = (p as f32).sqrt();
    // Distances to the anchors, times L, are to differ by about one.
    let l: f32 = match (spec.all_active, config.distance) {
        (true, _) => 1e-3,
        (_, Distance::SqEuclidean) => 0.8 / width,
        _ => 1.5,
    };
    let mut number = |reach: f32| random.random_range(-reach..reach);
    let (linear, factor) = (1.0 / width, 1.0 / (width * (d.max(1) as f32).sqrt()).sqrt());
    let mut log_lipschitz = Array1::from_shape_simple_fn(m, || l.ln() + number(0.3 / width));
    if spec.rows == Rows::LonelyAnchor {
        log_lipschitz[0] += 3.0;
    }
    Parameters {
        anchors: Array2::from_shape_simple_fn((m, p), || number(1.0)),
        log_lipschitz,
        log_metric: Array1::from_shape_simple_fn(p, || number(0.3)),
        anchor_scale: (config.learn.scale || spec.number.is_multiple_of(5))
            .then(|| Array2::from_shape_simple_fn((m, p), || 1.0 + number(0.3))),
        bias: Array2::from_shape_simple_fn((m, c), || number(0.5)),
        linear: Array3::from_shape_simple_fn((m, c, p), || number(linear)),
        factors: Array4::from_shape_simple_fn((m, c, p, d), || number(factor)),
    }
}

fn features(spec: &Spec, n: usize, random: &mut Generator) -> Features {
    let (b, p, ..) = spec.shape;
    let mut cells = Array2::from_shape_simple_fn((n, p), || random.random_range(0.01_f32..1.0));
    cells.mapv_inplace(|x| if random.random_bool(0.5) { x } else { -x });
    for (r, mut row) in cells.rows_mut().into_iter().enumerate() {
        // The first of a batch, which goes backwards.
        let empty = r / 3 == b - 1 && b > 1 || spec.rows == Rows::AllEmpty;
        if empty {
            row.fill(0.0);
        } else if spec.sparse {
            row.mapv_inplace(|x| if random.random_bool(0.3) { x } else { 0.0 });
        }
    }
    if !spec.sparse {
        return Features::Dense(cells);
    }
    let mut rows = Csr { n_cols: p, offsets: vec![0], ..Csr::default() };
    for row in cells.rows() {
        for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            rows.indices.push(j as u32);
            rows.values.push(x);
        }
        rows.offsets.push(rows.indices.len());
    }
    Features::Sparse(rows)
}

/// Edges of the shapes, then random ones.
pub(super) fn specs() -> Vec<Spec> {
    let edges = [
        (1, 5, 3, 1, 4),
        (1, 1, 1, 1, 0),
        (7, 6, 1, 2, 3),
        (9, 1, 4, 3, 2),
        (33, 17, 35, 1, 2),
        (33, 17, 35, 3, 1),
        (65, 6, 5, 2, 3),
        (129, 9, 7, 1, 10),
        (8, 784, 5, 2, 3),
        (8, 784, 5, 1, 0),
        (16, 8, 4, 26, 3),
        (12, 10, 6, 2, 15),
        (12, 7, 3, 1, 31),
        (64, 64, 32, 1, 6),
        (5, 66, 3, 33, 2),
    ];
    let mut random = Generator::seed_from_u64(20);
    let mut shapes = edges.to_vec();
    for _ in 0..12 {
        let mut pick = |least: usize, most: usize| random.random_range(least..=most);
        shapes.push((pick(1, 80), pick(1, 90), pick(2, 40), pick(1, 5), pick(0, 9)));
    }
    let mut specs = Vec::new();
    for sparse in [false, true] {
        for shape in &shapes {
            specs.push(spec(*shape, sparse, specs.len()));
        }
        let base = spec((20, 9, 6, 1, 3), sparse, specs.len());
        for (k, coding) in [Coding::Adaptive, Coding::Soft, Coding::Inverse].iter().enumerate() {
            for neighbors in [6, 9] {
                let (coding, number) = (*coding, specs.len() + k);
                specs.push(Spec { coding, neighbors, number, all_active: true, ..base });
            }
            let number = specs.len();
            specs.push(Spec { rows: Rows::AllEmpty, coding: *coding, number, ..base });
        }
        let number = specs.len();
        specs.push(Spec { coding: Coding::Adaptive, rows: Rows::LonelyAnchor, number, ..base });
        let alone = Spec { shape: (20, 9, 1, 1, 3), coding: Coding::Single, ..base };
        specs.push(Spec { number: number + 1, ..alone });
    }
    specs
}

fn spec(shape: (usize, usize, usize, usize, usize), sparse: bool, number: usize) -> Spec {
    let codings = [Coding::Adaptive, Coding::Soft, Coding::Adaptive, Coding::Inverse];
    let coding = match (shape.2, number % 2) {
        (1, 0) => Coding::Single,
        (1, _) => Coding::Adaptive,
        _ => codings[number % 4],
    };
    Spec { shape, sparse, rows: Rows::OneEmpty, coding, neighbors: 3, all_active: false, number }
}

//! Rows and settings that reach every kernel, coding, loss and rule.

use crate::compare::rings;
use crate::config::defaults::{self, DataShape};
use crate::config::{Coding, Distance, Learn, Loss, Optimizer, TrainConfig};
use crate::data::{Dataset, Targets, Task};
use crate::settings::Settings;
use crate::train::TrainData;

const ROWS: u32 = 600;
const ALL: Learn = Learn { anchors: true, lipschitz: true, metric: true, scale: true };

/// What a comparison is made on.
pub(super) struct Case {
    pub(super) config: TrainConfig,
    rows: Dataset,
    classes: usize,
}

impl Case {
    /// Two classes, every setting left to its default.
    pub(super) fn rings(sparse: bool) -> Self {
        Self::new(sparse, Task::Binary, |_| ())
    }

    fn new(sparse: bool, task: Task, change: impl FnOnce(&mut TrainConfig)) -> Self {
        let mut rows = rings(ROWS as usize, 7, sparse);
        let classes = match task {
            Task::Binary => 2,
            Task::Multiclass => {
                rows.targets = Targets::Classes((0..ROWS).map(|i| i % 3).collect());
                3
            }
            Task::Regression => {
                let value = |i: u32| (3 * (i % 2) + i % 7) as f32;
                rows.targets = Targets::Values((0..ROWS).map(value).collect());
                1
            }
        };
        let shape = DataShape {
            rows: ROWS as usize,
            features: rows.features.n_cols(),
            nonzeros: rows.features.n_stored(),
            sparse,
            classes,
            task,
        };
        let mut config = defaults::resolve(&Settings::default(), &shape).unwrap();
        change(&mut config);
        config.check().unwrap();
        Self { config, rows, classes }
    }

    /// The same with rows that weigh nothing to three.
    fn weighted(mut self) -> Self {
        self.rows.weights =
            Some((0..ROWS).map(|i| [0.0, 1.0, 0.25, 3.0, 0.7][i as usize % 5]).collect());
        self
    }

    pub(super) fn data(&self) -> TrainData<'_> {
        TrainData::new(&self.rows, self.classes)
    }
}

fn single(config: &mut TrainConfig) {
    config.coding = Coding::Single;
    config.anchors = 1;
    config.learn = Learn::default();
}

/// Learns everything with the given coding and rule.
fn learns(coding: Coding, optimizer: Optimizer) -> impl Fn(&mut TrainConfig) {
    move |config| {
        config.learn = ALL;
        config.coding = coding;
        config.optimizer = optimizer;
    }
}

/// All of them, named by what is special about them.
pub(super) fn cases() -> Vec<(&'static str, Case)> {
    use Task::{Binary, Multiclass, Regression};
    vec![
        ("dense", Case::rings(false)),
        ("plain distance, decay", dense_plain()),
        ("soft, adagrad", dense_soft()),
        ("weighted values", dense_soft().weighted()),
        ("weighted classes", dense_plain().weighted()),
        ("inverse, sgd", dense_inverse()),
        (
            "one model, hinge",
            Case::new(false, Binary, |config| {
                single(config);
                config.loss = Loss::Hinge;
            }),
        ),
        ("one model, adaptive", Case::new(false, Binary, |config| config.anchors = 1)),
        (
            "linear models, many anchors",
            Case::new(false, Binary, |config| {
                config.factors = 0;
                config.anchors = 70;
            }),
        ),
        (
            "soft, dropout",
            Case::new(false, Binary, |config| {
                learns(Coding::Soft, Optimizer::Adam)(config);
                config.anchor_dropout = 0.4;
            }),
        ),
        ("many factors", Case::new(false, Multiclass, |config| config.factors = 33)),
        ("sparse", Case::rings(true)),
        ("sparse, adam", sparse_adam()),
        ("sparse, weighted", Case::rings(true).weighted()),
        (
            "sparse, plain distance, sgd",
            Case::new(true, Regression, |config| {
                learns(Coding::Adaptive, Optimizer::Sgd)(config);
                config.distance = Distance::Euclidean;
                config.learning_rate = 0.2;
            }),
        ),
        (
            "sparse, soft, adagrad",
            Case::new(true, Binary, |config| {
                learns(Coding::Soft, Optimizer::AdaGrad)(config);
                config.anchors = 12;
            }),
        ),
        ("sparse, one model", Case::new(true, Binary, single)),
    ]
}

pub(super) fn dense_plain() -> Case {
    Case::new(false, Task::Multiclass, |config| {
        learns(Coding::Adaptive, Optimizer::Adam)(config);
        config.distance = Distance::Euclidean;
        config.weight_decay = 0.1;
        config.label_smoothing = 0.1;
        config.anchor_dropout = 0.3;
    })
}

pub(super) fn dense_soft() -> Case {
    Case::new(false, Task::Regression, learns(Coding::Soft, Optimizer::AdaGrad))
}

pub(super) fn dense_inverse() -> Case {
    Case::new(false, Task::Multiclass, |config| {
        learns(Coding::Inverse, Optimizer::Sgd)(config);
        config.loss = Loss::Ovr;
        // Most rows are left fewer anchors than neighbours; those left none keep them all.
        config.anchor_dropout = 0.9;
        config.l2 = 0.0;
        config.learning_rate = 0.1;
    })
}

pub(super) fn sparse_adam() -> Case {
    Case::new(true, Task::Multiclass, |config| {
        learns(Coding::Adaptive, Optimizer::Adam)(config);
        config.anchors = 37;
        config.anchor_dropout = 0.2;
    })
}

//! Defaults as functions of the shape of the data alone: rows, features, non-zeros, classes, task.

use crate::config::{Coding, Distance, Learn, Loss, Method, Optimizer, Schedule, TrainConfig};
use crate::data::Task;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// What the defaults may look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataShape {
    /// Training rows n.
    pub rows: usize,
    /// Features p after encoding.
    pub features: usize,
    /// Stored entries: all cells of dense rows, non-zeros of sparse ones.
    pub nonzeros: usize,
    /// Whether the rows are compressed.
    pub sparse: bool,
    /// Classes; 2 for binary, 1 for regression.
    pub classes: usize,
    /// What is predicted.
    pub task: Task,
}

impl DataShape {
    fn nonzeros_per_row(&self) -> f64 {
        (self.nonzeros as f64 / self.rows.max(1) as f64).max(1.0)
    }
}

/// Fills every setting that was left out and checks the result.
///
/// # Errors
/// [`Error::Usage`] for a value out of its range or settings that exclude each other.
pub fn resolve(settings: &Settings, shape: &DataShape) -> Result<TrainConfig> {
    let method = settings.method.unwrap_or(Method::LlfmJo);
    let coding = coding_of(settings, method)?;
    let learn =
        settings.learn.as_deref().map_or_else(|| learn_of(method, shape), Learn::from_parts);
    let batch_size = settings.batch_size.unwrap_or_else(|| batch_size_of(shape));
    let learning_rate = settings.learning_rate.unwrap_or_else(|| rate_of(shape, batch_size));
    let config = TrainConfig {
        method,
        coding,
        learn,
        task: shape.task,
        loss: settings.loss.flatten().unwrap_or(match shape.task {
            Task::Binary => Loss::Logistic,
            Task::Multiclass => Loss::Softmax,
            Task::Regression => Loss::Squared,
        }),
        anchors: if method == Method::Fm {
            1
        } else {
            settings.anchors.unwrap_or_else(|| anchors_of(shape))
        },
        factors: settings.factors.unwrap_or(10),
        neighbors: settings.neighbors.unwrap_or(5),
        lipschitz: lipschitz_of(settings, coding, shape)?,
        target_active: settings.target_active.unwrap_or(if coding == Coding::Soft {
            3.0
        } else {
            5.0
        }),
        distance: settings.distance.unwrap_or_else(|| distance_of(shape)),
        optimizer: settings.optimizer.unwrap_or(Optimizer::Adam),
        learning_rate,
        anchor_rate: settings
            .anchor_rate
            .unwrap_or(learning_rate * if shape.sparse { 0.1 } else { 3.0 }),
        schedule: settings.schedule.unwrap_or(Schedule::Cosine),
        t0: settings.t0.unwrap_or(1e5),
        batch_size,
        epochs: settings.epochs.unwrap_or_else(|| epochs_of(shape)),
        patience: settings.patience,
        l2: settings.l2.unwrap_or(0.0),
        weight_decay: settings.weight_decay.unwrap_or_else(|| decay_of(shape)),
        init_scale: settings
            .init_scale
            .unwrap_or_else(|| (0.3 / shape.nonzeros_per_row().sqrt()).min(0.1)),
        seed: settings.seed.unwrap_or(0),
        ensemble: settings.ensemble.unwrap_or(1),
    };
    config.check()?;
    Ok(config)
}

fn coding_of(settings: &Settings, method: Method) -> Result<Coding> {
    match (method, settings.coding.flatten()) {
        (Method::Fm, None) => Ok(Coding::Single),
        (Method::Fm, Some(_)) => Err(Error::Usage(
            "--coding has no meaning with --method fm, which has no anchors: leave it out".into(),
        )),
        (_, Some(coding)) => Ok(coding),
        (Method::LlfmJo, None) => Ok(Coding::Adaptive),
        (Method::LlfmDo | Method::LlfmApl, None) => Ok(Coding::Soft),
    }
}

fn learn_of(method: Method, shape: &DataShape) -> Learn {
    let all = Learn { anchors: true, lipschitz: true, metric: !shape.sparse, scale: !shape.sparse };
    match method {
        Method::Fm | Method::LlfmDo => Learn::default(),
        Method::LlfmApl => Learn { scale: false, ..all },
        Method::LlfmJo => all,
    }
}

fn lipschitz_of(settings: &Settings, coding: Coding, shape: &DataShape) -> Result<Option<f64>> {
    if let Some(bandwidth) = settings.bandwidth.and_then(|b| b.value()) {
        if coding != Coding::Soft {
            return Err(Error::Usage(
                "--bandwidth belongs to soft coding (llfm-do, llfm-apl): use --lipschitz".into(),
            ));
        }
        if !(bandwidth.is_finite() && bandwidth > 0.0) {
            return Err(Error::Usage(format!(
                "--bandwidth must be a positive number, found {bandwidth}"
            )));
        }
        return Ok(Some(1.0 / bandwidth));
    }
    Ok(match settings.lipschitz {
        Some(l) => l.value(),
        // One-hot rows are all equally far from every anchor: there is no distance to calibrate to.
        None if shape.sparse => Some(0.08),
        None if coding == Coding::Inverse => Some(1.0),
        None => None,
    })
}

fn anchors_of(shape: &DataShape) -> usize {
    if shape.sparse {
        return 5;
    }
    ((shape.rows as f64).sqrt() / 4.0).clamp(10.0, 100.0).round() as usize
}

fn batch_size_of(shape: &DataShape) -> usize {
    (shape.rows / 64).next_power_of_two().clamp(32, 1024)
}

fn rate_of(shape: &DataShape, batch_size: usize) -> f64 {
    let base = (0.048 / shape.nonzeros_per_row().sqrt()).min(0.015);
    (base * (batch_size as f64 / 64.0).sqrt()).min(0.1)
}

fn distance_of(shape: &DataShape) -> Distance {
    if shape.features > 40 && !shape.sparse { Distance::Euclidean } else { Distance::SqEuclidean }
}

fn epochs_of(shape: &DataShape) -> usize {
    (4e6 / shape.rows.max(1) as f64).clamp(12.0, 40.0).round() as usize
}

fn decay_of(_shape: &DataShape) -> f64 {
    0.0
}

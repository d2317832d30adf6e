//! Defaults as functions of the shape of the data alone: rows, features, non-zeros, classes, task.

use serde::{Deserialize, Serialize};

use crate::config::{
    Coding, Distance, Learn, LearnPart, Loss, Method, Optimizer, Schedule, TrainConfig,
};
use crate::data::Task;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// What the defaults may look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    /// Output channels of the default loss.
    fn outputs(&self) -> usize {
        if self.task == Task::Multiclass { self.classes } else { 1 }
    }

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
    refuse_idle(settings, method)?;
    let coding = coding_of(settings, method)?;
    let learn =
        settings.learn.as_deref().map_or_else(|| learn_of(method, shape), Learn::from_parts);
    let batch_size = settings.batch_size.unwrap_or_else(|| batch_size_of(shape));
    let learning_rate = settings.learning_rate.unwrap_or_else(|| rate_of(shape, batch_size));
    // At most what may be set: it is --learning-rate that was.
    let anchor_rate = (learning_rate * if shape.sparse { 0.02 } else { 3.0 }).min(1e30);
    let factors = settings.factors.unwrap_or(10);
    let anchors = match method {
        Method::Fm => 1,
        _ => settings.anchors.unwrap_or_else(|| anchors_of(shape, factors)),
    };
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
        anchors,
        factors,
        neighbors: settings.neighbors.unwrap_or(5),
        lipschitz: lipschitz_of(settings, coding, shape)?,
        target_active: settings.target_active.unwrap_or_else(|| target_of(coding, anchors)),
        distance: settings.distance.unwrap_or_else(|| distance_of(shape)),
        optimizer: settings.optimizer.unwrap_or_else(|| optimizer_of(shape)),
        learning_rate,
        anchor_rate: settings.anchor_rate.unwrap_or(anchor_rate),
        schedule: settings.schedule.unwrap_or(Schedule::Cosine),
        t0: settings.t0.unwrap_or(1e5),
        batch_size,
        epochs: settings.epochs.unwrap_or_else(|| epochs_of(shape)),
        patience: settings.patience,
        eval_metric: settings.eval_metric.unwrap_or_default(),
        l2: settings.l2.unwrap_or_else(|| l2_of(shape, batch_size, anchors)),
        label_smoothing: settings.label_smoothing.unwrap_or_else(|| smoothing_of(shape, method)),
        anchor_dropout: settings.anchor_dropout.unwrap_or(0.0),
        weight_decay: settings.weight_decay.unwrap_or(0.0),
        init_scale: settings.init_scale.unwrap_or_else(|| init_scale_of(shape)),
        seed: settings.seed.unwrap_or(0),
        ensemble: settings.ensemble.unwrap_or(1),
    };
    config.check()?;
    Ok(config)
}

/// Refuses settings that another one keeps from acting.
fn refuse_idle(settings: &Settings, method: Method) -> Result<()> {
    let refuse = |message: &str| Err(Error::Usage(message.to_owned()));
    if method == Method::Fm && settings.anchors.is_some_and(|m| m != 1) {
        return refuse(
            "--anchors has no meaning with --method fm, which has no anchors: leave it out",
        );
    }
    if method == Method::Fm && settings.anchor_dropout.is_some_and(|q| q != 0.0) {
        return refuse(
            "--anchor-dropout has no meaning with --method fm, which has no anchors: leave it out",
        );
    }
    if settings.bandwidth.is_some() && settings.lipschitz.is_some() {
        return refuse("--bandwidth C is --lipschitz 1/C: give one of them");
    }
    if settings.learn.as_ref().is_some_and(|l| l.len() > 1 && l.contains(&LearnPart::None)) {
        return refuse("--learn none stands alone: leave out `none`, or all else");
    }
    Ok(())
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
    // One-hot rows are all equally far from one another: a learned L or metric only collapses the
    // coding onto one anchor.
    let all = Learn {
        anchors: true,
        lipschitz: !shape.sparse,
        metric: !shape.sparse,
        // With many features a scale for each anchor and feature follows the training rows too
        // closely: rows that drift away later fare worse.
        scale: !shape.sparse && shape.features < 16,
    };
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
        None if shape.sparse => Some(0.16 / shape.nonzeros_per_row()),
        None if coding == Coding::Inverse => Some(1.0),
        None => None,
    })
}

/// AdaGrad gives rare columns the steps that they miss, as in the FM tools for sparse data.
fn optimizer_of(shape: &DataShape) -> Optimizer {
    if shape.sparse { Optimizer::AdaGrad } else { Optimizer::Adam }
}

/// A sixth of √(n·p), p at least 4, for dense rows, as far as that stays below five million
/// parameters: few rows cannot feed many local models, few features need few, and more than 200
/// gain little.
fn anchors_of(shape: &DataShape, factors: usize) -> usize {
    if shape.sparse {
        return 5;
    }
    let local_model = shape.outputs() * shape.features * (factors + 1);
    let most = (5e6 / local_model as f64).clamp(5.0, 200.0);
    let cells = shape.rows * shape.features.max(4);
    ((cells as f64).sqrt() / 6.0).clamp(5.0, most).round() as usize
}

/// Calibration cannot make more anchors active than there are, nor should it try for all of them.
fn target_of(coding: Coding, anchors: usize) -> f64 {
    let target = if coding == Coding::Soft { 3.0 } else { (0.1 * anchors as f64).max(8.0) };
    target.min(0.8 * anchors as f64).max(1.0)
}

fn batch_size_of(shape: &DataShape) -> usize {
    let steps = if shape.sparse { 2048 } else { 64 };
    (shape.rows / steps).next_power_of_two().clamp(32, 1024)
}

/// Falls with the root of the non-zeros a row, as each of them moves a score; grows with the fourth
/// root of the batch size, beyond which large sets of rare features (Covtype) lose accuracy.
pub(crate) fn rate_of(shape: &DataShape, batch_size: usize) -> f64 {
    if shape.sparse {
        return 0.05;
    }
    // Each class sees a part of the gradient.
    let share = (shape.outputs() as f64).powf(0.1);
    let base = (0.05 * share / shape.nonzeros_per_row().sqrt()).min(0.02);
    base * (batch_size as f64 / 64.0).powf(0.25)
}

/// The plain distance spreads a row over its anchors more evenly where there are many features,
/// which holds up better when later rows drift away (the last fifth of ijcnn1's training rows).
fn distance_of(shape: &DataShape) -> Distance {
    if shape.features >= 8 && !shape.sparse { Distance::Euclidean } else { Distance::SqEuclidean }
}

/// Small sets can afford more passes, and large ones need fewer.
fn epochs_of(shape: &DataShape) -> usize {
    if shape.sparse {
        return 30;
    }
    let cells = shape.nonzeros.max(1) as f64;
    (40.0 * (2.4e5 / cells).cbrt()).clamp(16.0, 40.0).round() as usize
}

/// Local models of many classes are soon sure of their training rows, and learn little from then on. Two
/// classes gain nothing (Magic04, ijcnn1), and a single FM, which is never sure, loses (LETTER).
fn smoothing_of(shape: &DataShape, method: Method) -> f64 {
    if shape.task == Task::Multiclass && method != Method::Fm { 0.1 } else { 0.0 }
}

/// In proportion to the features that each label has to determine; eightfold for regression, whose
/// loss follows every target's noise.
///
/// From 50,000 rows on with the square of their number: more rows leave less to guard against (Covtype).
///
/// A column of sparse rows meets its gradient once in many batches and divided by the batch size,
/// and an anchor sees γ of it: there the penalty goes with 1/(b·m).
fn l2_of(shape: &DataShape, batch_size: usize, anchors: usize) -> f64 {
    let noise = if shape.task == Task::Regression { 8.0 } else { 1.0 };
    if shape.sparse {
        return 0.008 * noise / (batch_size * anchors) as f64;
    }
    let rows = shape.rows.max(1) as f64;
    let plenty = (50_000.0 / rows).min(1.0);
    0.2 * noise * plenty * shape.features as f64 / (shape.outputs() as f64 * rows)
}

/// The clip, in deviations, of standardised features: rare one-hot columns and rarely lit pixels
/// reach hundreds of deviations, and one such row sends a factorization machine to 1e4. A
/// regression may follow a tail further.
pub fn clip_of(task: Task) -> f32 {
    if task == Task::Regression { 8.0 } else { 3.0 }
}

fn init_scale_of(shape: &DataShape) -> f64 {
    let most = if shape.sparse { 0.03 } else { 0.1 };
    (0.3 / shape.nonzeros_per_row().sqrt()).min(most)
}

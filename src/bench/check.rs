//! Whether a backend computes what the equations say, before anyone takes its time.

use super::Job;
use super::reference::{Kind, Reference};
use crate::backend::{AnchorDropout, Backend, Device, StepRates};
use crate::compare::limit;
use crate::config::{Optimizer, TrainConfig};
use crate::error::{Error, Result};
use crate::model::Parameters;

/// Steps before the check, so that no parameter is zero.
const STEPS: usize = 5;
/// Rows checked: the equations take their time.
const ROWS: usize = 32;
/// Rate of the step whose way is looked at; it outgrows the rounding of the parameters, and as a
/// power of two rounds nothing itself.
const RATE: f32 = 64.0;
/// The furthest that a parameter is moved for the difference quotient.
const NUDGE: f64 = 1e-5;
/// Error of the slope that passes: gradients of the kernels may each be 10⁻⁴ off, a wrong constant or
/// sign is a hundredth at least.
const SLOPE_LIMIT: f64 = 1e-3;

/// How far a backend is from the equations in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checked {
    /// Largest error of a score, relative to the largest score.
    pub scores: f64,
    /// Error of a score that passes: the published tolerances of coding, scores and blend together.
    pub scores_limit: f64,
    /// Largest error of the loss's slope along a step of one kind of parameters, relative.
    pub slope: f64,
    /// Error of a slope that passes.
    pub slope_limit: f64,
}

impl Checked {
    fn pass(&self) -> Result<()> {
        // NaN passes nowhere.
        if self.scores <= self.scores_limit && self.slope <= self.slope_limit {
            return Ok(());
        }
        Err(Error::Device(format!(
            "the device does not compute what the equations say: scores are {:.1e} off, of {:.1e} \
             allowed, the gradient {:.1e}, of {:.1e}; `llfm compare` looks at the kernels of a GPU",
            self.scores, self.scores_limit, self.slope, self.slope_limit
        )))
    }
}

/// Scores after a few steps, then the gradient of one more, beside the equations in f64.
///
/// Plain descent moves parameters by −rate·g: along that way the loss has the slope −‖way‖²/rate, kind of
/// parameters by kind, where g is the gradient.
pub(super) fn check(job: &Job, device: &Device) -> Result<Checked> {
    let rows: Vec<u32> = (0..job.n_rows().min(ROWS) as u32).collect();
    let checked = job.rows.features.select(&rows);
    let before = job.parameters_after(STEPS, device)?;
    let plain =
        TrainConfig { optimizer: Optimizer::Sgd, l2: 0.0, weight_decay: 0.0, ..job.config.clone() };
    let mut backend = device.trainer(&before, &plain, job.train_rows())?;
    // A step that moves nothing: training may see rows in a way of its own.
    backend.step(&rows, StepRates { rate: 0.0, anchor_rate: 0.0, ..slow_step() })?;
    let found = backend.score(&checked)?.outputs;
    let reference = |moved| Reference { config: &plain, before: &before, moved };
    let expected = reference(None).scores(&checked);
    let mut scores = 0.0;
    let largest = expected.iter().flatten().fold(f64::MIN_POSITIVE, |max, y| max.max(y.abs()));
    for (found, expected) in found.iter().zip(expected.iter().flatten()) {
        scores = worse(scores, (f64::from(*found) - expected).abs() / largest);
    }
    let after = stepped(backend.as_mut(), &rows)?;
    let targets = job.targets(rows.len());
    let mut slope = 0.0;
    for kind in Kind::ALL {
        let loss = |far: f64| reference(Some((&after, kind, far))).loss(&checked, &targets);
        slope = worse(slope, slope_error(kind, &before, &after, loss));
    }
    let scores_limit = ["gamma", "scores", "outputs"]
        .into_iter()
        .zip(["local_coding", "fm_score", "blend"])
        .map(|(output, kernel)| limit(kernel, output))
        .sum();
    let checked = Checked { scores, scores_limit, slope, slope_limit: SLOPE_LIMIT };
    checked.pass()?;
    Ok(checked)
}

/// The parameters after a step of plain descent on the rows.
fn stepped(backend: &mut dyn Backend, rows: &[u32]) -> Result<Parameters> {
    let rates = slow_step();
    backend.step(rows, rates)?;
    backend.parameters()
}

/// A first step of the check's rate.
fn slow_step() -> StepRates {
    StepRates {
        step: 1,
        rate: RATE,
        anchor_rate: RATE,
        label_smoothing: 0.0,
        anchor_dropout: AnchorDropout::default(),
    }
}

/// Error of the slope along the way of one kind, where it moved.
fn slope_error(
    kind: Kind,
    before: &Parameters,
    after: &Parameters,
    loss: impl Fn(f64) -> f64,
) -> f64 {
    let ways = kind.numbers(before).iter().zip(kind.numbers(after));
    let (mut squares, mut furthest) = (0.0_f64, 0.0_f64);
    for (before, after) in ways {
        let way = f64::from(*after) - f64::from(*before);
        squares += way * way;
        furthest = worse(furthest, way.abs());
    }
    if squares == 0.0 {
        return 0.0;
    }
    let far = NUDGE / furthest;
    let found = (loss(far) - loss(-far)) / (2.0 * far);
    let expected = -squares / f64::from(RATE);
    ((found - expected) / expected).abs()
}

/// The larger one; NaN, once seen, stays.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{SHAPES, config_of};
    use crate::settings::Settings;

    #[test]
    fn a_gradient_a_hundredth_off_is_no_gradient() {
        let (shape, rows) = (&SHAPES[0], SHAPES[0].generate(100));
        let settings = Settings { anchors: Some(8), ..Settings::default() };
        let job = Job::new(shape, config_of(shape, &settings).expect("settings"), &rows);
        let plain = TrainConfig { optimizer: Optimizer::Sgd, l2: 0.0, ..job.config };
        let mut backend = Device::Cpu.trainer(&job.initial, &plain, job.train_rows()).expect("CPU");
        // Off the start, where all linear weights are 0.
        let before = stepped(backend.as_mut(), &[50, 51, 52]).expect("a step");
        let mut backend = Device::Cpu.trainer(&before, &plain, job.train_rows()).expect("CPU");
        let checked: Vec<u32> = (0..20).collect();
        let after = stepped(backend.as_mut(), &checked).expect("a step");
        let features = rows.features.select(&checked);
        let targets = job.targets(20);
        let mut kinds = 0;
        for kind in Kind::ALL {
            let loss = |far: f64| {
                let moved = Some((&after, kind, far));
                Reference { config: &plain, before: &before, moved }.loss(&features, &targets)
            };
            let right = slope_error(kind, &before, &after, loss);
            assert!(right <= SLOPE_LIMIT, "{kind:?}: {right:.1e}");
            let wrong = slope_error(kind, &before, &after, |far| 1.01 * loss(far));
            kinds += usize::from(wrong > SLOPE_LIMIT);
        }
        // Every kind but the scales, which rows of 22 features do not learn.
        assert_eq!(kinds, 6);
    }

    #[test]
    fn an_error_beyond_its_limit_and_none_at_all_do_not_pass() {
        let good = Checked { scores: 1e-6, scores_limit: 1e-4, slope: 1e-5, slope_limit: 1e-3 };
        assert!(good.pass().is_ok());
        for bad in [
            Checked { scores: 2e-4, ..good },
            Checked { slope: 2e-3, ..good },
            Checked { scores: f64::NAN, ..good },
            Checked { slope: worse(f64::NAN, 1.0), ..good },
        ] {
            assert!(matches!(bad.pass(), Err(Error::Device(_))), "{bad:?}");
        }
    }
}

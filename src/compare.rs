//! The GPU backend beside the CPU's: each kernel alone, some steps, a whole run.
//!
//! [`kernels`] gives every kernel of a training step to both sides with the same inputs, [`steps`]
//! takes 20 steps with both backends from the same parameters, [`run`] trains twice and measures
//! both models. What passes stands in [`TOLERANCES`].

mod bench;
mod check;
#[cfg(test)]
mod exact;
mod sets;
mod tolerance;
mod twins;

use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Serialize;

use crate::backend::gpu::Trainer;
use crate::backend::gpu::trace::Trace;
use crate::backend::{Backend, Device, Placement, RowStorage};
use crate::config::{TrainConfig, name_of};
use crate::data::{Dataset, Features};
use crate::error::{Error, Result};
use crate::event::{Event, Flow};
use crate::gpu::Gpu;
use crate::metrics::{self, Metrics};
use crate::model::Parameters;
use crate::outcome::Outcome;
use crate::predict::Scorer;
use crate::schedule::Scheduler;
use crate::train::{TrainData, Trained, train};
use bench::Bench;
pub(crate) use check::Checked;
use check::toward;
pub use sets::rings;
pub(crate) use tolerance::limit;
pub use tolerance::{TOLERANCES, Tolerance};

/// Rows of the batch that kernels are compared on: all of it is read back, before and after each.
const KERNEL_ROWS: usize = 256;
/// Steps taken before, so that no parameter or moment is zero for want of a gradient.
const WARM_STEPS: usize = 5;
/// Steps that both backends take from the same parameters.
pub const STEPS: usize = 20;

/// Seeds whose means decide where the first run is beyond its tolerance: training may follow a
/// difference in the last bit to another minimum.
const SEEDS: u64 = 3;

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Entry point of a kernel, or what of a run is compared.
    pub name: String,
    /// Its output with the largest error for its tolerance.
    pub output: &'static str,
    /// Sizes of the work: `b` rows, `p` features, `m` anchors, `C` outputs, `d` factors.
    pub shape: String,
    /// Largest difference, relative to the largest magnitude; infinite where a number is not finite.
    pub max_error: f64,
    /// Error that still passes.
    pub tolerance: f64,
    /// Whether every output of it passes.
    pub pass: bool,
}

/// A whole run, on either side.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Which rows were measured: `test`, `valid` or `train`.
    pub part: &'static str,
    /// How many of them.
    pub rows: usize,
    /// What is compared: `accuracy` or `rmse`.
    pub metric: &'static str,
    /// Seeds it was run with: one where that is enough.
    pub seeds: usize,
    /// The metric of the model that the CPU trained and scored, the mean over the seeds.
    pub cpu: f64,
    /// The same of the GPU.
    pub gpu: f64,
    /// Seconds of training on either, all seeds.
    pub seconds: [f64; 2],
    /// The comparison.
    pub row: Row,
}

/// Every kernel of a training step, each with the inputs it had on the GPU.
///
/// A step is taken kernel by kernel after a few others; what each kernel read is given to its twin on
/// the CPU.
///
/// # Errors
/// [`Error::Device`] where the model does not fit the GPU, and [`Error::Usage`] for weights that
/// [`train`] refuses.
pub fn kernels(data: &TrainData<'_>, config: &TrainConfig, gpu: &Arc<Gpu>) -> Result<Vec<Row>> {
    kernels_reading(RowStorage::F32, data, config, gpu)
}

/// The same with dense rows that are stored so.
fn kernels_reading(
    storage: RowStorage,
    data: &TrainData<'_>,
    config: &TrainConfig,
    gpu: &Arc<Gpu>,
) -> Result<Vec<Row>> {
    let (config, traces) = traced_step(storage, data, config, gpu)?;
    let mut rows: Vec<Row> = Vec::new();
    for trace in &traces {
        let row = judge(trace, &twins::expected(trace, &config));
        match rows.iter_mut().find(|known| known.name == row.name) {
            // Groups of anchors, one after the other.
            Some(known) => {
                if excess(&row) > excess(known) {
                    *known = row;
                }
            }
            None => rows.push(row),
        }
    }
    Ok(rows)
}

/// A step that `kernels` looks at, and the settings it was taken with.
fn traced_step(
    storage: RowStorage,
    data: &TrainData<'_>,
    config: &TrainConfig,
    gpu: &Arc<Gpu>,
) -> Result<(TrainConfig, Vec<Trace>)> {
    let bench = Bench::new(data, config, KERNEL_ROWS)?;
    let config = bench.config.clone();
    // Streamed, so that only the batch's rows are read back with a kernel's buffers.
    let place = (Placement::Stream, storage);
    let mut trainer = Trainer::new(gpu, &bench.initial, &config, bench.rows(), place)?;
    let mut scheduler = Scheduler::new(&config, bench.features.n_rows(), 0);
    let mut batches = bench.batches();
    for rows in batches.by_ref().take(WARM_STEPS) {
        trainer.step(&rows, scheduler.next(rows.len()))?;
    }
    let rows = batches.next().expect("there is no end of them");
    let traces = trainer.trace(&rows, scheduler.next(rows.len()))?;
    Ok((config, traces))
}

/// The line of a kernel from its outputs.
fn judge(trace: &Trace, outputs: &[Checked]) -> Row {
    let rows = outputs.iter().map(|checked| {
        let (max_error, tolerance) =
            (checked.error(), tolerance::limit(checked.kernel, checked.output));
        Row {
            name: checked.kernel.to_owned(),
            output: checked.output,
            shape: shape_of(trace),
            max_error,
            tolerance,
            pass: max_error <= tolerance,
        }
    });
    // Of outputs that agree to the bit, one that need not.
    let order = |row: &Row| (excess(row), row.tolerance);
    rows.max_by(|a, b| order(a).partial_cmp(&order(b)).expect("errors are no NaN"))
        .expect("a kernel has an output")
}

/// Error in units of the tolerance.
fn excess(row: &Row) -> f64 {
    if row.max_error == 0.0 { 0.0 } else { row.max_error / row.tolerance }
}

/// The sizes that matter to a kernel.
fn shape_of(trace: &Trace) -> String {
    let (sizes, rows) = (&trace.sizes, trace.step.rows);
    let (m, p) = (format!("m {}", sizes.anchors), format!("p {}", sizes.features));
    let b = format!("b {rows}");
    let model = [format!("C {}", sizes.outputs), format!("d {}", sizes.factors)];
    let parts = match trace.kernel {
        "anchor_norm_csr" | "metric_update_csr" => vec![m, p],
        "anchor_coding"
        | "anchor_distance"
        | "anchor_distance_csr"
        | "anchor_update"
        | "anchor_update_csr" => {
            vec![b, m, p]
        }
        "local_coding" | "pair_list" => vec![b, m],
        "blend" | "head_update" => vec![b, m, model[0].clone()],
        _ => [&[b, m, p][..], &model].concat(),
    };
    parts.join(", ")
}

/// 20 steps of both backends from the same parameters, on the same rows: the loss, the parameters
/// element by element, and the scores of rows under them.
///
/// # Errors
/// [`Error::Device`] where the model or the rows do not fit the GPU, and [`Error::Usage`] for weights
/// that [`train`] refuses.
pub fn steps(data: &TrainData<'_>, config: &TrainConfig, gpu: &Device) -> Result<Vec<Row>> {
    let bench = Bench::new(data, config, usize::MAX)?;
    let [cpu, gpu] = [&Device::Cpu, gpu].map(|device| stepped(&bench, device));
    let ((cpu_loss, cpu, cpu_scores), (gpu_loss, gpu, gpu_scores)) = (cpu?, gpu?);
    let optimizer = name_of(bench.config.optimizer);
    let mut rows = vec![step_row("loss", "loss", [vec![gpu_loss], vec![cpu_loss]], "20 steps")];
    for ((name, shape, found), (.., expected)) in kinds(&gpu).into_iter().zip(kinds(&cpu)) {
        rows.push(step_row(name, &optimizer, [found, expected], &shape));
    }
    let shape = format!("{} × {}", bench.features.n_rows(), cpu.n_outputs());
    rows.push(step_row("scores", &optimizer, [gpu_scores, cpu_scores], &shape));
    Ok(rows)
}

/// The largest error of an element and the mean one: whichever is further for its tolerance.
fn step_row(name: &'static str, limit: &str, pair: [Vec<f64>; 2], shape: &str) -> Row {
    let [found, expected] = pair;
    let checked = Checked { kernel: "steps", output: name, found, expected };
    let row = |output, max_error: f64, tolerance: f64| Row {
        name: name.into(),
        output,
        shape: shape.into(),
        max_error,
        tolerance,
        pass: max_error <= tolerance,
    };
    let elements = row("largest", checked.error(), tolerance::limit("steps", limit));
    let mean = row("mean", checked.mean_error(), tolerance::limit("steps", "mean"));
    if excess(&mean) > excess(&elements) { mean } else { elements }
}

/// Mean loss, parameters and scores after the steps.
fn stepped(bench: &Bench, device: &Device) -> Result<(f64, Parameters, Vec<f64>)> {
    let mut backend = device.trainer(&bench.initial, &bench.config, bench.rows())?;
    let mut scheduler = Scheduler::new(&bench.config, bench.features.n_rows(), 0);
    for rows in bench.batches().take(STEPS) {
        backend.step(&rows, scheduler.next(rows.len()))?;
    }
    let totals = backend.take_totals()?;
    let scores = backend.score(&bench.features)?.outputs;
    let loss = totals.loss / totals.rows.max(1) as f64;
    Ok((loss, backend.parameters()?, scores.iter().map(|&y| f64::from(y)).collect()))
}

/// The parameters by kind: name, shape, numbers.
fn kinds(parameters: &Parameters) -> Vec<(&'static str, String, Vec<f64>)> {
    let wide = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let flat = |name, shape: &[usize], numbers: Option<&[f32]>| {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        (name, shape.join(" × "), wide(numbers.unwrap_or_default()))
    };
    let vector = |array: ArrayView1<'_, f32>| array.to_vec();
    let Parameters { anchors, bias, linear, factors, .. } = parameters;
    let (log_lipschitz, log_metric) =
        (vector(parameters.log_lipschitz.view()), vector(parameters.log_metric.view()));
    let mut kinds = vec![
        flat("anchors", anchors.shape(), anchors.as_slice()),
        flat("log L", &[log_lipschitz.len()], Some(&log_lipschitz)),
        flat("metric", &[log_metric.len()], Some(&log_metric)),
        flat("bias", bias.shape(), bias.as_slice()),
        flat("linear", linear.shape(), linear.as_slice()),
        flat("factors", factors.shape(), factors.as_slice()),
    ];
    if let Some(scale) = &parameters.anchor_scale {
        kinds.insert(3, flat("scales", scale.shape(), scale.as_slice()));
    }
    kinds.retain(|(.., numbers)| !numbers.is_empty());
    kinds
}

/// Trains on both devices and measures both models: on the test rows where there are any, else on the
/// validation rows, else on the training rows. Where one seed is not within tolerance, the means of
/// three decide.
///
/// `None` where `on_event` asked to stop.
///
/// # Errors
/// Whatever the backends report, and [`Error::Diverged`] where the loss did on either.
pub fn run(
    data: &TrainData<'_>,
    config: &TrainConfig,
    gpu: &Device,
    on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
) -> Result<Option<Run>> {
    let parts = [("test", data.test), ("valid", data.valid), ("train", Some(data.train))];
    let (part, set) = parts.into_iter().find_map(|(name, set)| Some((name, set?))).expect("train");
    let mut pairs = Vec::new();
    for seed in 0..SEEDS {
        let config = TrainConfig { seed: config.seed.wrapping_add(seed), ..config.clone() };
        match run_pair(data, set, &config, gpu, on_event)? {
            Some(pair) => pairs.push(pair),
            None => return Ok(None),
        }
        let found = summary(part, set.features.n_rows(), &pairs);
        if found.row.pass || seed + 1 == SEEDS {
            return Ok(Some(found));
        }
    }
    unreachable!("the last seed decides")
}

/// Metrics of one side's model, none where its loss diverged, and the seconds it trained.
type Side = (Option<Metrics>, f64);

/// Trains and measures on the CPU, then on the GPU.
fn run_pair(
    data: &TrainData<'_>,
    set: &Dataset,
    config: &TrainConfig,
    gpu: &Device,
    on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
) -> Result<Option<[Side; 2]>> {
    let mut side = |device: &Device| {
        let mut trained = train(data, config, device, on_event)?;
        match (trained.stopped, trained.failed.take(), &trained.diverged) {
            (true, ..) => Ok(None),
            (_, Some(error), _) => Err(error),
            // Settings under which the CPU diverges are no ground for a comparison.
            (.., Some(advice)) if matches!(device, Device::Cpu) => {
                Err(Error::Diverged(advice.clone()))
            }
            (.., Some(_)) => Ok(Some((None, trained.train_seconds))),
            (.., None) => {
                let metrics = measure(&trained, config, set, device)?;
                Ok(Some((Some(metrics), trained.train_seconds)))
            }
        }
    };
    let Some(cpu) = side(&Device::Cpu)? else { return Ok(None) };
    Ok(side(gpu)?.map(|gpu| [cpu, gpu]))
}

fn measure(
    trained: &Trained,
    config: &TrainConfig,
    set: &Dataset,
    device: &Device,
) -> Result<Metrics> {
    let sparse = matches!(set.features, Features::Sparse(_));
    let scores = Scorer::new(&trained.members, config, sparse, device)?.score(&set.features)?;
    let outcome = Outcome { loss: config.loss, target_scale: trained.target_scale, range: None };
    Ok(metrics::compute(&outcome, &scores.outputs, &set.targets))
}

/// The means over the seeds. Accuracies are compared in points, values by their relative error.
fn summary(part: &'static str, rows: usize, pairs: &[[Side; 2]]) -> Run {
    let seeds = pairs.len();
    let mean = |side: usize, value: fn(&Metrics) -> Option<f64>| {
        let of = |pair: &[Side; 2]| pair[side].0.as_ref().and_then(value).unwrap_or(f64::NAN);
        pairs.iter().map(of).sum::<f64>() / seeds as f64
    };
    let is_share = pairs[0][0].0.as_ref().is_some_and(|metrics| metrics.accuracy.is_some());
    let (metric, value): (_, fn(&Metrics) -> Option<f64>) =
        if is_share { ("accuracy", |m| m.accuracy) } else { ("rmse", |m| m.rmse) };
    let (cpu, gpu) = (mean(0, value), mean(1, value));
    let (max_error, tolerance) = if is_share {
        // Two rows, but where that is no longer a tolerance.
        let two_rows = (2.0 / rows.max(1) as f64).min(0.05);
        let limit = tolerance::limit("run", "accuracy").max(two_rows);
        ((cpu - gpu).abs(), limit)
    } else {
        // Two perfect models are not apart.
        let scale = cpu.max(f64::from(f32::EPSILON));
        ((cpu - gpu).abs() / scale, tolerance::limit("run", "rmse"))
    };
    let shape = match seeds {
        1 => format!("{rows} {part} rows"),
        _ => format!("{rows} {part} rows, mean of {seeds} seeds"),
    };
    // A row's weight has no exact f64.
    let pass = max_error <= tolerance + 1e-12;
    let row = Row { name: "run".into(), output: metric, shape, max_error, tolerance, pass };
    let seconds = [0, 1].map(|side| pairs.iter().map(|pair| pair[side].1).sum());
    Run { part, rows, metric, seeds, cpu, gpu, seconds, row }
}

#[cfg(test)]
mod tests;

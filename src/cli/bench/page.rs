//! What `llfm bench` prints: a table for people, or events for programs.

use llfm::bench::{
    Checked, CopyRate, Floors, GpuFloors, GpuTiming, KernelReport, PhaseReport, RowShape,
    StepReport, Timing,
};
use llfm::config::{Method, name_of};
use llfm::data::{Dataset, Features};
use llfm::{Error, Result};
use serde::Serialize;

use crate::cli::console::Console;
use crate::cli::device::Compute;
use crate::cli::machine::Machine;
use crate::cli::memory::{peak, show_size};
use crate::cli::report::{Facts, count, counted, duration};

/// The results as they come.
pub(super) struct Page {
    json: bool,
    console: Console,
    best: Best,
    jobs: usize,
}

/// What the device can do at best.
pub(super) enum Best {
    /// The CPU, whose phases are timed.
    Cpu(Floors),
    /// A GPU, whose kernels are.
    Gpu(GpuFloors),
}

/// A shape and method, checked and timed.
pub(super) struct Timed {
    pub(super) shape: &'static str,
    pub(super) facts: Facts,
    pub(super) checked: Checked,
    pub(super) timing: Timing,
    /// Of a GPU.
    pub(super) kernels: Option<GpuTiming>,
}

#[derive(Serialize)]
struct Start<'a> {
    event: &'static str,
    command: &'static str,
    #[serde(flatten)]
    machine: &'a Machine,
    /// Whether the device is a program on the CPU: its times are no figure of a GPU.
    software: bool,
    floors: Option<&'a Floors>,
    gpu_floors: Option<&'a GpuFloors>,
}

#[derive(Serialize)]
struct TimedEvent<'a> {
    shape: &'static str,
    #[serde(flatten)]
    facts: &'a Facts,
    /// Error and its limit, of scores and of the gradient.
    score_error: [f64; 2],
    gradient_error: [f64; 2],
    mean_active: f64,
    epochs_timed: usize,
    seconds: f64,
    rows_per_second: f64,
    phases: &'a [PhaseReport],
    kernels: &'a [KernelReport],
    step: Option<&'a StepReport>,
}

#[derive(Serialize)]
struct Refused<'a> {
    event: &'static str,
    shape: &'a str,
    method: String,
    why: String,
}

#[derive(Serialize)]
struct End {
    event: &'static str,
    command: &'static str,
    jobs: usize,
    peak_memory_bytes: Option<u64>,
}

impl Page {
    pub(super) fn new(json: bool, console: Console, best: Best) -> Self {
        Self { json, console, best, jobs: 0 }
    }

    /// Names the machine, and what it can do.
    pub(super) fn begin(&mut self, machine: &Machine, compute: &Compute) -> Result<()> {
        let software = compute.is_software();
        let (floors, gpu_floors) = match &self.best {
            Best::Cpu(floors) => (Some(floors), None),
            Best::Gpu(floors) => (None, Some(floors)),
        };
        if self.json {
            let (event, command) = ("start", "bench");
            let start = Start { event, command, machine, software, floors, gpu_floors };
            return self.console.event(&start);
        }
        let Machine { date, version, commit, cpu, cores, threads, simd, os, device } = machine;
        let title = self.console.bold(&format!("{cpu}, {cores} cores, {threads} threads, {simd}"));
        self.console.line(&title)?;
        self.console
            .line(&format!("{date}, llfm {version}, commit {commit}, {os}; on {device}"))?;
        if software {
            self.console.line("a software adapter: no GPU figure")?;
        }
        if let Some(rates) = floors.or(gpu_floors.map(|floors| &floors.rates)) {
            let copy = |copy: &CopyRate| {
                let size = show_size(copy.bytes as u64);
                format!("{:.1} GB/s within {size}", 1e-9 * copy.bytes_per_second)
            };
            let copies: Vec<String> = rates.copies.iter().map(copy).collect();
            let peak = 1e-9 * rates.flops_per_second;
            let wait = |floors: &GpuFloors| {
                format!("; {:.1} µs from dispatch to dispatch", 1e6 * floors.dispatch_seconds)
            };
            let wait = gpu_floors.map(wait).unwrap_or_default();
            let line = format!("peak {peak:.1} GFLOP/s; copies {}{wait}", copies.join(", "));
            self.console.line(&line)?;
        }
        self.console.flush()
    }

    /// Says which rows follow.
    pub(super) fn shape(&mut self, shape: &RowShape, rows: &Dataset) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let features = &rows.features;
        let stored = match features {
            Features::Dense(_) => String::new(),
            Features::Sparse(_) => {
                format!(", {} non-zero", features.n_stored() / features.n_rows().max(1))
            }
        };
        let classes = match shape.classes {
            1 => "ratings".to_owned(),
            classes => format!("{classes} classes"),
        };
        let name = self.console.bold(shape.name);
        let sizes = format!("{} rows, {}", count(features.n_rows()), count(features.n_cols()));
        self.console.line(&format!("\n{name}: {sizes} features{stored}, {classes}"))?;
        self.console.flush()
    }

    /// A finished shape and method.
    pub(super) fn timed(&mut self, timed: &Timed) -> Result<()> {
        self.jobs += 1;
        let Timed { shape, facts, checked, timing, kernels } = timed;
        let (phases, kernels) = match (&self.best, kernels) {
            (Best::Cpu(floors), _) => (timing.report(floors), None),
            (Best::Gpu(floors), kernels) => {
                (Vec::new(), kernels.as_ref().map(|kernels| timing.gpu_report(kernels, floors)))
            }
        };
        if self.json {
            return self.console.event(&TimedEvent {
                shape,
                facts,
                score_error: [checked.scores, checked.scores_limit],
                gradient_error: [checked.slope, checked.slope_limit],
                mean_active: timing.mean_active,
                epochs_timed: timing.epochs,
                seconds: timing.seconds,
                rows_per_second: timing.rows_per_second(),
                phases: &phases,
                kernels: kernels.as_ref().map_or(&[], |(rows, _)| rows),
                step: kernels.as_ref().map(|(_, step)| step),
            });
        }
        let method = self.console.bold(&format!("{:<9}", facts.method));
        self.console.line(&format!(
            "{method} {} rows/s, {} an epoch (median of {}); m {}, d {}, batch {}, {:.1} active",
            count(timing.rows_per_second().round() as u64),
            duration(timing.seconds),
            timing.epochs,
            facts.anchors,
            facts.factors,
            facts.batch_size,
            timing.mean_active
        ))?;
        let check = format!(
            "  checked: scores {:.0e} off, of {:.0e} allowed, gradient {:.0e}, of {:.0e}",
            checked.scores, checked.scores_limit, checked.slope, checked.slope_limit
        );
        let check = self.console.dim(&check);
        self.console.line(&check)?;
        match kernels {
            Some((rows, step)) => {
                self.kernels(&rows)?;
                self.step(&step, timing)
            }
            None => self.phases(&phases),
        }
    }

    /// Says why a shape and method are left out.
    pub(super) fn refused(&mut self, shape: &str, method: Method, why: &Error) -> Result<()> {
        let (method, why) = (name_of(method), why.to_string());
        if self.json {
            return self.console.event(&Refused { event: "refused", shape, method, why });
        }
        self.console.line(&format!("{method:<9} left out: {why}"))?;
        self.console.flush()
    }

    /// A row a kernel: what it takes, and, where it was timed, how long.
    fn kernels(&mut self, rows: &[KernelReport]) -> Result<()> {
        let timed = rows.iter().any(|row| row.rates.is_some());
        let model = ["dispatches", "MFLOP", "MB", "floor ms"];
        let measured = ["ms", "share", "GFLOP/s", "GB/s", "of floor"];
        let heads = model.iter().chain(if timed { &measured[..] } else { &[] });
        let heads: String = heads.map(|head| format!("{head:>11}")).collect();
        let per = format!("  {:<19}{:>33}{:>11}", "", "a step", "an epoch");
        for line in [per, format!("  {:<19}{heads}", "kernel")] {
            let line = self.console.dim(&line);
            self.console.line(&line)?;
        }
        for row in rows {
            let mut line = format!(
                "  {:<19}{:>11}{:>11.2}{:>11.3}{:>11.3}",
                row.kernel,
                row.dispatches,
                1e-6 * row.flops,
                1e-6 * row.bytes,
                1e3 * row.floor_seconds
            );
            if let Some(rates) = &row.rates {
                line += &format!(
                    "{:>11.3}{:>9.1} %{:>11.1}{:>11.1}{:>9.0} %",
                    1e3 * rates.seconds,
                    100.0 * rates.share,
                    rates.gflops_per_second,
                    rates.gigabytes_per_second,
                    100.0 * rates.of_floor
                );
            }
            self.console.line(&line)?;
        }
        Ok(())
    }

    /// What a step takes, and the floor of an epoch.
    fn step(&mut self, step: &StepReport, timing: &Timing) -> Result<()> {
        self.console.line(&format!(
            "  a step: {} dispatches in a row, {:.2} MFLOP, {:.3} MB moved, {} sent by the host",
            step.dispatches,
            1e-6 * step.flops,
            1e-6 * step.bytes,
            show_size(step.uploaded_bytes.round() as u64)
        ))?;
        let floor = &step.floor;
        self.console.line(&format!(
            "  an epoch of {}: {:.0} % of it is the kernels' floors, {} in all (computing alone {}, moving {}, \
             waiting {})",
            duration(timing.seconds),
            100.0 * step.of_floor,
            duration(floor.seconds),
            duration(floor.computing),
            duration(floor.moving),
            duration(floor.waiting)
        ))?;
        self.console.line(&match step.kernel_seconds {
            Some(seconds) => format!(
                "  kernels of an epoch alone {}, by timestamps of {}",
                duration(seconds),
                counted(step.steps_timed, "step")
            ),
            None => "  the adapter has no timestamps: kernels are not timed".into(),
        })?;
        self.console.flush()
    }

    fn phases(&mut self, phases: &[PhaseReport]) -> Result<()> {
        if !phases.is_empty() {
            let heads = ["phase", "ms", "share", "GFLOP/s", "GB/s", "of floor"];
            let [first, rest @ ..] = heads;
            let rest: String = rest.iter().map(|head| format!("{head:>10}")).collect();
            let line = self.console.dim(&format!("  {first:<9}{rest}"));
            self.console.line(&line)?;
        }
        for row in phases {
            self.console.line(&format!(
                "  {:<9}{:>10.2}{:>8.1} %{:>10.1}{:>10.1}{:>8.0} %",
                name_of(row.phase),
                1e3 * row.seconds,
                100.0 * row.share,
                row.gflops_per_second,
                row.gigabytes_per_second,
                100.0 * row.of_floor
            ))?;
        }
        self.console.flush()
    }

    /// Ends the page.
    pub(super) fn end(mut self) -> Result<()> {
        let peak_memory_bytes = peak();
        if self.json {
            let (event, command, jobs) = ("result", "bench", self.jobs);
            return self.console.event(&End { event, command, jobs, peak_memory_bytes });
        }
        if let Some(bytes) = peak_memory_bytes {
            self.console.line(&format!("\nmost memory taken: {}", show_size(bytes)))?;
        }
        self.console.flush()
    }
}

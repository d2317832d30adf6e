//! What a run comes to: one JSON object, or a table for people.

use llfm::backend::{Placement, RowStorage};
use llfm::config::{TrainConfig, name_of};
use llfm::metrics::Metrics;
use serde::Serialize;
use serde_json::Value;

use super::console::Console;
use super::device::Compute;
use super::memory;
use llfm::Result;

/// The facts every command's events start with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    pub(crate) event: &'static str,
    pub(crate) command: &'static str,
    pub(crate) method: String,
    pub(crate) task: String,
    pub(crate) loss: String,
    pub(crate) device: &'static str,
    pub(crate) adapter: Option<String>,
    pub(crate) threads: usize,
    pub(crate) rows: usize,
    pub(crate) features: usize,
    pub(crate) nonzeros: usize,
    /// Absent (null) for a regression.
    pub(crate) classes: Option<usize>,
    pub(crate) anchors: usize,
    pub(crate) factors: usize,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) ensemble: usize,
}

/// The last event of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome<'a> {
    #[serde(flatten)]
    pub(crate) facts: Facts,
    pub(crate) seconds: Seconds,
    pub(crate) rows_per_second: f64,
    pub(crate) mean_active: f64,
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Where the training rows lay and how they were stored, and what all device buffers took; null on the CPU.
    pub(crate) data_placement: Option<Placement>,
    pub(crate) row_storage: Option<RowStorage>,
    pub(crate) device_memory_bytes: Option<u64>,
    /// Why training ended early: `patience`, `interrupted`, `diverged`, `device`.
    pub(crate) stopped: Option<&'static str>,
    /// Epochs run, all members together; an interrupted epoch counts in part.
    pub(crate) epochs_run: f64,
    pub(crate) best_epochs: &'a [usize],
    pub(crate) train: Option<&'a Metrics>,
    pub(crate) valid: Option<&'a Metrics>,
    pub(crate) test: Option<&'a Metrics>,
}

/// Where the time went.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Seconds {
    pub(crate) load: f64,
    pub(crate) seed: f64,
    pub(crate) train: f64,
    pub(crate) evaluate: f64,
}

impl Facts {
    /// The facts of a model's settings, of what computes, and of the rows it meets.
    pub(crate) fn new(
        command: &'static str,
        config: &TrainConfig,
        compute: &Compute,
        n_classes: usize,
        (rows, features, nonzeros): (usize, usize, usize),
    ) -> Self {
        Self {
            event: "start",
            command,
            method: name_of(config.method),
            task: name_of(config.task),
            loss: name_of(config.loss),
            device: compute.kind(),
            adapter: compute.adapter().map(str::to_owned),
            threads: rayon::current_num_threads(),
            rows,
            features,
            nonzeros,
            classes: (n_classes > 0).then_some(n_classes),
            anchors: config.anchors,
            factors: config.factors,
            epochs: config.epochs,
            batch_size: config.batch_size,
            seed: config.seed,
            ensemble: config.ensemble,
        }
    }
}

impl Outcome<'_> {
    /// Prints the object with the measurements only known at the very end.
    pub(crate) fn print(mut self, console: &mut Console) -> Result<()> {
        self.facts.event = "result";
        self.peak_memory_bytes = memory::peak();
        console.event(&self)
    }
}

/// The metrics by their names in JSON, in the order of the tables.
pub(crate) const METRICS: [&str; 8] =
    ["loss", "log_loss", "accuracy", "macro_f1", "auc", "rmse", "mae", "r2"];

/// A column of the table: its heading, its decimals, whether it is a percentage, its value.
type Column = (&'static str, usize, bool, fn(&Metrics) -> Option<f64>);

const COLUMNS: [Column; 8] = [
    ("loss", 4, false, |m| Some(m.loss)),
    ("log loss", 4, false, |m| m.log_loss),
    ("accuracy", 2, true, |m| m.accuracy),
    ("macro F1", 2, true, |m| m.macro_f1),
    ("AUC", 4, false, |m| m.auc),
    ("RMSE", 4, false, |m| m.rmse),
    ("MAE", 4, false, |m| m.mae),
    ("R²", 4, false, |m| m.r2),
];

/// Prints the metrics of some parts, one a row; columns that apply to none are left out.
pub(crate) fn table(console: &mut Console, parts: &[(&str, Option<&Metrics>)]) -> Result<()> {
    let rows: Vec<(&str, &Metrics)> =
        parts.iter().filter_map(|(name, metrics)| Some((*name, (*metrics)?))).collect();
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| rows.iter().any(|(_, metrics)| column.3(metrics).is_some()))
        .collect();
    let heads: String = columns.iter().map(|column| format!("{:>11}", column.0)).collect();
    let heads = console.dim(&format!("  {:<9}{heads}", ""));
    console.line(&heads)?;
    for (name, metrics) in rows {
        let cells: String =
            columns.iter().map(|column| format!("{:>11}", cell(column, metrics))).collect();
        let name = console.bold(&format!("{name:<9}"));
        console.line(&format!("  {name}{cells}"))?;
    }
    Ok(())
}

fn cell((_, decimals, percent, value): &Column, metrics: &Metrics) -> String {
    match value(metrics) {
        None => "–".into(),
        Some(x) if *percent => format!("{:.decimals$} %", 100.0 * x),
        // A loss far below the decimals shown, or far above, would read as 0 or as noise.
        Some(x) if x != 0.0 && !(1e-3..1e6).contains(&x.abs()) => format!("{x:.2e}"),
        Some(x) => format!("{x:.decimals$}"),
    }
}

/// Every setting under its flag's name, four a line.
pub(crate) fn settings(config: &TrainConfig) -> Vec<String> {
    let Ok(Value::Object(settings)) = serde_json::to_value(config) else { return Vec::new() };
    let shown: Vec<String> = settings
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{} {}", name.replace('_', "-"), plain(value)))
        .collect();
    shown.chunks(4).map(|chunk| chunk.join(" · ")).collect()
}

pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(flags) => {
            let on = flags.iter().filter(|(_, on)| **on == Value::Bool(true));
            let on: Vec<&str> = on.map(|(name, _)| name.as_str()).collect();
            if on.is_empty() { "none".into() } else { on.join(",") }
        }
        other => other.to_string(),
    }
}

/// A count with commas between the thousands.
pub(crate) fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(0).to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what is counted, the word in the singular.
pub(crate) fn counted(n: usize, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A duration as people read it.
pub(crate) fn duration(seconds: f64) -> String {
    // Else 119.6 seconds would be 1 min 60 s.
    let seconds = if seconds < 99.95 { seconds } else { seconds.round() };
    match seconds {
        s if s < 0.000_995 => format!("{:.0} µs", s * 1e6),
        s if s < 0.009_95 => format!("{:.1} ms", s * 1e3),
        s if s < 0.0995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s if s < 5999.5 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0) / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567_usize), "1,234,567");
        assert_eq!(count(999_u64), "999");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(2000, "row"), "2,000 rows");
        assert_eq!(duration(0.000_034), "34 µs");
        assert_eq!(duration(0.000_999), "1.0 ms");
        assert_eq!(duration(0.0044), "4.4 ms");
        assert_eq!(duration(0.009_96), "10 ms");
        assert_eq!(duration(0.0123), "12 ms");
        assert_eq!(duration(3.44), "3.4 s");
        assert_eq!(duration(125.2), "2 min 05 s");
        assert_eq!(duration(179.6), "3 min 00 s");
        assert_eq!(duration(7300.0), "2 h 02 min");
    }
}

//! Memory: sizes as users write them, what the machine has, what the process took.

use std::fs;

use llfm::config::defaults::DataShape;
use llfm::config::{Optimizer, TrainConfig};
use llfm::{Error, Result};

/// The most memory data may take where the user does not say: 80 % of what this process can get.
pub(crate) fn default_limit() -> u64 {
    let machine = proc_bytes("/proc/meminfo", "MemTotal:");
    // In a container less may be there than the machine has.
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    // Where the system does not tell, the allocator has to say no.
    [machine, container].into_iter().flatten().min().map_or(u64::MAX / 2, |bytes| bytes / 5 * 4)
}

/// The most memory this process ever held, in bytes, where the system tells.
pub(crate) fn peak() -> Option<u64> {
    proc_bytes("/proc/self/status", "VmHWM:")
}

/// Reads a line such as `MemTotal:  32 kB`.
fn proc_bytes(file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Refuses a model beyond `limit` bytes, which would end in an abort of the allocator.
pub(crate) fn check_model(config: &TrainConfig, shape: &DataShape, limit: u64) -> Result<()> {
    check_bytes(config, model_bytes(config, shape), limit)
}

/// The same for a model that is kept in checkpoints, each a copy of all that training has.
pub(crate) fn check_kept_model(config: &TrainConfig, shape: &DataShape, limit: u64) -> Result<()> {
    check_bytes(config, model_bytes(config, shape).and_then(|bytes| bytes.checked_mul(2)), limit)
}

fn check_bytes(config: &TrainConfig, needed: Option<u64>, limit: u64) -> Result<()> {
    let needed = needed.unwrap_or(u64::MAX);
    if needed <= limit {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Err(Error::Usage(format!(
        "--anchors {} with --factors {} make a model whose training takes {:.1} MB of the {:.1} MB \
         allowed: use fewer of them, or raise --max-memory",
        config.anchors,
        config.factors,
        megabytes(needed),
        megabytes(limit)
    )))
}

/// Bytes of every copy of the parameters that exists at once; `None` beyond counting.
pub(crate) fn model_bytes(config: &TrainConfig, shape: &DataShape) -> Option<u64> {
    let [features, factors, outputs, ensemble] =
        [shape.features, config.factors, config.loss.n_outputs(shape.classes), config.ensemble]
            .map(|n| n as u64);
    // Seeding finds no more clusters than rows.
    let anchors = config.anchors.min(shape.rows) as u64;
    let coding = anchors.checked_mul(features)?.checked_mul(2)?;
    let machines = anchors.checked_mul(outputs)?.checked_mul(features)?.checked_mul(factors + 1)?;
    let moments = match config.optimizer {
        Optimizer::Sgd => 0,
        Optimizer::AdaGrad => 1,
        Optimizer::Adam => 2,
    };
    // While training: the initial parameters, those in work, their moments, and the best of every
    // member. While saving: all members as trained, in the model, as tensors, as bytes.
    let copies = (2 + moments + ensemble).max(4 * ensemble);
    machines.checked_add(coding)?.checked_mul(4)?.checked_mul(copies)
}

/// Parses `2GiB`, `500MB`, `1.5G` or a plain number of bytes. `MB` is a million bytes, `MiB` and
/// `M` are 2²⁰.
pub(crate) fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let wrong =
        || format!("expected a size such as 2GiB, 500MB or a number of bytes, found `{text}`");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..split].trim().parse().map_err(|_| wrong())?;
    let unit = match text[split..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => f64::from(1 << 10),
        "m" | "mib" => f64::from(1 << 20),
        "g" | "gib" => f64::from(1 << 30),
        "t" | "tib" => f64::from(1 << 30) * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    if !(1.0..1e18).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against the range above")]
    #[expect(clippy::cast_sign_loss, reason = "checked against the range above")]
    Ok(bytes as u64)
}

/// A size as people read it.
pub(crate) fn show_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "bytes" {
                format!("{bytes} bytes")
            } else {
                format!("{size:.1} {unit}")
            };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("123", 123),
            ("500MB", 500_000_000),
            ("2GiB", 2 << 30),
            ("2g", 2 << 30),
            ("1.5 KiB", 1536),
            ("64kb", 64_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "0", "2 parsecs", "1e40", "nan", "inf"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}

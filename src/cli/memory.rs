//! Memory: sizes as users write them, what the machine has, what the process took.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use llfm::config::TrainConfig;
use llfm::config::defaults::DataShape;
use llfm::train::Footprint;
use llfm::{Error, Result};

/// The most memory data may take where the user does not say: 80 % of what this process can get.
///
/// Asked once: what is taken changes, and windows and chunks follow from it.
pub(crate) fn default_limit() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(limit_of_process)
}

fn limit_of_process() -> u64 {
    let read = |file: &Path| fs::read_to_string(file).ok();
    let machine = proc_bytes("/proc/meminfo", "MemTotal:");
    // In a container, or a job of a batch system, less may be there than the machine has.
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let group =
        group_files(&groups).iter().filter_map(|file| read(file)?.trim().parse().ok()).min();
    let limits = read(Path::new("/proc/self/limits")).unwrap_or_default();
    let taken = proc_bytes("/proc/self/status", "VmSize:").unwrap_or(0);
    // What grows takes addresses for up to twice what it holds.
    let addresses = address_limit(&limits).map(|bytes| bytes.saturating_sub(taken) / 2);
    // Where the system does not tell, the allocator has to say no.
    let least = [machine, group, addresses].into_iter().flatten().min();
    least.map_or(u64::MAX / 2, |bytes| bytes / 5 * 4)
}

/// Where the limits of the groups that a process is in may stand, by its list of groups: its own, and
/// of all those around it, in either version of the interface.
fn group_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

/// The most addresses a process may use (`ulimit -v`), where there is a limit.
fn address_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
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
    check_training(config, shape, 0, limit)
}

/// Bytes that a run takes beside its rows.
pub(crate) fn model_bytes(config: &TrainConfig, shape: &DataShape) -> u64 {
    Footprint::new(config, shape).bytes
}

/// Refuses a model that, beside rows of `rows` bytes, is beyond `limit` bytes.
pub(crate) fn check_training(
    config: &TrainConfig,
    shape: &DataShape,
    rows: u64,
    limit: u64,
) -> Result<()> {
    check_bytes(config, model_bytes(config, shape), rows, limit)
}

/// The same for a model that is kept in checkpoints.
pub(crate) fn check_kept_training(
    config: &TrainConfig,
    shape: &DataShape,
    rows: u64,
    limit: u64,
) -> Result<()> {
    let Footprint { bytes, checkpoints } = Footprint::new(config, shape);
    let kept = bytes.saturating_add(checkpoints);
    check_bytes(config, kept, rows, limit).map_err(|error| match error {
        Error::Usage(text) => Error::Usage(format!(
            "{text}; without --checkpoint it takes {:.1} MB",
            megabytes(bytes)
        )),
        error => error,
    })
}

fn check_bytes(config: &TrainConfig, model: u64, rows: u64, limit: u64) -> Result<()> {
    if model.saturating_add(rows) <= limit {
        return Ok(());
    }
    let beside = match rows {
        0 => String::new(),
        _ => format!(", beside rows of {:.1} MB", megabytes(rows)),
    };
    Err(Error::Usage(format!(
        "--anchors {} with --factors {} make a model whose training takes {:.1} MB of the {:.1} MB \
         allowed{beside}: use fewer of them, or raise --max-memory",
        config.anchors,
        config.factors,
        megabytes(model),
        megabytes(limit)
    )))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
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
    fn limits_of_groups_and_addresses_are_found() {
        let files = group_files("3:cpu,memory:/job\n2:cpuset:/\n0::/user.slice/a:b\nodd\n");
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/memory/job/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/user.slice/a:b/memory.max",
                "/sys/fs/cgroup/user.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        let limits = "Limit   Soft  Hard  Units\nMax address space    1024000 unlimited bytes\n";
        assert_eq!(address_limit(limits), Some(1_024_000));
        assert_eq!(address_limit(&limits.replace("1024000", "unlimited")), None);
        assert!(default_limit() > 0);
    }

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

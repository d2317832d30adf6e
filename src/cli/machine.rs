//! Where and when results came about.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::Serialize;

use super::device::Compute;

/// What a reader has to know to compare times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Day, in UTC.
    pub(crate) date: String,
    pub(crate) version: &'static str,
    pub(crate) commit: String,
    pub(crate) cpu: String,
    /// Hardware threads this process may use.
    pub(crate) cores: usize,
    pub(crate) threads: usize,
    /// Widest vector unit in use.
    pub(crate) simd: String,
    pub(crate) os: String,
    /// What computed.
    pub(crate) device: String,
}

impl Machine {
    pub(crate) fn new(compute: &Compute) -> Self {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self {
            date: now.split('T').next().unwrap_or_default().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            simd: llfm::bench::simd_level(),
            os: os().unwrap_or_else(|| std::env::consts::OS.to_owned()),
            device: compute.describe(),
        }
    }
}

/// The commit told at build time, as `scripts/release` does.
const COMMIT: Option<&str> = option_env!("LLFM_COMMIT");

/// The checkout this program was built in. A release holds no path, so that it is the same bytes
/// wherever it was built.
pub(crate) const CHECKOUT: Option<&str> = match COMMIT {
    Some(_) => None,
    None => Some(env!("CARGO_MANIFEST_DIR")),
};

/// The commit this program was built from: as told, or that of the checkout whose `target` it lies in.
fn commit() -> String {
    let told = COMMIT.map(str::to_owned);
    told.or_else(commit_of_checkout).unwrap_or_else(|| "unknown".into())
}

fn commit_of_checkout() -> Option<String> {
    let source = Path::new(CHECKOUT?);
    let program = std::env::current_exe().ok()?;
    // An installed program may be older or newer than the checkout.
    program.starts_with(source).then_some(())?;
    output_of(Command::new("git").arg("-C").arg(source).args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=7",
    ]))
}

fn cpu() -> Option<String> {
    if let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        return line.split_once(':').map(|(_, name)| name.trim().to_owned());
    }
    if cfg!(target_os = "macos") {
        return output_of(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]));
    }
    std::env::var("PROCESSOR_IDENTIFIER").ok()
}

fn os() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

/// What a command prints, if it succeeds.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

//! What happens when things go wrong: `fault_12_…` tests row 12 of the table in docs/faults.md.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../common/bench.rs"]
mod bench;
mod checkpoints;
mod device;
mod files;
#[path = "../common/forge.rs"]
mod forge;
#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../common/gpu.rs"]
mod gpu;
mod limits;
mod model;
mod resume;
mod run;
mod system;
mod text;
mod values;

use bench::{Bench, Done};

/// A file and what the message about it has to say.
type Refused<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Training refuses each file for its data, and leaves nothing behind.
#[track_caller]
fn refused(files: &[Refused<'_>]) {
    for (name, text, words) in files {
        let bench = Bench::new();
        bench.write(name, text);
        bench.line(&format!("train {name} --model m.llfm")).fails(3, words);
        assert_eq!(bench.names(), [*name], "no litter");
    }
}

/// Trains `m.llfm` for an epoch on `train.csv` or whatever it is called.
#[track_caller]
fn trained(name: &str, text: &str, flags: &str) -> (Bench, Done) {
    let bench = Bench::new();
    bench.write(name, text);
    let done = bench.line(&format!("train {name} --epochs 1 --model m.llfm {flags}")).succeeds();
    (bench, done)
}

/// Numbers of a csv without quotes.
fn numbers(text: &str) -> Vec<f64> {
    let number = |field: &str| field.parse().expect("a number");
    text.lines().flat_map(|line| line.split(',').map(number)).collect()
}

/// Whether programs that the tests start hear of a terminal that goes away: not where `nohup` runs the tests.
fn hears_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 0)
}

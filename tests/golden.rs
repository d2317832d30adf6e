//! Runs on the embedded sets: losses pinned to the digit, accuracies that must be reached.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "common/bench.rs"]
mod bench;

#[path = "golden/accuracy.rs"]
mod accuracy;
#[path = "golden/losses.rs"]
mod losses;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a command line in which a word `data/…` names an embedded set; returns its JSON lines.
fn run(line: &str) -> Vec<serde_json::Value> {
    let words = line.split_whitespace().skip_while(|word| *word == "llfm");
    let words = words.map(|word| match word.starts_with("data/") {
        true => set(word).display().to_string(),
        false => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bench::Bench::new().run(&words).succeeds().json_lines()
}

/// An embedded set; they are in the repository but not in the published crate.
fn set(name: &str) -> PathBuf {
    let path = file(name);
    assert!(path.exists(), "{name} is missing: the golden runs need the whole repository");
    path
}

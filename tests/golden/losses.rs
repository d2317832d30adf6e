//! Ten training losses of a run, pinned with the command that made them.
//!
//! Each `tests/golden/*.json` keeps a command, every setting spelled out, and the `train_loss` of
//! its epochs. The CPU backend takes every sum in a fixed order with fused multiply-adds, so the
//! bits are the same on any machine, with any width of vectors and number of threads; losses may
//! still differ by `TOLERANCE`, so that a reordered sum is no alarm, and nothing else is.
//!
//! After a change that is meant to change them: `LLFM_BLESS=1 cargo test --test golden`, then look
//! at the difference and say in the commit why.

use std::path::Path;

use serde_json::{Value, json};

use crate::{file, run};

/// Relative.
const TOLERANCE: f64 = 1e-5;

/// Flags a command must have, so that no default decides anything.
const SETTINGS: &str = "--method --learn --anchors --task --loss --factors --neighbors --lipschitz \
    --target-active --distance --optimizer --learning-rate --anchor-rate --schedule --t0 \
    --batch-size --epochs --l2 --label-smoothing --anchor-dropout --weight-decay --init-scale --seed \
    --ensemble --scale --clip --missing --format --header --label --test-fraction --split-seed";

fn losses(lines: &[Value]) -> Vec<f64> {
    lines.iter().filter_map(|line| line["train_loss"].as_f64()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().into_iter().flatten();
    list.map(|loss| loss.as_f64().expect("a golden loss is a number")).collect()
}

/// The first pair that is too far apart, counting from 1, if any; so is a missing one.
fn first_difference(found: &[f64], pinned: &[f64]) -> Option<usize> {
    let near = |(f, p): (&f64, &f64)| (f - p).abs() <= TOLERANCE * p.abs();
    let agreeing = found.iter().zip(pinned).take_while(|pair| near(*pair)).count();
    (agreeing < found.len().max(pinned.len())).then_some(agreeing + 1)
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the golden file is readable");
    let golden: Value = serde_json::from_str(&text).expect("the golden file is JSON");
    let command = golden["command"].as_str().expect("the golden file has its command");
    for flag in SETTINGS.split_whitespace() {
        assert!(command.contains(&format!("{flag} ")), "{}: {flag} is missing", path.display());
    }
    assert!(command.contains("--method fm") || command.contains("--coding "));
    let found = losses(&run(command));
    if std::env::var_os("LLFM_BLESS").is_some() {
        let golden = json!({ "command": command, "train_loss": found });
        let text = serde_json::to_string_pretty(&golden).expect("JSON");
        std::fs::write(path, text + "\n").expect("the golden file is writable");
        return;
    }
    let pinned = numbers(&golden["train_loss"]);
    assert_eq!(pinned.len(), 10, "{}", path.display());
    if let Some(epoch) = first_difference(&found, &pinned) {
        panic!("{}, epoch {epoch}:\nfound  {found:?}\npinned {pinned:?}", path.display());
    }
}

fn check_all(prefix: &str) {
    let entries = std::fs::read_dir(file("tests/golden")).expect("the golden files are there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let wanted = |path: &Path| {
        let name = name(path).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(".json")
    };
    let mut paths: Vec<_> = paths.filter(|path| wanted(path)).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no golden files of {prefix}");
    paths.iter().for_each(|path| check(path));
}

#[test]
fn banana_keeps_its_losses() {
    check_all("banana-");
}

#[test]
fn magic04_keeps_its_losses() {
    check_all("magic04-");
}

#[test]
fn letter_keeps_its_losses() {
    check_all("letter-");
}

#[test]
fn a_wrong_loss_is_seen() {
    let pinned = [0.5, 0.25, 0.125];
    assert_eq!(first_difference(&pinned, &pinned), None);
    assert_eq!(first_difference(&[0.5, 0.25, 0.125 * (1.0 + 9e-6)], &pinned), None);
    assert_eq!(first_difference(&[0.5, 0.25 * (1.0 - 2e-5), 0.125], &pinned), Some(2));
    assert_eq!(first_difference(&[0.5, 0.25, f64::NAN], &pinned), Some(3));
    assert_eq!(first_difference(&pinned[..2], &pinned), Some(3));
    assert_eq!(first_difference(&pinned, &pinned[..1]), Some(2));
}

//! Folders of checkpoints: what stands in them and beside them, and what becomes of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::forge::{parts, seal};
use crate::resume::{bench, checkpoints};
#[cfg(unix)]
use crate::resume::{end, read_on, until};

/// A run that is soon done, and has one checkpoint.
const RUN: &str = "train data.csv --epochs 2 --anchors 4 --checkpoint kept";

/// Changes an entry of the metadata of a checkpoint.
fn forge(path: &Path, key: &str, change: impl FnOnce(&mut Value)) {
    let (header, tensors) = parts(&std::fs::read(path).expect("readable"));
    let mut header: Value = serde_json::from_str(&header).expect("a JSON header");
    let entry = &mut header["__metadata__"][key];
    let mut value = serde_json::from_str(entry.as_str().expect("a string")).expect("JSON");
    change(&mut value);
    *entry = value.to_string().into();
    std::fs::write(path, seal(&header.to_string(), &tensors)).expect("writable");
}

#[test]
fn fault_28_a_forged_checkpoint() {
    let bench = bench();
    bench.line(RUN).succeeds();
    let kept = checkpoints(&bench, "kept").pop().expect("a checkpoint");
    let whole = std::fs::read(&kept).expect("readable");
    let resume = format!("{RUN} --resume");
    for (key, value) in [("run", json!([1])), ("run", json!(7)), ("position", json!({}))] {
        forge(&kept, key, |entry| *entry = value);
        let invalid = format!("`{key}` is invalid");
        bench.line(&resume).fails(4, &["kept", &invalid, "--force in place of --resume"]);
        std::fs::write(&kept, &whole).expect("writable");
    }
    // It would take a multiple of its length, and fill the screen.
    forge(&kept, "run", |run| run["settings"] = vec![0; 600_000].into());
    bench.line(&resume).fails(4, &["`run` is invalid", "1048576 bytes"]);
    std::fs::write(&kept, &whole).expect("writable");
    forge(&kept, "run", |run| run["settings"] = vec![0; 6000].into());
    let done = bench.line(&resume).fails(2, &["another run", "settings is [0,0,0"]);
    assert!(done.err.len() < 2000, "{}", done.err);
    std::fs::write(&kept, &whole).expect("writable");
    forge(&kept, "run", |run| *run = json!({}));
    bench.line(&resume).fails(2, &["another run"]);
    for (key, value) in [
        ("epochs", json!(1.5e19)),
        ("epochs", json!(-1.0)),
        ("train_seconds", json!(1e300)),
        ("seed_seconds", json!(-1.0)),
    ] {
        std::fs::write(&kept, &whole).expect("writable");
        forge(&kept, "position", |position| position["before"][key] = value);
        bench.line(&resume).fails(2, &["not of this run"]);
    }
    std::fs::write(&kept, &whole).expect("writable");
    bench.line(&resume).succeeds();
}

#[test]
fn fault_44_another_program_or_adapter_is_told_of() {
    let bench = bench();
    bench.line(RUN).succeeds();
    let kept = checkpoints(&bench, "kept").pop().expect("a checkpoint");
    let resume = format!("{RUN} --resume --quiet");
    assert_eq!(bench.line(&resume).succeeds().err, "");
    forge(&kept, "run", |run| run["circumstances"]["program"] = "another".into());
    let done = bench.line(&resume).succeeds();
    assert!(done.err.contains("another build of llfm: the model may not"), "{}", done.err);
    forge(&kept, "run", |run| run["circumstances"]["adapter"] = "\u{7}Old".into());
    let done = bench.line(&resume).succeeds();
    assert!(done.err.contains("another GPU, \\u{7}Old before and none now"), "{}", done.err);
}

#[cfg(unix)]
#[test]
fn fault_42_outputs_that_are_not_of_the_run_stay() {
    let bench = bench();
    let run = "train data.csv --epochs 2 --anchors 4 --model m.llfm --checkpoint kept --resume";
    bench.line(run).succeeds();
    let model = bench.read("m.llfm");
    bench.write("other.llfm", "precious");
    let elsewhere = |flags: &str| bench.line(&format!("{run} {flags}"));
    elsewhere("--plot other.svg").succeeds();
    let other = run.replace("m.llfm", "other.llfm");
    bench.line(&other).fails(2, &["other.llfm exists, and is not of the run in kept"]);
    assert_eq!(bench.read("other.llfm"), b"precious");
    bench.line(&run.replace("m.llfm", "./kept/../m.llfm")).succeeds();
    assert_eq!(bench.read("m.llfm"), model);
    // Begun with a model, gone on with without, and again with it.
    let long = "train data.csv --epochs 1000000 --checkpoint long --checkpoint-every 1 --json";
    let part = |flags: &str| {
        let run = until(&bench, &format!("{long} --resume {flags}"), "checkpoint", 1);
        assert_eq!(end(run, "-INT"), Some(130));
    };
    part("--model first.llfm");
    part("");
    bench.write("first.llfm", "of a part that failed");
    part("--model first.llfm");
    for folder in ["./new", "kept/../new", "new/"] {
        let line = format!("train data.csv --model new --checkpoint {folder}");
        bench.line(&line).fails(2, &["is the folder of --checkpoint"]);
    }
}

#[test]
fn fault_42_a_folder_that_holds_a_run() {
    let bench = bench();
    let run = "train data.csv --epochs 2 --anchors 4 --checkpoint kept";
    bench.line(run).succeeds();
    let before = checkpoints(&bench, "kept");
    let newest = std::fs::read(before.last().expect("a checkpoint")).expect("readable");
    bench.line(&format!("{run} --seed 1")).fails(2, &["kept", "--resume", "--force"]);
    assert_eq!(checkpoints(&bench, "kept"), before);
    bench.line(&format!("{run} --seed 1 --force")).succeeds();
    let after = checkpoints(&bench, "kept");
    assert_ne!(std::fs::read(after.last().expect("a checkpoint")).expect("readable"), newest);
    bench.line("train data.csv --checkpoint data.csv").fails(2, &["no folder"]);
    bench.line("train data.csv --resume").fails(2, &["--checkpoint"]);
    bench.line("train data.csv --checkpoint-every 2").fails(2, &["--checkpoint"]);
    bench.line("train data.csv --checkpoint k --checkpoint-every 5s").fails(2, &["minutes"]);
}

#[test]
fn fault_42_files_that_only_look_like_checkpoints_stay() {
    let bench = bench();
    let run = "train data.csv --epochs 4 --anchors 4 --checkpoint kept --checkpoint-every 1";
    std::fs::create_dir(bench.path("kept")).expect("a folder");
    let others =
        ["checkpoint-best.safetensors", "checkpoint-1.safetensors", ".checkpoint-a-b.llfm-tmp"];
    for other in others {
        bench.write(&format!("kept/{other}"), "precious");
    }
    bench.line(run).succeeds();
    bench.line(&format!("{run} --force")).succeeds();
    bench.line(&format!("{run} --resume")).succeeds();
    for other in others {
        assert_eq!(bench.read(&format!("kept/{other}")), b"precious");
    }
    assert_eq!(checkpoints(&bench, "kept").len(), 2 + others.len());
}

#[cfg(unix)]
#[test]
fn fault_40_a_checkpoint_that_cannot_be_written_ends_no_run() {
    let bench = bench();
    let run = "train data.csv --epochs 1000000 --checkpoint kept --checkpoint-every 1 --json \
               --model m.llfm";
    let run = until(&bench, run, "checkpoint", 1);
    std::fs::rename(bench.path("kept"), bench.path("gone")).expect("renamed");
    assert_eq!(end(run, "-INT"), Some(6), "the run is not kept");
    bench.line("evaluate m.llfm data.csv").succeeds();
}

#[cfg(unix)]
#[test]
fn fault_40_a_signal_is_tried_to_be_kept_whatever_failed_before() {
    let bench = bench();
    let run = "train data.csv --epochs 1000000 --checkpoint kept --checkpoint-every 1 --json \
               --model m.llfm";
    let (child, mut out) = until(&bench, run, "checkpoint", 1);
    std::fs::rename(bench.path("kept"), bench.path("gone")).expect("renamed");
    // More than a pipe holds: checkpoints have failed since.
    read_on(&mut out, "epoch", 400);
    std::fs::rename(bench.path("gone"), bench.path("kept")).expect("renamed");
    assert_eq!(end((child, out), "-TERM"), Some(143));
    assert!(!bench.path("m.llfm").exists(), "the model so far is in the checkpoint");
}

//! Checkpoints: what a run leaves behind, and what goes on from it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, clouds, curve, rings};
use crate::gpu::gpu_or_skip;

/// Settings of a run that says more than a pipe holds: it cannot end before all was read.
const RUN: &str = "train data.csv --epochs 400 --anchors 4 --valid-fraction 0.2 --json --quiet";

/// A folder with `data.csv`.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    bench
}

/// Events that a command told.
pub(crate) fn events(out: &str, name: &str) -> Vec<Value> {
    let all = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    all.filter(|event| event["event"] == name).collect()
}

/// What a command has yet to say.
pub(crate) type Output = BufReader<ChildStdout>;

/// Starts a command and reads until it has told `n` events of a name.
pub(crate) fn until(bench: &Bench, line: &str, name: &str, n: usize) -> (Child, Output) {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = bench.command(&args);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("llfm starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    read_on(&mut out, name, n);
    (child, out)
}

/// Reads until `n` more events of a name were told.
pub(crate) fn read_on(out: &mut Output, name: &str, n: usize) {
    let (mut text, mut told) = (String::new(), 0);
    while told < n {
        text.clear();
        assert!(out.read_line(&mut text).expect("llfm talks") > 0, "no {name}");
        told += events(&text, name).len();
    }
}

/// Sends a signal, then lets the command say the rest; its exit code.
#[cfg(unix)]
pub(crate) fn end((mut child, mut out): (Child, Output), name: &str) -> Option<i32> {
    signal(&child, name);
    std::io::copy(&mut out, &mut std::io::sink()).expect("llfm talks");
    child.wait().expect("llfm ends").code()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").arg(name).arg(child.id().to_string()).status();
    assert!(kill.expect("kill starts").success());
}

/// Leaves a run by a signal behind its second checkpoint.
#[cfg(unix)]
fn leave(bench: &Bench, run: &str, name: &str) -> Option<i32> {
    end(until(bench, run, "checkpoint", 2), name)
}

pub(crate) fn checkpoints(bench: &Bench, folder: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(bench.path(folder)).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[cfg(unix)]
#[test]
fn fault_44_a_resumed_run_has_the_bytes_of_one_without_a_break() {
    let bench = bench();
    bench.write("rings.svm", &rings(300, 1));
    bench.write("curve.csv", &curve(300, 1));
    bench.line("train data.csv --epochs 2 --anchors 4 --model init.llfm").succeeds();
    let runs = [
        RUN.to_owned(),
        RUN.replace("data.csv", "rings.svm --ensemble 2 --epochs 200"),
        RUN.replace("data.csv", "curve.csv --anchor-dropout 0.2"),
        RUN.replace("--anchors 4", "--init-model init.llfm"),
        // Some windows an epoch.
        RUN.replace("--json", "--stream --max-memory 40kB --json"),
    ];
    for run in runs {
        let run =
            run.replacen("--epochs 400 ", "", usize::from(run.matches("--epochs").count() > 1));
        bench.line(&format!("{run} --model whole.llfm")).succeeds();
        let run = format!("{run} --model parts.llfm --checkpoint kept --checkpoint-every 3");
        for name in ["-INT", "-TERM"] {
            let code = leave(&bench, &format!("{run} --resume"), name);
            assert_eq!(code, Some(if name == "-INT" { 130 } else { 143 }), "{run}");
            assert!(!bench.path("parts.llfm").exists(), "the model so far is in the checkpoint");
        }
        let done = bench.line(&format!("{run} --resume")).succeeds();
        let resumed = events(&done.out, "resume");
        assert_eq!(resumed.len(), 1, "{run}");
        assert!(resumed[0]["steps"].as_u64() > Some(0), "{}", resumed[0]);
        assert_eq!(bench.read("whole.llfm"), bench.read("parts.llfm"), "{run}");
        assert_eq!(checkpoints(&bench, "kept").len(), 2, "the last two are kept, and no litter");
        // It ended: once more makes the same model of the last checkpoint.
        let again = bench.line(&format!("{run} --resume")).succeeds();
        assert_eq!(events(&again.out, "epoch").len(), 0, "{run}");
        assert_eq!(bench.read("whole.llfm"), bench.read("parts.llfm"), "{run}");
        std::fs::remove_dir_all(bench.path("kept")).expect("removed");
        std::fs::remove_file(bench.path("parts.llfm")).expect("removed");
        std::fs::remove_file(bench.path("whole.llfm")).expect("removed");
    }
}

#[cfg(unix)]
#[test]
fn fault_38_a_signal_keeps_the_run_in_a_checkpoint() {
    let bench = bench();
    // A time that never comes: the signal alone writes it.
    let run = "train data.csv --epochs 1000000 --json --checkpoint kept --checkpoint-every 1000min";
    let (mut child, mut out) = until(&bench, run, "epoch", 1);
    signal(&child, "-TERM");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("llfm talks");
    assert_eq!(child.wait().expect("llfm ends").code(), Some(143));
    let last = events(&rest, "checkpoint").pop().expect("a checkpoint");
    assert_eq!(last["stopped"], "interrupted", "{last}");
    assert_eq!(checkpoints(&bench, "kept").len(), 1, "and no lock");
    let shorter = run.replace("1000000", "7");
    bench.line(&format!("{shorter} --resume")).fails(2, &["--resume", "1000000 there and 7 now"]);
}

#[cfg(unix)]
#[test]
fn fault_39_a_damaged_checkpoint_gives_way_to_the_one_before() {
    let bench = bench();
    let run = format!("{RUN} --model m.llfm --checkpoint kept --checkpoint-every 1");
    bench.line(&format!("{RUN} --model whole.llfm")).succeeds();
    assert_eq!(leave(&bench, &run, "-KILL"), None);
    let kept = checkpoints(&bench, "kept");
    let newest = kept.iter().rfind(|path| path.extension().is_some_and(|end| end == "safetensors"));
    let newest = newest.expect("a checkpoint");
    let mut bytes = std::fs::read(newest).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, &bytes).expect("writable");
    let loud = format!("{} --resume", run.replace("--quiet", ""));
    let done = bench.line(&loud).succeeds();
    assert!(done.err.contains("checksum") && done.err.contains("the one before"), "{}", done.err);
    assert_eq!(bench.read("whole.llfm"), bench.read("m.llfm"));
    // With none left, nothing is trained in silence.
    for path in checkpoints(&bench, "kept") {
        std::fs::write(path, "no checkpoint").expect("writable");
    }
    bench.line(&loud).fails(4, &["checkpoint", "checksum"]);
    bench.line(&format!("{run} --force")).succeeds();
}

#[test]
fn fault_43_other_data_or_settings_are_refused() {
    let bench = bench();
    let run =
        "train data.csv --epochs 2 --anchors 4 --valid-fraction 0.2 --checkpoint kept --resume";
    let done = bench.line(&format!("{run} --model m.llfm")).succeeds();
    assert!(done.err.contains("nothing to resume in kept"), "{}", done.err);
    let before = bench.read("m.llfm");
    let others = [
        ("--epochs 3", "epochs is 2 there and 3 now"),
        ("--learning-rate 0.5", "learning_rate"),
        ("--seed 4", "seed is 0 there and 4 now"),
        ("--clip 1", "training.fingerprint"),
        ("--class-weight balanced", "training.fingerprint"),
        ("--valid-fraction 0.1", "validation.rows is 60 there and 30 now"),
    ];
    for (flag, word) in others {
        let mut run = run.replace("--epochs 2", "").replace("--valid-fraction 0.2", "");
        for default in ["--epochs 2", "--valid-fraction 0.2"] {
            let name = default.split(' ').next().expect("a flag");
            if !flag.starts_with(name) {
                run.push(' ');
                run.push_str(default);
            }
        }
        let line = format!("{run} {flag} --model m.llfm");
        let begun = "begun by: llfm train --device cpu data.csv --epochs 2";
        bench.line(&line).fails(2, &["--resume", "another run", word, begun]);
    }
    let init = format!("{run} --init-model m.llfm");
    bench.line(&init).fails(2, &["another run", "init_model is null there"]);
    bench.write("many.csv", &clouds(3000, 1));
    let stream =
        "train many.csv --epochs 1 --anchors 4 --stream --checkpoint windows --resume --max-memory";
    bench.line(&format!("{stream} 40kB")).succeeds();
    let word = "windows.max_memory is 40000 there and 30000 now";
    bench.line(&format!("{stream} 30kB")).fails(2, &["another run", word]);
    bench.write("data.csv", &clouds(300, 2));
    bench.line(run).fails(2, &["--resume", "another run", "fingerprint"]);
    // A folder that holds no run is no leave to replace a model.
    bench.line(&format!("{} --model m.llfm", run.replace("kept", "kpet"))).fails(2, &["exists"]);
    assert_eq!(bench.read("m.llfm"), before);
}

#[cfg(unix)]
#[test]
fn fault_41_a_second_run_with_the_same_checkpoints() {
    let bench = bench();
    let run = "train data.csv --epochs 1000000 --checkpoint kept --checkpoint-every 1 --json";
    let first = until(&bench, run, "checkpoint", 1);
    bench.line(&format!("{run} --resume")).fails(6, &["another llfm"]);
    end(first, "-KILL");
    assert_eq!(leave(&bench, &format!("{run} --resume"), "-INT"), Some(130));
}

#[test]
fn fault_36_a_lost_device_is_opened_once_more() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = bench();
    let run = "train data.csv --epochs 6 --anchors 4 --device gpu --json";
    bench.line(&format!("{run} --model whole.llfm")).succeeds();
    let lost = |fault: &str, flags: &str| {
        bench.line_with(("LLFM_FAULT", fault), &format!("{run} --model m.llfm --force {flags}"))
    };
    let kept = "--checkpoint kept --checkpoint-every 1";
    let done = lost("lose-once:60", kept).succeeds();
    assert!(done.err.contains("opened it again"), "{}", done.err);
    assert_eq!(events(&done.out, "resume").len(), 1);
    assert_eq!(bench.read("whole.llfm"), bench.read("m.llfm"));
    // Lost again, or with nothing to go on from, the run ends with the model so far.
    for flags in [kept, ""] {
        lost("lose:25", flags).fails(5, &["lost"]);
        bench.line("inspect m.llfm").succeeds();
    }
}

/// The same a hundred times, by hand: `tests/kill.sh target/release/llfm`.
#[cfg(unix)]
#[test]
fn fault_39_kill_nine_at_any_moment_loses_nothing_but_the_last_steps() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kill.sh");
    let program = assert_cmd::cargo::cargo_bin!("llfm");
    let done = Command::new("bash").arg(script).arg(program).arg("6").output();
    let done = done.expect("bash starts");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    assert!(out.contains("6 kills"), "{out}");
}

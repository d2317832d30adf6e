//! How runs end: signals, closed pipes, two runs on one output.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Done, clouds};

/// A run that ends only when it is made to.
fn endless(bench: &Bench, model: &str) -> Child {
    bench.write("data.csv", &clouds(300, 1));
    let args = ["train", "data.csv", "--epochs", "1000000", "--model", model];
    let mut command = bench.command(&args);
    let mut child =
        command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("llfm starts");
    // The first epoch's line shows that training is on.
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("epoch") {
        line.clear();
        assert!(err.read_line(&mut line).expect("llfm talks") > 0, "training began");
    }
    std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
    child
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").arg(name).arg(child.id().to_string()).status();
    assert!(kill.expect("kill starts").success());
}

#[test]
fn a_signal_saves_the_model_so_far() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let bench = Bench::new();
        let mut child = endless(&bench, "m.llfm");
        signal(&child, name);
        assert_eq!(child.wait().expect("llfm ends").code(), Some(code), "{name}");
        bench.line("evaluate m.llfm data.csv").succeeds();
        assert_eq!(bench.names(), ["data.csv", "m.llfm"], "no litter");
    }
}

#[test]
fn a_second_run_on_the_same_output_fails_at_once() {
    let bench = Bench::new();
    let mut child = endless(&bench, "m.llfm");
    let start = Instant::now();
    bench.line("train data.csv --model m.llfm").fails(6, &["m.llfm", "another llfm"]);
    assert!(start.elapsed() < Duration::from_secs(5));
    bench.line("train data.csv --epochs 1 --model other.llfm").succeeds();
    // The lock dies with its holder.
    signal(&child, "-KILL");
    child.wait().expect("llfm ends");
    bench.line("train data.csv --epochs 1 --model m.llfm").succeeds();
    assert_eq!(bench.names(), ["data.csv", "m.llfm", "other.llfm"], "no litter");
}

#[test]
fn a_failed_save_leaves_the_old_model() {
    let bench = Bench::with_model();
    let before = bench.read("m.llfm");
    let lock = bench.path(".m.llfm.lock");
    std::fs::create_dir(&lock).expect("the folder is writable");
    bench.line("train train.csv --model m.llfm --force").fails(6, &["m.llfm"]);
    assert_eq!(bench.read("m.llfm"), before);
}

/// Reads a line of a command's output and closes the pipe.
fn head(bench: &Bench, line: &str) -> Done {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = bench.command(&args);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("llfm starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("llfm writes");
    drop(out);
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("messages are UTF-8");
    Done { code: child.wait().expect("llfm ends").code().unwrap_or(-1), out: first, err }
}

#[test]
fn a_pipe_closed_early_ends_quietly() {
    let bench = Bench::with_model();
    bench.write("long.csv", &clouds(60_000, 3));
    let done = head(&bench, "predict m.llfm long.csv --proba --quiet").succeeds();
    assert_eq!(done.err, "");
    let done = head(&bench, "train train.csv --epochs 1000000 --json --quiet").succeeds();
    assert_eq!(done.err, "");
    head(&bench, "man").succeeds();
    head(&bench, "inspect m.llfm").succeeds();
}

#[test]
fn a_pipe_closed_early_does_not_cost_the_model() {
    let bench = Bench::with_model();
    head(&bench, "train train.csv --epochs 30 --json --model n.llfm").succeeds();
    bench.line("inspect n.llfm").succeeds();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_input_output_error() {
    let bench = Bench::with_model();
    bench.line("train train.csv --epochs 1 --model /dev/full").fails(6, &["/dev/full"]);
    bench.line("predict m.llfm test.csv --output /dev/full").fails(6, &["/dev/full"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let done = bench.command(&["predict", "m.llfm", "test.csv"]).stdout(full).output();
    Done::from(done.expect("llfm starts")).fails(6, &["standard output"]);
}

#[test]
fn a_signal_while_reading_ends_at_once_without_litter() {
    let bench = Bench::new();
    let mut command = bench.command(&["train", "-", "--model", "m.llfm"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("llfm starts");
    // Held open, so that the data has no end.
    let _input = child.stdin.take();
    let lock = bench.path(".m.llfm.lock");
    while !lock.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The lock comes just before the handler.
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("llfm ends").code(), Some(130));
    assert_eq!(bench.names(), [""; 0]);
}

//! Rows 38 to 48: how runs end, what becomes of their outputs, and what does not change from run to run.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, Done, clouds, rings};
use crate::gpu::gpu_or_skip;

/// A run that ends only when it is made to.
fn endless(bench: &Bench, model: &str) -> Child {
    bench.write("data.csv", &clouds(300, 1));
    let line = format!("train data.csv --epochs 1000000 --model {model}");
    let mut command = bench.command(&line.split(' ').collect::<Vec<_>>());
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
fn fault_38_a_signal_saves_the_model_so_far() {
    let hang_up = crate::hears_hang_up().then_some(("-HUP", 129));
    for (name, code) in [("-INT", 130), ("-TERM", 143)].into_iter().chain(hang_up) {
        let bench = Bench::new();
        let mut child = endless(&bench, "m.llfm");
        signal(&child, name);
        assert_eq!(child.wait().expect("llfm ends").code(), Some(code), "{name}");
        bench.line("evaluate m.llfm data.csv").succeeds();
        assert_eq!(bench.names(), ["data.csv", "m.llfm"], "no litter");
    }
}

#[test]
fn fault_38_a_run_under_nohup_does_not_mind_the_terminal() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    let train = bench.command(&["train", "data.csv", "--epochs", "1000000", "--json", "--quiet"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(train.get_program());
    command.args(train.get_args()).current_dir(bench.path("."));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("sh starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut epochs = |n: usize| {
        let lines = out.by_ref().map(|line| line.expect("llfm talks"));
        assert_eq!(lines.filter(|line| line.contains("\"epoch\":")).take(n).count(), n);
    };
    epochs(1);
    signal(&child, "-HUP");
    epochs(100);
    signal(&child, "-KILL");
    child.wait().expect("llfm ends");
}

#[test]
fn fault_40_a_model_that_is_replaced_stays_private() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::with_model();
    let model = bench.path("m.llfm");
    std::fs::set_permissions(&model, PermissionsExt::from_mode(0o600)).expect("our file");
    bench.line("train train.csv --epochs 1 --model m.llfm --force").succeeds();
    assert_eq!(std::fs::metadata(&model).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn fault_38_a_second_signal_ends_at_once() {
    let bench = Bench::new();
    // A step takes long, and so does evaluating what it made.
    bench.write("data.csv", &clouds(30_000, 1));
    let line = "train data.csv --anchors 1000 --batch-size 30000 --threads 1 --model m.llfm";
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = bench.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("llfm starts");
    // What was read is said when training begins.
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut String::new()).expect("llfm talks");
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        signal(&child, "-INT");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(child.wait().expect("llfm ends").code(), Some(130));
    assert!(!bench.path("m.llfm").exists(), "nothing was saved");
    // The lock is no longer held, and the next run takes the file over.
    bench.write("small.csv", &clouds(60, 1));
    bench.line("train small.csv --epochs 1 --model m.llfm").succeeds();
    assert_eq!(bench.names(), ["data.csv", "m.llfm", "small.csv"], "no litter");
}

#[test]
fn fault_39_killed_in_the_middle_of_a_write() {
    let bench = Bench::with_model();
    let model = bench.read("m.llfm");
    bench.write("p.txt", "precious");
    let mut command = bench.command(&["predict", "m.llfm", "-", "--output", "p.txt", "--force"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("llfm starts");
    let mut input = child.stdin.take().expect("a pipe");
    // More than one chunk, but no end: some predictions are written, others are to come.
    input.write_all(clouds(30_000, 3).as_bytes()).expect("llfm reads");
    let unfinished = || bench.names().into_iter().find(|name| name.ends_with(".llfm-tmp"));
    let written = |name: String| std::fs::metadata(bench.path(&name)).is_ok_and(|m| m.len() > 0);
    while !unfinished().is_some_and(written) {
        assert!(child.try_wait().expect("a child").is_none(), "it waits for more");
        std::thread::sleep(Duration::from_millis(5));
    }
    let again = "predict m.llfm test.csv --output p.txt --force";
    bench.line(again).fails(6, &["p.txt", "another llfm"]);
    signal(&child, "-KILL");
    child.wait().expect("llfm ends");
    assert_eq!(bench.read("p.txt"), b"precious");
    bench.line(again).succeeds();
    assert_eq!(bench.names(), ["m.llfm", "p.txt", "test.csv", "train.csv"], "no litter");
    assert_eq!(String::from_utf8(bench.read("p.txt")).expect("text").lines().count(), 90);
    // The model that a run was about to replace is whole, too.
    let mut child = endless(&bench, "m.llfm --force");
    signal(&child, "-KILL");
    child.wait().expect("llfm ends");
    assert_eq!(bench.read("m.llfm"), model);
}

#[test]
fn fault_41_a_second_run_on_the_same_output() {
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
fn fault_40_a_lock_that_cannot_be_had() {
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
fn fault_46_a_pipe_closed_early_ends_quietly() {
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
fn fault_46_a_pipe_closed_early_does_not_cost_the_model() {
    let bench = Bench::with_model();
    head(&bench, "train train.csv --epochs 30 --json --model n.llfm").succeeds();
    bench.line("inspect n.llfm").succeeds();
}

#[cfg(target_os = "linux")]
#[test]
fn fault_40_a_full_disk() {
    let bench = Bench::with_model();
    bench.line("train train.csv --epochs 1 --model /dev/full").fails(6, &["/dev/full"]);
    bench.line("predict m.llfm test.csv --output /dev/full").fails(6, &["/dev/full"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let done = bench.command(&["predict", "m.llfm", "test.csv"]).stdout(full).output();
    Done::from(done.expect("llfm starts")).fails(6, &["standard output"]);
    for line in ["--help", "--version", "train --help", "completions bash", "devices"] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let args: Vec<&str> = line.split(' ').collect();
        let done = bench.command(&args).stdout(full).output().expect("llfm starts");
        Done::from(done).fails(6, &["cannot write standard output"]);
    }
}

#[test]
fn fault_40_a_disk_that_gets_full() {
    let bench = Bench::with_model();
    let model = bench.read("m.llfm");
    bench.write("long.csv", &clouds(20_000, 3));
    bench.write("p.txt", "precious");
    // The system refuses to let files grow beyond that, as it does on a full disk.
    let limited = |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        let llfm = bench.command(&args);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 2; exec \"$0\" \"$@\""]);
        command.arg(llfm.get_program()).args(llfm.get_args()).current_dir(bench.path(""));
        Done::from(command.output().expect("sh starts"))
    };
    for (line, output) in [
        ("train train.csv --epochs 1 --model m.llfm --force", "m.llfm"),
        ("train train.csv --epochs 1 --plot c.svg", "c.svg"),
        ("predict m.llfm long.csv --output p.txt --force", "p.txt"),
    ] {
        limited(line).fails(6, &["cannot write", output, "(os error "]);
    }
    assert_eq!((bench.read("m.llfm"), bench.read("p.txt")), (model, b"precious".to_vec()));
    let names = ["long.csv", "m.llfm", "p.txt", "test.csv", "train.csv"];
    assert_eq!(bench.names(), names, "no litter");
}

#[cfg(target_os = "linux")]
#[test]
fn fault_40_a_folder_that_nobody_may_write() {
    let bench = Bench::with_model();
    // Also the superuser makes no files there.
    for line in
        ["train absent.csv --model /proc/m.llfm", "predict m.llfm test.csv --output /proc/p"]
    {
        bench.line(line).fails(6, &["cannot create /proc/"]);
    }
}

#[test]
fn fault_38_a_signal_while_reading() {
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

#[test]
fn fault_42_an_output_that_exists() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    bench.write("m.llfm", "precious");
    bench.write("c.svg", "precious");
    for flags in ["--model m.llfm", "--plot c.svg"] {
        bench.line(&format!("train absent.csv {flags}")).fails(2, &["exists", "--force"]);
    }
    assert_eq!(bench.read("m.llfm"), b"precious");
    bench.line("train data.csv --epochs 1 --model m.llfm --plot c.svg --force").succeeds();
    assert_ne!(bench.read("m.llfm"), b"precious");
    bench.write("p.txt", "precious");
    bench.line("predict m.llfm data.csv --output p.txt").fails(2, &["exists", "--force"]);
    bench.line("predict m.llfm data.csv --output p.txt --force").succeeds();
    bench.line("train data.csv --model .").fails(2, &["folder"]);
}

#[test]
fn fault_45_a_diverging_loss_on_a_gpu() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    for rule in ["sgd", "adagrad", "adam"] {
        for rate in ["1e22", "1e26"] {
            let line = format!(
                "train data.csv --method fm --optimizer {rule} --learning-rate {rate} --l2 0 \
                 --epochs 2 --batch-size 32 --device gpu"
            );
            bench.line(&line).fails(7, &["diverged", "--learning-rate"]);
        }
    }
    let line = "train data.csv --learning-rate 1e22 --epochs 2 --device gpu";
    bench.line(line).fails(7, &["diverged"]);
}

#[test]
fn fault_45_a_diverging_loss() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    for flags in [
        "--optimizer sgd --learning-rate 1e20",
        "--optimizer adam --learning-rate 1e25",
        "--method fm --optimizer adagrad --learning-rate 1e26 --l2 0",
        "--valid-fraction 0.3 --optimizer sgd --learning-rate 1e10 --l2 0",
    ] {
        let line = format!("train data.csv {flags} --epochs 5 --model m.llfm --force --json");
        let done = bench.line(&line).fails(7, &["diverged", "lower --learning-rate"]);
        assert!(done.err.contains("model so far is in m.llfm"), "{}", done.err);
        assert_eq!(done.result()["stopped"], "diverged", "{flags}");
        let out = bench.line("predict m.llfm data.csv --raw").succeeds().out;
        assert!(crate::numbers(&out).iter().all(|score| score.is_finite()), "{flags}");
    }
}

#[test]
fn fault_47_the_same_seed_on_a_gpu() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = Bench::new();
    bench.write("data.csv", &clouds(200, 1));
    for name in ["one", "two"] {
        bench.line(&format!("train data.csv --epochs 2 --device gpu --model {name}")).succeeds();
    }
    assert!(bench.read("one") == bench.read("two"));
}

#[test]
fn fault_47_the_same_seed_on_the_cpu() {
    let bench = Bench::new();
    bench.write("data.svm", &rings(400, 1));
    let train = |name: &str, flags: &str| {
        bench.line(&format!("train data.svm --epochs 4 --model {name} {flags}")).succeeds();
        bench.read(name)
    };
    let one = train("one", "--threads 1");
    assert_eq!(one, train("two", "--threads 2"));
    assert_eq!(one, train("again", "--threads 2 --quiet --plot c.svg"));
    assert_ne!(one, train("other", "--seed 1"));
}

#[test]
fn fault_48_a_wrong_kernel_fails_the_comparison() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    let fault = "edit:fm_score:0.5 *:0.51 *";
    let mut command = bench.command(&["compare", "--epochs", "1", "--method", "llfm-do", "--json"]);
    let done = Done::from(command.env("LLFM_FAULT", fault).output().expect("llfm starts"));
    assert_eq!(done.code, 1, "{}", done.err);
    let failed: Vec<Value> = done
        .json_lines()
        .into_iter()
        .filter(|row| row["event"] == "kernel" && row["pass"] == false)
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((&failed[0]["name"], &failed[0]["output"]), (&"fm_score".into(), &"scores".into()));
    assert_eq!(done.result()["pass"], false);
    let mut command = bench.command(&["compare", "--epochs", "1", "--method", "llfm-do"]);
    let done = Done::from(command.env("LLFM_FAULT", fault).output().expect("llfm starts"));
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.contains("FAILED scores") && done.out.contains("DIFFER"), "{}", done.out);
}

#[test]
fn fault_48_the_gpu_computes_what_the_cpu_does() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = Bench::new();
    bench.write("data.csv", &clouds(120, 1));
    let line = "compare data.csv --epochs 1 --method llfm-jo --anchors 4 --json";
    let lines = bench.line(line).succeeds().json_lines();
    assert_eq!(lines.last().expect("a result")["pass"], true);
    let kernels = lines.iter().filter(|row| row["event"] == "kernel");
    assert!(kernels.clone().count() > 5);
    assert!(kernels.clone().all(|row| row["max_error"].as_f64() <= row["tolerance"].as_f64()));
}

#[test]
fn fault_40_a_plot_that_cannot_be_written() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    // No room for the name it has until it is whole, which shows only when it is written.
    let plot = format!("{}.svg", "c".repeat(241));
    let line = format!("train data.csv --epochs 1 --model m.llfm --plot {plot}");
    let done = bench.line(&line).fails(6, &[&plot, "(os error "]);
    assert!(done.out.contains("accuracy") && done.out.contains("model written"), "{}", done.out);
    assert!(!done.out.contains("plot written") && !done.err.contains("llfm-tmp"), "{}", done.err);
    let done = bench.line(&format!("{line} --json --force")).fails(6, &[&plot]);
    assert_eq!(done.result()["event"], "result");
}

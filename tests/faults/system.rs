//! What else the machine, other people and their files have in store.

use std::process::{Command, Stdio};

use crate::bench::{Bench, Done, clouds};
use crate::trained;

#[test]
fn fault_55_threads_that_nobody_can_have() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    for threads in ["0", "10000", "-1", "many"] {
        let line = format!("train data.csv --threads {threads}");
        bench.line(&line).fails(2, &["--threads", threads]);
    }
    bench.line("train data.csv --epochs 1 --threads 300").succeeds();
}

#[cfg(target_os = "linux")]
#[test]
fn fault_55_threads_that_the_system_refuses() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    // Their stacks are more than the addresses allowed.
    let llfm = bench.command(&["train", "data.csv", "--threads", "1024", "--model", "m.llfm"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]).arg(llfm.get_program());
    command.args(llfm.get_args()).current_dir(bench.path(""));
    let done = Done::from(command.output().expect("sh starts"));
    done.fails(5, &["cannot start 1024 threads", "--threads"]);
    assert_eq!(bench.names(), ["data.csv"], "no litter");
}

#[test]
fn fault_56_names_that_would_command_the_terminal() {
    let bench = Bench::new();
    let rows = "east\u{1b}[2J,north,animal\n1,2,cat\n2,1,dog\n1,1,cat\n";
    bench.write("t.csv", rows);
    bench.write("one.csv", "east\u{1b}[2J,north,animal\n1,2,emu\n");
    let done = bench.line("train t.csv --epochs 1 --model m.llfm").succeeds();
    assert!(done.out.contains("1 epoch,"), "{}", done.out);
    let page = bench.line("inspect m.llfm").succeeds().out;
    assert!(page.contains("east\\u{1b}[2J") && !page.contains('\u{1b}'), "{page}");
    let done = bench.line("evaluate m.llfm one.csv").succeeds();
    assert!(done.out.contains("1 row of one.csv"), "{}", done.out);
    assert!(done.err.contains("1 row of one.csv with labels"), "{}", done.err);
    let odd = "odd\u{1b}[2J.csv";
    bench.write(odd, rows);
    for line in ["evaluate m.llfm", "train"] {
        let done = bench.line(&format!("{line} {odd}")).succeeds();
        assert!(!(done.out + &done.err).contains('\u{1b}'), "{line}");
    }
}

#[test]
fn fault_56_names_of_classes_that_break_lines() {
    let rows = "1,2,\"cat\ndog\"\n2,3,emu\n1,2,\"cat\ndog\"\n4,5,\u{1b}[31mred\n";
    let (bench, _) = trained("t.csv", rows, "");
    let out = bench.line("predict m.llfm t.csv").succeeds().out;
    assert_eq!(out.lines().count(), 4, "a line each: {out}");
    assert!(!out.contains('\u{1b}'), "{out}");
    let known = [r"cat\ndog", "emu", r"\u{1b}[31mred"];
    assert!(out.lines().all(|line| known.contains(&line)), "{out}");
    // The same as before in what programs read.
    let classes = bench.line("inspect m.llfm --json").succeeds().result()["classes"].clone();
    assert_eq!(classes, serde_json::json!(["\u{1b}[31mred", "cat\ndog", "emu"]));
}

#[cfg(unix)]
#[test]
fn fault_57_links_as_outputs() {
    use std::os::unix::fs::symlink;
    let bench = Bench::with_model();
    let link = |to: &str, name: &str| symlink(to, bench.path(name)).expect("a link");
    link("real.llfm", "link.llfm");
    bench.write("real.llfm", "old");
    bench.line("train train.csv --epochs 1 --model link.llfm").fails(2, &["exists", "--force"]);
    bench.line("train train.csv --epochs 1 --model link.llfm --force").succeeds();
    assert!(bench.path("link.llfm").is_symlink(), "the link is kept");
    bench.line("inspect real.llfm").succeeds();
    link("nowhere/there", "lost.llfm");
    link("loop.llfm", "loop.llfm");
    for name in ["lost.llfm", "loop.llfm"] {
        let line = format!("train train.csv --epochs 1 --model {name} --force");
        bench.line(&line).fails(2, &[name, "a link to what is not there"]);
        assert!(bench.path(name).is_symlink(), "the link is kept");
    }
    // Two names of one file are one file.
    let rows = bench.read("train.csv");
    link("train.csv", "rows.csv");
    bench.line("train train.csv --model rows.csv --force").fails(2, &["is the input"]);
    assert_eq!(bench.read("train.csv"), rows);
}

#[test]
fn fault_58_an_output_that_is_an_input() {
    let bench = Bench::with_model();
    let rows = bench.read("train.csv");
    for line in [
        "train train.csv --model train.csv --force",
        "train train.csv --test test.csv --model ./test.csv --force",
        "predict m.llfm train.csv --output train.csv --force",
        "predict m.llfm train.csv --output m.llfm --force",
    ] {
        bench.line(line).fails(2, &["is the input"]);
    }
    assert_eq!(bench.read("train.csv"), rows);
}

#[test]
fn fault_59_a_folder_that_is_not_there() {
    let bench = Bench::with_model();
    let folder = ["there is no folder nowhere"];
    bench.line("train absent.csv --model nowhere/m.llfm").fails(6, &folder);
    bench.line("train absent.csv --plot nowhere/c.svg").fails(6, &folder);
    bench.line("train absent.csv --checkpoint nowhere/kept/").fails(6, &folder);
    let twice = bench.line("train absent.csv --model c.svg --plot ./c.svg --force");
    twice.fails(2, &["--plot ./c.svg", "--model writes too"]);
    bench.line("predict m.llfm absent.csv --output nowhere/p.txt").fails(6, &folder);
}

#[test]
fn fault_60_a_model_that_is_none() {
    let bench = Bench::with_model();
    bench.write("empty", "");
    bench.write("text", "{}");
    let words = ["no checksum found", "no llfm model"];
    for name in ["empty", "text", "train.csv"] {
        bench.line(&format!("inspect {name}")).fails(4, &words);
    }
    // In the wrong order.
    for command in ["predict", "evaluate"] {
        let swapped = [words[1], "m.llfm is one: MODEL comes first"];
        bench.line(&format!("{command} test.csv m.llfm")).fails(4, &swapped);
    }
    let done = bench.line("predict test.csv train.csv").fails(4, &words);
    assert!(!done.err.contains("MODEL comes first"), "{}", done.err);
    // Without an end: only the beginning is looked at.
    #[cfg(target_os = "linux")]
    for name in ["/dev/zero", "/dev/urandom"] {
        bench.line(&format!("predict {name} test.csv")).fails(4, &words);
    }
}

#[cfg(unix)]
#[test]
fn fault_61_an_odd_environment() {
    let bench = Bench::with_model();
    let model = bench.read("m.llfm");
    let expected = bench.line("predict m.llfm test.csv --proba").succeeds().out;
    for variables in [
        vec![],
        vec![("LC_ALL", "de_DE.UTF-8"), ("LANG", "tr_TR"), ("TZ", "Pacific/Apia")],
        vec![("HOME", "/nonexistent"), ("TMPDIR", "/nonexistent"), ("TERM", "dumb"), ("PATH", "")],
        vec![("COLUMNS", "1"), ("RUST_BACKTRACE", "1"), ("RAYON_NUM_THREADS", "3")],
    ] {
        let run = |line: &str| {
            let args: Vec<&str> = line.split(' ').collect();
            let mut command = bench.command(&args);
            command.env_clear().envs(variables.clone());
            Done::from(command.output().expect("llfm starts")).succeeds()
        };
        run("train train.csv --epochs 3 --model n.llfm --force");
        assert!(bench.read("n.llfm") == model, "{variables:?}");
        assert_eq!(run("predict m.llfm test.csv --proba").out, expected, "{variables:?}");
    }
}

#[cfg(unix)]
#[test]
fn fault_62_standard_streams_that_are_closed() {
    let bench = Bench::with_model();
    let run = |closed: &str, line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        let llfm = bench.command(&args);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]).arg(llfm.get_program());
        command.args(llfm.get_args()).current_dir(bench.path("")).stdin(Stdio::null());
        Done::from(command.output().expect("sh starts"))
    };
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        run(closed, "train train.csv --epochs 1 --model n.llfm --force").succeeds();
        run(closed, "predict m.llfm test.csv --output p.txt --force").succeeds();
        assert_eq!(String::from_utf8(bench.read("p.txt")).expect("text").lines().count(), 90);
    }
    run("<&-", "train -").fails(3, &["-: no rows"]);
    assert_eq!(run("2>/dev/full", "train absent.csv").code, 6);
}

#[test]
fn fault_63_a_settings_file_that_is_none() {
    let bench = Bench::with_model();
    bench.write("deep.toml", &format!("a = {}", "[".repeat(200_000)));
    bench.write("binary.toml", "\u{0}\u{1}\u{2}");
    bench.write("wrong.toml", "anchors = 3\nepochs = \"many\"\n");
    for (name, words) in [
        ("deep.toml", &["deep.toml"][..]),
        ("binary.toml", &["binary.toml", "1"]),
        ("wrong.toml", &["wrong.toml", "epochs"]),
        ("train.csv", &["train.csv"]),
    ] {
        bench.line(&format!("train train.csv --config {name}")).fails(2, words);
    }
}

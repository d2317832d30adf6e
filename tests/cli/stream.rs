//! `llfm train --stream`: rows that stay on the disk.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Bench, clouds, curve, rings};

/// Trains in memory and from the disk with the same flags; both must write the same bytes and have the
/// same to say about the data.
#[track_caller]
fn check_same(bench: &Bench, flags: &str) {
    let told = |extra: &str, model: &str| {
        let line = format!("train {flags} --epochs 3 --force --model {model} {extra}");
        let done = bench.line(&line).succeeds();
        let told: Vec<String> =
            done.err.lines().filter(|l| l.starts_with("llfm: ")).map(str::to_owned).collect();
        told
    };
    assert_eq!(told("", "memory.llfm"), told("--stream --threads 2", "disk.llfm"), "{flags}");
    assert!(bench.read("memory.llfm") == bench.read("disk.llfm"), "{flags}");
}

/// Rows with words, missing cells and weights.
fn mixed(rows: usize) -> String {
    let mut text = String::from("size,colour,price,shape,weight,class\n");
    for i in 0..rows {
        let colour = ["red", "green", "", "blue"][i % 4];
        let shape = format!("s{}", i * i % 37);
        let size = if i % 11 == 5 { String::new() } else { format!("{}", i * 7 % 23) };
        let class = if (i / 3) % 5 < 2 { "yes" } else { "no" };
        let price = (i * i % 101) as f64 / 8.0;
        let _ = writeln!(text, "{size},{colour},{price},{shape},{},{class}", 1 + i % 3);
    }
    text
}

fn ratings(rows: usize) -> String {
    (0..rows).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "u{}\ti{}\t{}", i * 31 % 97, i * 17 % 61, 1 + (i * i + i / 7) % 5);
        text
    })
}

/// Images of four pixels and their classes, as idx.
fn images() -> (Vec<u8>, Vec<u8>) {
    let (mut pixels, mut classes) = (vec![0, 0, 8, 2, 0, 0, 2, 0, 0, 0, 0, 4], vec![0, 0, 8, 1]);
    classes.extend([0, 0, 2, 0]);
    for i in 0..512_usize {
        pixels.extend([1, 3, 7, 31].map(|step| (i * step % 256) as u8));
        classes.push((i * 7 % 256 / 128) as u8);
    }
    (pixels, classes)
}

#[test]
fn a_window_that_holds_all_rows_gives_the_bytes_of_a_run_in_memory() {
    let bench = Bench::new();
    bench.write("clouds.csv", &clouds(700, 1));
    bench.write("test.csv", &clouds(90, 2));
    bench.write("curve.csv", &curve(600, 1));
    bench.write("rings.svm", &rings(600, 1));
    bench.write("mixed.csv", &mixed(900));
    bench.write("u.data", &ratings(1200));
    let (pixels, classes) = images();
    std::fs::write(bench.path("pixels.idx"), pixels).expect("the folder is writable");
    std::fs::write(bench.path("classes.idx"), classes).expect("the folder is writable");
    for flags in [
        "clouds.csv --valid-fraction 0.2 --test-fraction 0.1 --patience 2",
        "clouds.csv --test test.csv --scale maxabs --batch-size 7 --anchor-dropout 0.2",
        "curve.csv --ensemble 2 --test-fraction 0.3 --seed 3",
        "rings.svm --method fm",
        "mixed.csv --weights weight --class-weight balanced --valid-fraction 0.25",
        "mixed.csv --missing zero --ignore weight --hash-bits 8",
        "mixed.csv --label price --weights weight --missing zero --ignore shape",
        "u.data --format ratings --valid-fraction 0.1",
        "u.data --format ratings --hash-bits 7 --clip 1",
        "pixels.idx --labels classes.idx",
    ] {
        check_same(&bench, flags);
    }
    assert!(bench.names().iter().all(|name| !name.contains("tmp")), "{:?}", bench.names());
}

#[test]
fn a_feature_0_far_down_the_file_tells_how_indices_count() {
    let bench = Bench::new();
    let lasts = [
        ("one.svm", "1 1:0.5 3:1\n"),
        ("zero.svm", "1 0:0.5 3:1\n"),
        // Its value makes no difference.
        ("nothing.svm", "1 0:0 3:1\n"),
    ];
    for (name, last) in lasts {
        bench.write(name, &(rings(500, 1) + last));
        check_same(&bench, name);
    }
}

#[test]
fn indices_out_of_order_are_told_once() {
    let bench = Bench::new();
    let text = format!("1 3:1 1:0.5\n{}1 3:1 1:0.5\n", rings(900, 1));
    bench.write("rings.svm", &text);
    check_same(&bench, "rings.svm");
}

#[test]
fn a_model_is_gone_on_from_alike() {
    let bench = Bench::new();
    bench.write("first.csv", &clouds(200, 1));
    bench.write("mixed.csv", &mixed(600));
    bench.write("more.csv", &clouds(500, 2));
    bench.line("train first.csv --epochs 2 --model start.llfm").succeeds();
    check_same(&bench, "more.csv --init-model start.llfm");
    bench
        .line("train mixed.csv --weights weight --hash-bits 6 --epochs 1 --model h.llfm")
        .succeeds();
    check_same(&bench, "mixed.csv --init-model h.llfm");
}

#[test]
fn standard_input_is_streamed_too() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(400, 1));
    bench.line("train data.csv --epochs 2 --model file.llfm").succeeds();
    let args = ["train", "-", "--stream", "--epochs", "2", "--model", "stdin.llfm"];
    let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().expect("llfm starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(clouds(400, 1).as_bytes()).expect("llfm reads");
    drop(input);
    assert!(child.wait().expect("llfm ends").success());
    assert_eq!(bench.read("file.llfm"), bench.read("stdin.llfm"));
}

/// Magic in windows: a fourth or fifth of its rows at a time.
const WINDOWS: &str = "--stream --max-memory 600kB";

#[test]
fn many_windows_learn_as_well_and_the_same_on_any_number_of_threads() {
    let bench = Bench::new();
    let magic = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/magic04.csv.gz");
    let line = format!("train {} --test-fraction 0.2 --epochs 4 --json", magic.display());
    let run = |flags: &str| bench.line(&format!("{line} {flags}")).succeeds().result();
    let (memory, disk) = (run(""), run(&format!("{WINDOWS} --threads 1 --model one.llfm")));
    for (part, name) in [("train", "accuracy"), ("test", "accuracy"), ("test", "auc")] {
        let [a, b] = [&memory, &disk].map(|run| run[part][name].as_f64().expect("a number"));
        assert!((a - b).abs() < 0.01, "{part} {name}: {a} in memory, {b} from the disk");
    }
    assert_eq!(memory["epochs_run"], disk["epochs_run"]);
    run(&format!("{WINDOWS} --threads 2 --model two.llfm"));
    assert!(bench.read("one.llfm") == bench.read("two.llfm"));
}

#[test]
fn fault_12_rows_that_could_stay_on_the_disk() {
    let bench = Bench::new();
    bench.write("curve.csv", &curve(5000, 1));
    let line = "train curve.csv --epochs 1 --max-memory 50kB";
    let words = ["curve.csv: the rows need more", "raise --max-memory, or", "--stream"];
    bench.line(line).fails(3, &words);
    bench.line(&format!("{line} --stream")).succeeds();
    // What does not help, or is not to be had, is not named.
    bench.write("short.csv", &curve(50, 1));
    bench.write("words.csv", &(0..5000).map(|i| format!("w{i},{i}\n")).collect::<String>());
    for line in [
        "train short.csv --valid curve.csv",
        "train words.csv",
        "cv curve.csv",
        "search curve.csv --grid anchors=2,3",
    ] {
        let done = bench.line(&format!("{line} --max-memory 50kB")).fails(3, &["--max-memory"]);
        assert!(!done.err.contains("--stream"), "{line}: {}", done.err);
    }
}

#[test]
fn windows_are_told() {
    let bench = Bench::new();
    bench.write("curve.csv", &curve(5000, 1));
    bench.write("s.toml", "stream = true\nmax-memory = \"90kB\"\n");
    for flags in ["--stream --max-memory 90kB", "--config s.toml"] {
        let done = bench.line(&format!("train curve.csv --epochs 1 {flags}")).succeeds();
        assert!(done.out.contains("windows an epoch"), "{}", done.out);
    }
}

#[test]
fn a_gpu_and_other_commands_do_not_stream() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    for flags in ["--device gpu", "--device cpu --data-placement stream"] {
        bench
            .line(&format!("train data.csv --stream {flags}"))
            .fails(2, &["--stream", "--device", "--data-placement"]);
    }
    for line in ["cv data.csv --stream", "train data.csv --stream --cache"] {
        bench.line(line).fails(2, &["--stream"]);
    }
}

#[test]
#[cfg(unix)]
fn fault_64_a_folder_that_cannot_keep_the_rows() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let run = |folder: &Path| {
        let mut command = bench.command(&["train", "data.csv", "--stream", "--epochs", "1"]);
        crate::bench::Done::from(command.env("TMPDIR", folder).output().expect("llfm starts"))
    };
    run(&bench.path("nowhere")).fails(6, &["nowhere", "TMPDIR"]);
    let folder = bench.path("rows");
    std::fs::create_dir(&folder).expect("the folder is writable");
    run(&folder).succeeds();
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "no litter");
}

#[test]
#[cfg(unix)]
fn fault_64_a_disk_that_gets_full_of_rows() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(4000, 1));
    let folder = bench.path("rows");
    std::fs::create_dir(&folder).expect("the folder is writable");
    // The system refuses to let files grow beyond that, as it does on a full disk.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let llfm = bench.command(&["train", "data.csv", "--stream", "--epochs", "1"]);
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(llfm.get_program()).args(llfm.get_args());
    command.current_dir(bench.path("")).env("TMPDIR", &folder).stdin(Stdio::null());
    let done = crate::bench::Done::from(command.output().expect("sh starts"));
    done.fails(6, &["cannot write", "rows", "TMPDIR"]);
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "no litter");
}

#[test]
#[cfg(unix)]
fn fault_38_a_signal_while_streaming() {
    let bench = Bench::new();
    let folder = bench.path("rows");
    std::fs::create_dir(&folder).expect("the folder is writable");
    bench.write("data.csv", &curve(3000, 1));
    let args = ["train", "data.csv", "--stream", "--max-memory", "60kB", "--epochs", "1000000"];
    let mut command = bench.command(&[&args[..], &["--model", "m.llfm"]].concat());
    let command = command.env("TMPDIR", &folder).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("llfm starts");
    // The first epoch's line shows that training is on.
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("epoch") {
        line.clear();
        assert!(err.read_line(&mut line).expect("llfm talks") > 0, "training began");
    }
    std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill starts").success());
    assert_eq!(child.wait().expect("llfm ends").code(), Some(130));
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "no litter");
    bench.line("evaluate m.llfm data.csv").succeeds();
}

/// Trains in windows, without end, until `harm` has been done to the file of rows.
#[cfg(target_os = "linux")]
fn harmed(bench: &Bench, harm: &dyn Fn(&std::fs::File)) -> crate::bench::Done {
    let folder = bench.path("rows");
    std::fs::create_dir(&folder).expect("the folder is writable");
    bench.write("data.csv", &curve(3000, 1));
    let args = ["train", "data.csv", "--stream", "--max-memory", "60kB", "--epochs", "1000000"];
    let mut command = bench.command(&[&args[..], &["--model", "m.llfm"]].concat());
    let command = command.env("TMPDIR", &folder).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("llfm starts");
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut told = String::new();
    while !told.lines().any(|line| line.starts_with("epoch")) {
        assert!(err.read_line(&mut told).expect("llfm talks") > 0, "training began: {told}");
    }
    // The file has no name, but the process that holds it has.
    let files = std::fs::read_dir(format!("/proc/{}/fd", child.id())).expect("open files");
    let rows = files
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|file| std::fs::read_link(file).is_ok_and(|to| to.starts_with(&folder)))
        .expect("the file of rows");
    harm(&std::fs::OpenOptions::new().write(true).open(rows).expect("the file is writable"));
    std::io::Read::read_to_string(&mut err, &mut told).expect("llfm talks");
    let mut done = crate::bench::Done::from(child.wait_with_output().expect("llfm ends"));
    done.err = told;
    done
}

#[test]
#[cfg(target_os = "linux")]
fn fault_64_rows_that_can_no_longer_be_read() {
    use std::os::unix::fs::FileExt;
    let cut: &dyn Fn(&std::fs::File) = &|file| file.set_len(100).expect("is cut");
    let change: &dyn Fn(&std::fs::File) = &|file| {
        file.write_all_at(&[0xaa; 4096], 512).expect("is changed");
    };
    for (harm, code) in [(cut, 6), (change, 3)] {
        let bench = Bench::new();
        let done = harmed(&bench, harm).fails(code, &["rows", "model so far is in m.llfm"]);
        assert!(done.out.contains("ended by rows that cannot be read"), "{}", done.out);
        bench.line("evaluate m.llfm data.csv").succeeds();
        bench.line("inspect m.llfm").succeeds();
    }
}

#[test]
fn faults_of_the_data_are_told_as_in_memory() {
    let bench = Bench::new();
    bench.write("gaps.csv", &mixed(600));
    bench.write("one.csv", &"1,2,x\n".repeat(400));
    bench.write("ragged.csv", &(clouds(400, 1) + "1,2\n"));
    for flags in ["gaps.csv --missing error", "one.csv", "ragged.csv", "gaps.csv --positive maybe"]
    {
        let memory = bench.line(&format!("train {flags}"));
        let disk = bench.line(&format!("train {flags} --stream"));
        assert_ne!(memory.code, 0, "{flags}");
        assert_eq!((memory.code, memory.err), (disk.code, disk.err), "{flags}");
    }
}

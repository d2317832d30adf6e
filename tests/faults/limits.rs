//! Row 12 and what else is bounded: memory is refused by its figure, before it is taken.
//!
//! The system holds the program to the limit and a constant: what takes more is no failure with a
//! message, but an abort, which the tests see.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Done, clouds};

/// What `--max-memory` says.
const LIMIT: &str = "64MB";
/// Addresses that the program, two threads and the blocks of text between them take besides, in MB.
const BESIDE: u64 = 160;

/// A command that may use so many megabytes of addresses.
fn within(bench: &Bench, megabytes: u64, line: &str) -> Done {
    let args: Vec<&str> = line.split_whitespace().collect();
    let llfm = bench.command(&args);
    let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes * 1000);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(llfm.get_program()).args(llfm.get_args());
    // The allocator sets addresses aside for each thread, and touches few.
    command.env("MALLOC_ARENA_MAX", "1").current_dir(bench.path(""));
    Done::from(command.output().expect("sh starts"))
}

/// Training and predicting are refused within the limit.
#[track_caller]
fn bounded(bench: &Bench, data: &str, words: &[&str]) {
    let line = format!("train {data} --max-memory {LIMIT} --threads 2 --model n.llfm");
    within(bench, 64 + BESIDE, &line).fails(3, words);
    assert!(!bench.path("n.llfm").exists());
}

/// `piece` many times over, packed as the name says: packed files may be put one behind the other.
fn bomb(bench: &Bench, name: &str, piece: &[u8], times: usize) {
    let packed = match name.rsplit_once('.').expect("an ending").1 {
        "gz" => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(piece).expect("memory");
            gz.finish().expect("memory")
        }
        "xz" => {
            let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
            xz.write_all(piece).expect("memory");
            xz.finish().expect("memory")
        }
        _ => zstd::encode_all(piece, 1).expect("memory"),
    };
    std::fs::write(bench.path(name), packed.repeat(times)).expect("the folder is writable");
}

#[test]
fn fault_12_a_decompression_bomb() {
    let bench = Bench::new();
    let rows = b"1,2,0\n".repeat(1_000_000);
    let words: String = (0..700_000).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "word{i},{i},{}", i % 2);
        text
    });
    for packing in ["gz", "xz", "zst"] {
        // A gigabyte of rows.
        bomb(&bench, &format!("rows.csv.{packing}"), &rows, 170);
        let refused = format!("rows.csv.{packing}");
        bounded(&bench, &refused, &[&refused, "64.0 MB of memory allowed", "--max-memory"]);
    }
    bomb(&bench, "zeros.gz", &[0; 1 << 20], 300);
    bounded(&bench, "zeros.gz", &["zeros.gz:1:1: expected UTF-8 text, found a zero byte"]);
    bomb(&bench, "words.csv.gz", words.as_bytes(), 1);
    bounded(&bench, "words.csv.gz", &["words.csv.gz", "64.0 MB", "--max-memory"]);
    bench.write("classes.csv", &(0..900_000).map(|i| format!("1,c{i}\n")).collect::<String>());
    bounded(&bench, "classes.csv", &["classes.csv", "64.0 MB", "--max-memory"]);
    let keel = "@attribute a real\n".repeat(100_000);
    bomb(&bench, "keel.dat.gz", keel.as_bytes(), 300);
    bounded(&bench, "keel.dat.gz --format csv", &["columns", "--max-memory"]);
}

/// Rows of digits without a pattern, and classes in turn.
fn digits(rows: usize, features: usize, classes: usize) -> String {
    let mut text = String::new();
    for i in 0..rows {
        (0..features).for_each(|j| {
            let mixed = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(j as u32 * 40_503);
            let _ =
                write!(text, "{},", ((mixed ^ mixed >> 15).wrapping_mul(2_246_822_519) >> 13) % 10);
        });
        let _ = writeln!(text, "c{}", i % classes);
    }
    text
}

#[test]
fn fault_12_what_training_takes() {
    let bench = Bench::new();
    bench.write("wide.csv", &digits(600, 1000, 2));
    bench.write("long.csv", &digits(8000, 4, 2));
    bench.write("classes.csv", &digits(1000, 3, 26));
    let pairs = |i| format!("{} {}:1 20000:1\n", i % 2, 1 + 31 * i % 19_000);
    bench.write("sparse.svm", &(0..600).map(pairs).collect::<String>());
    for flags in [
        "wide.csv --anchors 500 --factors 1",
        "wide.csv --anchors 100 --factors 1 --optimizer sgd --ensemble 5",
        "long.csv --anchors 2000 --factors 2",
        "classes.csv --anchors 300 --factors 30 --batch-size 512",
        "sparse.svm --anchors 200 --factors 1",
        "sparse.svm --anchors 40 --factors 8 --optimizer adam --ensemble 3",
    ] {
        let line = format!("train {flags} --epochs 1 --threads 2 --model m.llfm --force --json");
        let peak = bench.line(&line).succeeds().result()["peak_memory_bytes"].as_f64();
        let peak = peak.expect("Linux tells") / 1e6;
        // The program itself takes less than 40 MB; what is left must be more than is allowed.
        let allowed = peak - 40.0;
        if allowed < 10.0 {
            continue;
        }
        let refused = bench.line(&format!("{line} --max-memory {allowed:.1}MB"));
        let refused = refused.fails(2, &["--anchors", "--max-memory"]).err;
        let told = refused.split_once("training takes ").and_then(|told| told.1.split_once(' '));
        let told: f64 = told.expect("the figure").0.parse().expect("a number");
        assert!(told < 1.6 * peak, "{flags}: {told} MB told, {peak} MB taken");
    }
}

#[test]
fn fault_12_what_evaluating_keeps() {
    let bench = Bench::with_model();
    bench.write("two.csv", &digits(300, 2, 2));
    bench.line("train two.csv --epochs 1 --anchors 2 --model two.llfm").succeeds();
    // The AUC is of the scores of all rows, 8 bytes each; other metrics are sums.
    bench.write("rows.csv", &"1,2,c0\n3,4,c1\n".repeat(150_000));
    let words = ["rows.csv: the rows need more than the 2.0 MB of memory allowed", "--max-memory"];
    bench.line("evaluate two.llfm rows.csv --max-memory 2MB").fails(3, &words);
    bench.line("evaluate two.llfm rows.csv --max-memory 3MB").succeeds();
    bench.write("many.csv", &format!("east,north,animal\n{}", "1,2,cat\n".repeat(300_000)));
    let done = bench.line("evaluate m.llfm many.csv --max-memory 2MB --json").succeeds();
    assert_eq!(done.result()["rows"], 300_000);
}

#[test]
fn fault_12_what_unpacking_itself_takes() {
    let bench = Bench::with_model();
    let text = clouds(90_000, 1);
    let mut options = liblzma::stream::LzmaOptions::new_preset(1).expect("it exists");
    options.dict_size(96 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream =
        liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32);
    let mut xz = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.expect("it exists"));
    xz.write_all(text.as_bytes()).expect("memory");
    let mut zst = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    zst.window_log(27).expect("it exists");
    zst.include_contentsize(false).expect("it exists");
    zst.write_all(text.as_bytes()).expect("memory");
    for (name, bytes) in
        [("a.csv.xz", xz.finish().expect("memory")), ("a.csv.zst", zst.finish().expect("memory"))]
    {
        std::fs::write(bench.path(name), bytes).expect("the folder is writable");
        let line = format!("predict m.llfm {name} --threads 2 --max-memory");
        let words = ["to unpack the", "than the 64.0 MB of memory allowed", "--max-memory"];
        within(&bench, 64 + BESIDE, &format!("{line} {LIMIT}")).fails(3, &words);
        let done = bench.line(&format!("{line} 500MB")).succeeds();
        assert_eq!(done.out.lines().count(), 90_000);
    }
}

#[test]
fn fault_12_a_model_or_checkpoint_without_an_end() {
    let bench = Bench::with_model();
    let run = "train clouds.csv --epochs 1 --anchors 4 --checkpoint kept --max-memory";
    bench.write("clouds.csv", &clouds(50, 1));
    bench.line(&format!("{run} {LIMIT}")).succeeds();
    let kept = std::fs::read_dir(bench.path("kept")).expect("a folder").next();
    let kept = kept.expect("a checkpoint").expect("an entry").path();
    // A hole as long as a disk takes no disk.
    for path in [&bench.path("m.llfm"), &kept] {
        let file = std::fs::File::options().write(true).open(path).expect("writable");
        file.set_len(1 << 40).expect("a file with a hole");
    }
    for line in [
        "predict m.llfm clouds.csv --max-memory",
        "evaluate m.llfm clouds.csv --max-memory",
        "train clouds.csv --init-model m.llfm --max-memory",
        &run.replacen("--epochs", "--resume --epochs", 1),
    ] {
        let most = if line.contains("--resume") { "33.6" } else { "22.4" };
        let most = format!("at most {most} MB");
        let words = ["has 1099511.6 MB", &most, "raise --max-memory"];
        within(&bench, 64 + BESIDE, &format!("{line} {LIMIT} --threads 2")).fails(2, &words);
    }
    within(&bench, 64 + BESIDE, "inspect m.llfm").fails(2, &["has 1099511.6 MB"]);
}

#[test]
fn fault_12_a_model_by_a_pipe_without_an_end() {
    let bench = Bench::with_model();
    let mut command = bench.command(&["predict", "/dev/stdin", "test.csv", "--max-memory", LIMIT]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut llfm = command.spawn().expect("llfm starts");
    let mut pipe = llfm.stdin.take().expect("a pipe");
    pipe.write_all(&bench.read("m.llfm")).expect("llfm reads");
    let zeros = vec![0; 1 << 20];
    let written = (0..200).take_while(|_| pipe.write_all(&zeros).is_ok()).count();
    drop(pipe);
    assert!((20..45).contains(&written), "llfm read {written} MiB");
    let done = Done::from(llfm.wait_with_output().expect("llfm ends"));
    done.fails(2, &["/dev/stdin", "at most 22.4 MB", "raise --max-memory"]);
}

#[test]
fn fault_12_a_line_of_100_megabytes() {
    let bench = Bench::with_model();
    for (format, start) in [
        ("libsvm", "1 1:1\n0 1:"),
        ("libffm", "1 1:1:1\n0 1:1:"),
        ("csv", "1,2,0\n4,5,1\n1,"),
        ("tsv", "1\t2\t0\n4\t5\t1\n1\t"),
        ("ratings", "1\t1\t1\n2\t"),
    ] {
        let mut file = std::fs::File::create(bench.path("long")).expect("the folder is writable");
        // Rows enough that the file passes for text, and one that does not end.
        let (rows, last) = start.rsplit_once('\n').expect("lines");
        let start = format!("{}{last}", format!("{rows}\n").repeat(20_000));
        file.write_all(start.as_bytes()).expect("the folder is writable");
        // Zeros that take no room on the disk.
        file.set_len(100_000_000).expect("the folder is writable");
        let words = ["long:", "the line is longer than 16.0 MB", "--max-memory"];
        bounded(&bench, &format!("long --format {format}"), &words);
        let line = format!("predict m.llfm long --format {format} --max-memory {LIMIT}");
        assert_eq!(within(&bench, 64 + BESIDE, &line).code, 3, "{format}");
    }
    bench.write("quoted.csv", &format!("1,0\n\"{}", "x\n".repeat(9_000_000)));
    bounded(&bench, "quoted.csv", &["quoted.csv:2", "the line is longer", "--max-memory"]);
}

#[test]
fn fault_12_a_line_of_millions_of_fields() {
    let bench = Bench::new();
    for field in ["0,", "a,"] {
        bench.write("wide.csv", &format!("{}1\n{0}0\n", field.repeat(5_000_000)));
        bounded(&bench, "wide.csv", &["wide.csv:1", "5000001 columns", "--max-memory"]);
    }
    let mut pairs = String::from("0 1:1\n1");
    for i in 1..1_500_000 {
        let _ = write!(pairs, " {i}:1");
    }
    bench.write("wide.svm", &pairs);
    bounded(&bench, "wide.svm", &["wide.svm", "64.0 MB", "--max-memory"]);
}

#[test]
fn fault_12_the_largest_index() {
    let bench = Bench::new();
    bench.write("a.svm", &"1 2147483648:1\n0 1:1\n".repeat(10));
    bounded(&bench, "a.svm", &["a.svm", "64.0 MB", "--max-memory"]);
    bench.write("b.svm", &"1 500000:1\n0 1:1\n".repeat(10));
    let words = ["--anchors", "--factors", "MB of the 64.0 MB allowed", "--max-memory"];
    let line = format!("train b.svm --max-memory {LIMIT} --threads 2");
    within(&bench, 64 + BESIDE, &line).fails(2, &words);
}

#[test]
fn fault_54_the_system_allows_less_memory_than_there_is() {
    let bench = Bench::new();
    bomb(&bench, "rows.csv.gz", &b"1,2,0\n".repeat(1_000_000), 300);
    let done = within(&bench, 600, "train rows.csv.gz --threads 2");
    done.fails(3, &["rows.csv.gz", "MB of memory allowed; raise --max-memory"]);
}

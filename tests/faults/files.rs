//! Rows 23 to 25 and 49 to 53: files whose headers lie, that are cut off, or have odd names; and what else a file
//! can be.

use std::io::Write;

use crate::bench::{Bench, Done, clouds};

fn file(bench: &Bench, name: &str, bytes: &[u8]) {
    std::fs::write(bench.path(name), bytes).expect("the folder is writable");
}

/// An idx array of bytes.
fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    [&file[..], bytes].concat()
}

/// An npy array of bytes.
pub(crate) fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    [&file[..], header.as_bytes(), bytes].concat()
}

/// `text`, packed as each name says.
fn packed(text: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text).expect("memory");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(text).expect("memory");
    [
        ("a.csv.gz", gz.finish().expect("memory")),
        ("a.csv.xz", xz.finish().expect("memory")),
        ("a.csv.zst", zstd::encode_all(text, 1).expect("memory")),
    ]
}

#[test]
fn fault_23_a_header_that_lies_about_the_size() {
    let bench = Bench::new();
    bench.write("labels.txt", "1\n2\n");
    let train = "--labels labels.txt --model m.llfm --max-memory 64MB";
    for (name, bytes, words) in [
        ("a.idx", idx(&[u32::MAX; 3], &[1, 2]), "impossibly large"),
        ("a.idx", idx(&[2, 1_000_000_000], &[1, 2]), "2000000012 bytes, the file has 14"),
        ("a.idx", idx(&[2, 1], &[1, 2, 3]), "the file has 15"),
        ("a.npy", npy("(2, 99999999999)", &[1]), "the header speaks of"),
        ("a.npy", npy("(2, 9999999999999999999)", &[]), "impossibly large"),
        ("a.npy", npy("(2, 9223372036854775807)", &[]), "impossibly large"),
        ("a.npy", npy("(0, 3)", &[]), "0 rows, but 2 labels"),
        ("a.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr'".to_vec(), "ends within the npy header"),
    ] {
        file(&bench, name, &bytes);
        bench.line(&format!("train {name} {train}")).fails(3, &[name, words]);
    }
    // Packed, nobody knows how long the file is; rows still come one by one.
    let wide = |shape: &str| packed(&npy(shape, &[7; 100])).map(|(_, bytes)| bytes);
    for shape in ["(2, 9223372036854775807)", "(2, 99999999999)"] {
        for bytes in wide(shape) {
            file(&bench, "b.npy", &bytes);
            let line = format!("train b.npy --format npy {train}");
            bench.line(&line).fails(3, &["b.npy"]);
        }
    }
    assert!(!bench.path("m.llfm").exists());
}

#[test]
fn fault_24_cut_off_files_and_other_counts() {
    let text = "1.5,2.5,0\n4,5.5,1\n".repeat(3_000);
    let bench = Bench::new();
    for (name, bytes) in packed(text.as_bytes()) {
        for length in [bytes.len() - 5, bytes.len() / 2, 7] {
            file(&bench, name, &bytes[..length]);
            bench.line(&format!("train {name}")).fails(3, &[name, "truncated or damaged"]);
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        file(&bench, name, &damaged);
        bench.line(&format!("train {name}")).fails(3, &[name]);
    }
    file(&bench, "a-labels-idx1-ubyte", &idx(&[3], &[7, 3, 1]));
    file(&bench, "a-images-idx3-ubyte", &idx(&[2, 1, 1], &[0, 1]));
    bench.line("train a-images-idx3-ubyte").fails(3, &["2 rows", "3 labels"]);
}

#[cfg(unix)]
#[test]
fn fault_25_a_path_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let name = |text: &[u8]| bench.path("").join(std::ffi::OsStr::from_bytes(text));
    let (data, model) = (name(b"d\xff.csv"), name(b"m\xff.llfm"));
    if std::fs::write(&data, clouds(90, 1)).is_err() {
        return; // This file system wants UTF-8.
    }
    let mut command = bench.command(&["train", "--epochs", "1"]);
    command.arg(&data).arg("--test").arg(&data).arg("--model").arg(&model);
    Done::from(command.output().expect("llfm starts")).succeeds();
    let mut command = bench.command(&["train", "--epochs", "1", "--json", "--checkpoint"]);
    let done = Done::from(command.arg(name(b"k\xff")).arg(&data).output().expect("llfm starts"));
    assert!(done.succeeds().out.contains("k\u{fffd}/checkpoint-"), "the path of the event");
    let mut command = bench.command(&["evaluate"]);
    Done::from(command.arg(&model).arg(&data).output().expect("llfm starts")).succeeds();
    std::fs::write(&data, "1,2\nx").expect("as before");
    let mut command = bench.command(&["train"]);
    Done::from(command.arg(&data).output().expect("llfm starts")).fails(3, &["d\u{fffd}.csv"]);
}

#[test]
fn fault_49_a_folder_or_nothing_where_a_file_should_be() {
    let bench = Bench::with_model();
    std::fs::create_dir(bench.path("folder")).expect("the folder is writable");
    for name in ["folder", "absent.csv"] {
        bench.line(&format!("train {name}")).fails(6, &["cannot read", name]);
        bench.line(&format!("predict m.llfm {name}")).fails(6, &["cannot read", name]);
        bench.line(&format!("predict {name} test.csv")).fails(6, &["cannot read", name]);
        bench.line(&format!("train test.csv --init-model {name}")).fails(6, &[name]);
        bench.line(&format!("train test.csv --config {name}")).fails(6, &[name]);
        bench.line(&format!("train test.csv --valid {name}")).fails(6, &[name]);
    }
}

#[cfg(unix)]
#[test]
fn fault_50_a_pipe_as_data() {
    let bench = Bench::with_model();
    let expected = bench.line("predict m.llfm test.csv").succeeds().out;
    let made = std::process::Command::new("mkfifo").arg(bench.path("pipe")).status();
    assert!(made.expect("mkfifo starts").success());
    for line in ["predict m.llfm pipe", "train pipe --epochs 1 --model n.llfm --stream"] {
        let args: Vec<&str> = line.split(' ').collect();
        let mut command = bench.command(&args);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().expect("llfm starts");
        std::fs::write(bench.path("pipe"), clouds(90, 2)).expect("llfm reads");
        let done = Done::from(child.wait_with_output().expect("llfm ends")).succeeds();
        assert!(done.out == expected || line.starts_with("train"), "{}", done.out);
    }
    bench.line("evaluate n.llfm test.csv").succeeds();
    let (mut from, bytes) = (bench.command(&FROM_A_PIPE), bench.read("m.llfm"));
    from.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = from.spawn().expect("llfm starts");
    std::fs::write(bench.path("pipe"), bytes).expect("llfm reads");
    Done::from(child.wait_with_output().expect("llfm ends")).succeeds();
}

/// Read once: nobody fills it again.
#[cfg(unix)]
const FROM_A_PIPE: [&str; 6] = ["train", "train.csv", "--init-model", "pipe", "--checkpoint", "k"];

#[cfg(unix)]
#[test]
fn fault_51_data_that_changes_while_it_is_read() {
    use std::io::Read;
    use std::process::Stdio;
    let bench = Bench::with_model();
    bench.write("long.csv", &clouds(120_000, 3));
    let mut command = bench.command(&["predict", "m.llfm", "long.csv", "--proba"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("llfm starts");
    // It is in the middle of the file: the pipe is full long before the end.
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 1000]).expect("llfm writes");
    let more = std::fs::File::options().append(true).open(bench.path("long.csv"));
    more.expect("a file").write_all(b"1,2,cat\n").expect("the folder is writable");
    std::io::copy(&mut out, &mut std::io::sink()).expect("llfm writes");
    let done = Done::from(child.wait_with_output().expect("llfm ends"));
    done.fails(3, &["long.csv: the file changed while it was read", "start again"]);
}

#[test]
fn fault_52_text_that_is_not_utf8() {
    let bench = Bench::with_model();
    // Two words that would look alike.
    file(&bench, "label.csv", b"1,2,caf\xe9\n2,3,y\n4,4,caf\xe8\n");
    bench.line("train label.csv").fails(3, &["label.csv:1:5", "expected UTF-8", "save the file"]);
    file(&bench, "cell.csv", b"a,b,label\n1,Gr\xfcn,0\n2,y,1\n");
    bench.line("train cell.csv").fails(3, &["cell.csv:2:3", "expected UTF-8"]);
    file(&bench, "label.svm", b"caf\xe9 1:1\ny 1:2\n");
    bench.line("train label.svm").fails(3, &["label.svm:1:1", "expected UTF-8"]);
    file(&bench, "u.data", b"caf\xe9\t1\t3\n2\t1\t4\n");
    bench.line("train u.data").fails(3, &["u.data:1:1", "expected UTF-8"]);
    let wide = |mark: &[u8]| {
        let units = clouds(30, 1).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        [mark, &units].concat()
    };
    for mark in [&b"\xff\xfe"[..], b""] {
        file(&bench, "wide.csv", &wide(mark));
        bench.line("train wide.csv").fails(3, &["wide.csv", "found UTF-16", "save it as UTF-8"]);
    }
}

#[test]
fn fault_53_bytes_that_are_no_text() {
    let bench = Bench::with_model();
    bench.write("nul.svm", "1 1:\u{0}2\n0 1:3\n");
    bench
        .line("train nul.svm")
        .fails(3, &["nul.svm:1:5", "expected UTF-8 text, found a zero byte"]);
    // As before where only the first rows were looked at.
    bench.write("late.svm", &format!("{}0 1:\u{0}2\n", "1 1:2\n0 1:3\n".repeat(10_000)));
    bench.line("train late.svm").fails(3, &["late.svm:20001:3", r"`1:\u{0}2`"]);
    let mut noise = Vec::new();
    let mut state = 1_u64;
    for _ in 0..100_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.push((state >> 56) as u8);
    }
    for format in ["libsvm", "libffm", "csv", "tsv", "ratings", "idx", "npy"] {
        file(&bench, "noise", &noise);
        bench.line(&format!("train noise --format {format}")).fails(3, &["noise"]);
        let done = bench.line(&format!("predict m.llfm noise --format {format}"));
        done.fails(3, &["noise"]);
    }
}

/// What begins with a zero byte or has one soon, and what is said of it.
fn binaries(bench: &Bench) -> [(&'static str, Vec<u8>, &'static [&'static str]); 7] {
    bench.line("train train.csv --epochs 1 --checkpoint kept").succeeds();
    let kept = std::fs::read_dir(bench.path("kept")).expect("a folder").next();
    let kept = std::fs::read(kept.expect("a checkpoint").expect("an entry").path());
    bench.line("train train.csv --epochs 1 --cache").succeeds();
    let picture = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01, a picture, of rows\n".repeat(30);
    let program = b"\x7fELF\x02\x01\x01\0\0\0, a program\n".repeat(9_000);
    [
        ("photo.jpg", picture, &["photo.jpg:1:5", "found a zero byte"]),
        ("program", program, &["program:1:8", "found a zero byte"]),
        ("nulls", [b"1,2,0\n3,4", &[0; 9][..]].concat(), &["nulls:2:4", "found a zero byte"]),
        ("sheet.xlsx", b"PK\x03\x04\x14\0\x06\0".to_vec(), &["a zip archive", "as csv"]),
        ("model", bench.read("m.llfm"), &["a model of llfm", "before DATA", "--init-model"]),
        ("checkpoint", kept.expect("a file"), &["a checkpoint of llfm", "--resume"]),
        ("cache", bench.read("train.csv.llfm-cache"), &["a cache of llfm"]),
    ]
}

#[test]
fn fault_53_files_that_are_known_to_be_no_text() {
    let bench = Bench::with_model();
    for (name, bytes, words) in binaries(&bench) {
        file(&bench, name, &bytes);
        for command in ["train", "train --stream", "predict m.llfm", "evaluate m.llfm"] {
            for format in ["", "--format csv", "--format libffm", "--format ratings"] {
                let done = bench.line(&format!("{command} {name} {format}")).fails(3, words);
                // Nothing is said of columns, or of how it was read.
                assert_eq!(done.err.lines().count(), 1, "{}", done.err);
            }
        }
        bench.line(&format!("train train.csv --valid {name}")).fails(3, words);
        bench.line(&format!("train {name} --cache")).fails(3, words);
    }
    file(&bench, "rows.npy", &npy("(2, 1)", &[1, 2]));
    file(&bench, "labels", b"1\n\0\n");
    let labels = ["labels:2:1", "found a zero byte"];
    bench.line("train rows.npy --labels labels").fails(3, &labels);
}

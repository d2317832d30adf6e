//! Every seed of the fuzz targets, and every input that one of them ever failed on, through the checks
//! of that target. What the checks are stands in `fuzz/src`.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, reason = "a library of the fuzz targets")]
mod checks;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, panic};

use checks::{cache, checkpoint, coding, config, journal, model, predict, reader, with_file};
use llfm::data::{ChunkWriter, Format, Notes, ReadOptions, read};

type Check = fn(&[u8]);

/// The targets.
const TARGETS: [(&str, Check); 15] = [
    ("csv", |data| reader::text(data, Format::Csv)),
    ("tsv", |data| reader::text(data, Format::Tsv)),
    ("libsvm", |data| reader::text(data, Format::Libsvm)),
    ("libffm", |data| reader::text(data, Format::Libffm)),
    ("ratings", |data| reader::text(data, Format::Ratings)),
    ("idx", |data| reader::array(data, Format::Idx)),
    ("npy", |data| reader::array(data, Format::Npy)),
    ("packed", reader::packed),
    ("cache", cache::file),
    ("checkpoint", checkpoint::file),
    ("config", config::file),
    ("journal", journal::file),
    ("model", model::file),
    ("coding", coding::row),
    ("predict", predict::rows),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a folder, by name.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

/// Runs every target on what it has in a folder; the inputs of each that fail, and how many there are.
fn run(parent: &str) -> (Vec<PathBuf>, [usize; TARGETS.len()]) {
    let mut failed = Vec::new();
    let counts = TARGETS.map(|(target, check)| {
        let files = inputs(&folder(parent).join(target));
        for file in &files {
            let bytes = fs::read(file).expect("it is there");
            if panic::catch_unwind(|| check(&bytes)).is_err() {
                failed.push(file.clone());
            }
        }
        files.len()
    });
    (failed, counts)
}

#[test]
fn seeds_pass_their_checks() {
    let (failed, counts) = run("fuzz/seeds");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(!counts.contains(&0), "a target has no seeds: {counts:?}");
}

#[test]
fn what_was_found_stays_mended() {
    let known = |name: &Path| TARGETS.iter().any(|(target, _)| name.ends_with(target));
    let unknown = inputs(&folder("tests/regressions")).into_iter().find(|name| !known(name));
    assert_eq!(unknown, None, "no target has this name");
    let (failed, counts) = run("tests/regressions");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(counts.iter().sum::<usize>() > 0, "nothing was found there");
}

/// Data of each kind, small.
const DATA: [(&str, &str); 5] = [
    ("numbers.csv", "1,2,cat\n3,5,dog\n5,6,emu\n2,2,cat\n4,5,dog\n6,7,emu\n"),
    ("words.csv", "c,x,label\nred,1,0\nblue,2,1\nred,,0\ngreen,4,1\n"),
    ("values.csv", "a,b,y\n1,2,0.5\n2,3,1.25\n4,1,-3\n5,5,2\n"),
    ("sparse.svm", "1 1:0.5 3:-2\n-1 2:1\n1 1:1\n-1 3:4\n"),
    ("u.data", "196 242 3\n186 302 4.5\n196 302 1\n22 242 5\n"),
];

/// Name of a model, its data, and the flags it is trained with.
const MODELS: [(&str, &str, &str); 8] = [
    ("softmax", "numbers.csv", ""),
    ("ovr", "numbers.csv", "--loss ovr --method llfm-do --scale maxabs"),
    ("categorical", "words.csv", "--ensemble 2"),
    ("rest", "numbers.csv", "--positive dog --method llfm-apl --learn anchors,scale --clip 2"),
    ("values", "values.csv", "--coding inverse --neighbors 2"),
    ("libsvm", "sparse.svm", "--loss hinge"),
    ("hashed", "words.csv", "--hash-bits 3"),
    ("ratings", "u.data", "--method fm"),
];

#[test]
#[ignore = "writes the seeds of models and files of rows anew"]
fn seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = folder("fuzz/seeds").join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a seed");
    };
    for (name, text) in DATA {
        with_file(name, text.as_bytes(), |path| {
            let rows = read(&path, &ReadOptions::default(), &mut Notes::new()).expect("rows");
            let kept = path.with_extension("rows");
            let mut writer = ChunkWriter::create(&kept, &path).expect("a file");
            writer.push_part(&rows, 0..2).expect("a chunk");
            writer.push_part(&rows, 2..rows.n_rows()).expect("a chunk");
            writer.finish("key", &Notes::new()).expect("a file");
            write("cache", name, &cache::taken_apart(&fs::read(kept).expect("a file")));
        });
    }
    for step in [1, 3, 5, 8, checkpoint::STEPS] {
        let bytes = checkpoint::after(step);
        write("checkpoint", &format!("step-{step}"), &checkpoint::APART.taken_apart(&bytes));
    }
    for (name, data, flags) in MODELS {
        let text = DATA.iter().find(|(file, _)| *file == data).expect("data").1;
        with_file(data, text.as_bytes(), |path| {
            let file = path.with_extension("llfm");
            let mut llfm = Command::new(assert_cmd::cargo::cargo_bin!("llfm"));
            llfm.args(["train", "--quiet", "--force", "--device", "cpu", "--epochs", "1"]);
            llfm.args(["--factors", "2"])
                .args((data != "u.data").then_some(["--anchors", "3"]).into_iter().flatten());
            llfm.args(flags.split_whitespace()).arg("--model").arg(&file).arg(path);
            assert!(llfm.status().expect("llfm starts").success(), "{name}");
            let bytes = fs::read(file).expect("a model");
            write("model", name, &model::APART.taken_apart(&bytes));
            if name == "softmax" {
                write("model", "whole", &bytes);
            }
        });
    }
}

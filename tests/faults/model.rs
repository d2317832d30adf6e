//! Rows 27 to 31: model files that are damaged, forged or new, and data they do not fit.

use serde_json::Value;

use crate::bench::{Bench, clouds};
use crate::forge::{offsets, parts, seal};
use crate::trained;

/// Every command that reads a model refuses `bad.llfm`, and leaves the outputs as they were.
#[track_caller]
fn refused(bench: &Bench, bytes: &[u8], words: &[&str]) {
    std::fs::write(bench.path("bad.llfm"), bytes).expect("the folder is writable");
    bench.write("p.txt", "precious");
    for line in [
        "inspect bad.llfm",
        "predict bad.llfm test.csv --output p.txt --force",
        "evaluate bad.llfm test.csv",
        "train train.csv --init-model bad.llfm --model p.txt --force",
    ] {
        let done = bench.line(line).fails(4, words);
        assert!(done.err.contains("bad.llfm: "), "{}", done.err);
    }
    assert_eq!(bench.read("p.txt"), b"precious");
}

#[test]
fn fault_27_a_truncated_file_or_a_flipped_bit() {
    let bench = Bench::with_model();
    let whole = bench.read("m.llfm");
    for length in [1, 7, 8, 9, whole.len() / 2, whole.len() - 1] {
        refused(&bench, &whole[..length], &["checksum"]);
    }
    refused(&bench, &[&whole[..], &[0]].concat(), &["checksum"]);
    for at in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refused(&bench, &flipped, &["checksum"]);
    }
}

#[test]
fn fault_28_shapes_and_offsets_that_contradict_each_other() {
    let bench = Bench::with_model();
    let (header, tensors) = parts(&bench.read("m.llfm"));
    let forged = |from: &str, to: &str| {
        assert!(header.contains(from), "{from} is not in {header}");
        seal(&header.replace(from, to), &tensors)
    };
    refused(&bench, &forged("\\\"features\\\":2", "\\\"features\\\":3"), &["anchors"]);
    let entries: Value = serde_json::from_str(&header).expect("a JSON header");
    let [begin, end] = offsets(&entries["bias"]);
    let (here, moved) =
        (format!("[{begin},{end}]"), format!("[{},{}]", begin as i64 - 4, end as i64 - 4));
    refused(&bench, &forged(&here, &moved), &["safetensors"]);
    refused(&bench, &forged(&here, &format!("[{begin},{}]", u64::MAX)), &["safetensors"]);
}

#[test]
fn fault_29_weights_that_are_not_finite() {
    let bench = Bench::with_model();
    let (header, mut tensors) = parts(&bench.read("m.llfm"));
    let entries: Value = serde_json::from_str(&header).expect("a JSON header");
    let [begin, _] = offsets(&entries["bias"]);
    for bad in [f32::NAN, f32::INFINITY] {
        tensors[begin..begin + 4].copy_from_slice(&bad.to_le_bytes());
        refused(&bench, &seal(&header, &tensors), &["bias", &bad.to_string()]);
    }
}

#[test]
fn fault_30_a_newer_format() {
    let bench = Bench::with_model();
    let (header, tensors) = parts(&bench.read("m.llfm"));
    let header = header.replace("\"format_version\":\"2\"", "\"format_version\":\"23\"");
    let words = ["format version 23 is newer than 2", "update llfm"];
    refused(&bench, &seal(&header, &tensors), &words);
}

#[test]
fn fault_31_more_features_than_the_model_knows() {
    let (sparse, _) = trained("a.svm", "1 1:1 2:3\n0 1:1\n", "");
    sparse.write("b.svm", "1 1:1 5:3 9:1\n0 3:1\n");
    let done = sparse.line("predict m.llfm b.svm").succeeds();
    let told = "3 values of features unknown to the model ignored in b.svm";
    assert_eq!((done.out.lines().count(), done.err.matches(told).count()), (2, 1), "{}", done.err);
    let dense = Bench::with_model();
    dense.write("b.csv", "east,north,west,animal\n1,2,3,cat\n");
    dense.line("predict m.llfm b.csv").fails(3, &["b.csv", "`west`", "does not know"]);
    dense.write("c.csv", "1,2,3,4,5\n");
    dense.line("predict m.llfm c.csv").fails(3, &["c.csv", "expected 2 columns", "found 5"]);
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }\n";
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend([1, 2, 3]);
    std::fs::write(dense.path("d.npy"), npy).expect("the folder is writable");
    dense.line("predict m.llfm d.npy").fails(3, &["d.npy", "expected 2 columns", "found 3"]);
    dense.write("e.csv", &clouds(3, 1));
    dense.line("predict m.llfm e.csv").succeeds();
}

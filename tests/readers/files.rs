//! What all formats share: packing, memory, names, chunks.

use std::io::Write;
use std::path::Path;

use llfm::data::{Format, Notes, ReadOptions, Reader};

use crate::{Bench, assert_data_error, cells, read_text};

const TEXT: &str = "1,2,0\n4,5.5,1\n";

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn zst(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).expect("memory")
}

#[test]
fn packed_files_unpack_by_name_or_content() {
    let plain = read_text("a.csv", TEXT).expect("rows");
    for (name, packed) in [
        ("a.csv.gz", gz(TEXT)),
        ("a.csv.xz", xz(TEXT)),
        ("a.csv.zst", zst(TEXT)),
        ("a.csv", gz(TEXT)),
    ] {
        assert_eq!(read_text(name, packed).expect(name), plain);
    }
    let members = [gz("1,2,0\n4,5."), gz("5,1\n")].concat();
    assert_eq!(read_text("a.csv.gz", members).expect("two members"), plain);
}

#[test]
fn long_lines_and_many_rows_stay_within_the_memory_allowed() {
    // Row 12.
    let mut bench = Bench::new();
    bench.options.max_memory = 400_000;
    let long = "1".repeat(200_000);
    assert_data_error(bench.read("a.csv.gz", gz(&long)), &["a.csv.gz:1", "--max-memory"]);
    let quoted = format!("1,0\n\"{}", "x\n".repeat(100_000));
    assert_data_error(bench.read("a.csv", quoted), &["--max-memory"]);
    let many = TEXT.repeat(40_000);
    assert_data_error(bench.read("a.csv", &many), &["0.4 MB", "--max-memory"]);
    let words: String = (0..8_000).map(|i| format!("{i}\tword{i}\t1\n")).collect();
    assert_data_error(bench.read("u.data", words), &["--max-memory"]);
    let pairs = "1 1:1 2:1\n".repeat(40_000);
    assert_data_error(bench.read("a.svm", pairs), &["--max-memory"]);
}

#[test]
fn formats_are_told_by_name() {
    for (name, format) in [
        ("a.libsvm", Some(Format::Libsvm)),
        ("a.svmlight.xz", Some(Format::Libsvm)),
        ("A.CSV.GZ", Some(Format::Csv)),
        ("a.tsv", Some(Format::Tsv)),
        ("a.ffm", Some(Format::Libffm)),
        ("train-images-idx3-ubyte.gz", Some(Format::Idx)),
        ("t10k-images.idx3-ubyte", Some(Format::Idx)),
        ("a.npy", Some(Format::Npy)),
        ("u.data.gz", Some(Format::Ratings)),
        ("ua.base", Some(Format::Ratings)),
        ("u5.test", Some(Format::Ratings)),
        ("ratings.dat", None),
        ("a.t", None),
        ("plain", None),
    ] {
        assert_eq!(Format::from_name(Path::new(name)), format, "{name}");
    }
}

#[test]
fn other_names_are_decided_by_content_which_is_noted() {
    for (text, said, n_columns) in [
        ("1 1:2 3:4\n", "read as libsvm", 3),
        ("-1\n1 1:2 3:4\n", "read as libsvm", 3),
        ("1 0:1:2 0:3:4\n", "read as libffm", 3),
        ("1\t2\t0\n", "read as tsv", 2),
        ("1,2,0\n", "read as csv", 2),
        ("12:30:00,2,0\n", "read as csv", 2),
        ("1 2 0\n", "read as csv", 2),
    ] {
        let mut bench = Bench::new();
        let rows = bench.read("file.txt", text).expect(text);
        assert!(bench.noted(said), "{text}");
        assert_eq!(rows.n_columns(), n_columns, "{text}");
    }
}

#[test]
fn chunks_are_the_whole_file_in_pieces() {
    let mut bench = Bench::new();
    let path = bench.file("a.csv", "c,x,label\nred,1,0\nblue,2,1\nred,3,0\nblue,4,1\ngreen,5,0\n");
    let whole = llfm::data::read(&path, &bench.options, &mut bench.notes).expect("rows");
    let mut reader =
        Reader::open(&path, &bench.options, Some(&whole.schema), true).expect("a reader");
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next(2, &mut bench.notes).expect("rows") {
        assert!(piece.n_rows() <= 2);
        pieces.extend(cells(&piece));
    }
    assert_eq!(pieces, cells(&whole));
}

#[test]
fn a_file_that_is_not_there_is_an_input_error() {
    let missing =
        llfm::data::read(Path::new("no/such.csv"), &ReadOptions::default(), &mut Notes::new());
    assert_eq!(missing.expect_err("no file").exit_code(), 6);
}

#[test]
fn the_test_script_names_the_tests_that_need_the_public_sets() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name| std::fs::read_to_string(root.join(name)).expect(name);
    assert!(read("scripts/test").contains("p;}' tests/readers/real.rs"));
    // It lists every test of that file, so each has to be one that ends where there is no folder.
    let tests = read("tests/readers/real.rs");
    let ending = "() {\n    let Some(folder) = folder() else { return };\n";
    assert_eq!(tests.matches("#[test]\nfn ").count(), tests.matches(ending).count());
}

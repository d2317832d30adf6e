//! Rows kept beside the text they were read from.

use std::path::{Path, PathBuf};

use llfm::data::{ChunkFile, ChunkWriter, NoteLevel, Notes, RawRows};

use crate::{Bench, cells, numbers};

const TEXT: &str = "a,b,label\n1,x,0\n# aside\n4,y,1\n2.5,,0\n";

fn caching() -> Bench {
    let mut bench = Bench::new();
    bench.options.cache = true;
    bench
}

fn cache_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.llfm-cache", file.display()))
}

/// Puts other rows where those of a file are kept, so that it shows where rows come from.
fn swap(file: &Path) {
    let cache = cache_of(file);
    let kept = ChunkFile::open(&cache).expect("rows are kept");
    let mut rows = kept.read(0).expect("rows");
    rows.labels = Some(llfm::data::RawLabels::Numbers(vec![7.0; rows.n_rows()]));
    let mut writer = ChunkWriter::create(&cache, file).expect("a file");
    writer.push(&rows).expect("rows");
    writer.finish(kept.key(), kept.notes()).expect("a file");
}

fn is_swapped(rows: &RawRows) -> bool {
    numbers(rows).iter().all(|&label| label == 7.0)
}

/// What is said to everyone.
fn said(notes: &Notes) -> Vec<String> {
    let said = notes.iter().filter(|note| note.level != NoteLevel::Detail);
    said.map(|note| note.to_string()).collect()
}

#[test]
fn the_second_time_rows_and_notes_come_from_the_cache() {
    let mut bench = caching();
    let first = bench.read("a.csv", TEXT).expect("rows");
    let notes = std::mem::take(&mut bench.notes);
    assert!(said(&notes).iter().any(|note| note.contains("begin with #")));
    let second = bench.read("a.csv", TEXT).expect("rows");
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert_eq!(said(&bench.notes), said(&notes));
    assert!(bench.noted("rows taken from"));
    swap(&bench.file("a.csv", TEXT));
    assert!(is_swapped(&bench.read("a.csv", TEXT).expect("rows")));
    bench.options.cache = false;
    assert!(!is_swapped(&bench.read("a.csv", TEXT).expect("rows")));
}

#[test]
fn sparse_rows_words_and_followed_schemas_are_kept_too() {
    let long: String = (0..30_000).map(|i| format!("{} {}:{i}\n", i % 7, i + 1)).collect();
    for (name, text) in [
        ("a.svm", "1 2:0.5 9:1\n0 1:3\n"),
        ("w.svm", "up 2:0.5 9:1\n3 1:3\ndown\n"),
        ("u.data", "7\t9\t3\n8\t9\t4\n"),
        ("long.svm", long.as_str()),
    ] {
        let mut bench = caching();
        let first = bench.read(name, text).expect("rows");
        assert_eq!(bench.read(name, text).expect("rows"), first, "{name}");
        assert!(bench.noted("rows taken from"), "{name}");
    }
    let mut bench = caching();
    let train = bench.read("a.csv", "a,b,label\n1,x,0\n4,y,1\n").expect("rows");
    let text = "b,a,label\nz,1,0\ny,5,1\n";
    let later = bench.follow(&train, "b.csv", text, true).expect("rows");
    assert_eq!(bench.follow(&train, "b.csv", text, true).expect("rows"), later);
    swap(&bench.file("b.csv", text));
    assert!(is_swapped(&bench.follow(&train, "b.csv", text, true).expect("rows")));
    // Other levels give the same words other codes.
    let train = bench.read("a.csv", "a,b,label\n1,y,0\n4,x,1\n").expect("rows");
    let rows = bench.follow(&train, "b.csv", text, true).expect("rows");
    assert_eq!(cells(&rows), [[1.0, 2.0], [5.0, 0.0]]);
}

#[test]
fn other_bytes_and_other_options_are_read_anew() {
    let mut bench = caching();
    for text in [TEXT.to_owned(), TEXT.replace("4,y", "5,y")] {
        let rows = bench.read("a.csv", &text).expect("rows");
        assert!(!is_swapped(&rows));
        swap(&bench.file("a.csv", &text));
    }
    bench.options.ignore = vec!["b".to_owned()];
    let rows = bench.read("a.csv", TEXT.replace("4,y", "5,y")).expect("rows");
    assert_eq!(cells(&rows), [[1.0], [5.0], [2.5]]);
    assert!(bench.noted("of another file or other flags"));
    // How much memory may be taken changes no row.
    swap(&bench.file("a.csv", TEXT.replace("4,y", "5,y")));
    bench.options.max_memory = 1_000_000;
    let rows = bench.read("a.csv", TEXT.replace("4,y", "5,y")).expect("rows");
    assert!(is_swapped(&rows));
    bench.options.max_memory = 16;
    let refused = bench.read("a.csv", TEXT.replace("4,y", "5,y"));
    crate::assert_data_error(refused, &["a.csv", "--max-memory"]);
}

#[test]
fn packed_text_is_known_by_its_packed_bytes() {
    let mut bench = caching();
    let packed = zstd::encode_all(TEXT.as_bytes(), 1).expect("bytes");
    let first = bench.read("a.csv.zst", &packed).expect("rows");
    let file = bench.file("a.csv.zst", &packed);
    swap(&file);
    assert!(is_swapped(&bench.read("a.csv.zst", &packed).expect("rows")));
    let packed = zstd::encode_all(TEXT.as_bytes(), 19).expect("bytes");
    let other = [&packed[..], &zstd::encode_all(&b""[..], 1).expect("bytes")].concat();
    let again = bench.read("a.csv.zst", other).expect("rows");
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
}

#[test]
fn fault_65_a_damaged_cache() {
    let mut bench = caching();
    let first = bench.read("a.csv", TEXT).expect("rows");
    let cache = cache_of(&bench.file("a.csv", TEXT));
    let whole = std::fs::read(&cache).expect("the cache");
    let mut changed = whole.clone();
    changed[20] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &changed, b""] {
        std::fs::write(&cache, damaged).expect("a file");
        bench.notes = Notes::new();
        let rows = bench.read("a.csv", TEXT).expect("rows");
        assert_eq!(format!("{rows:?}"), format!("{first:?}"));
        assert!(bench.noted("damaged") && bench.noted("rows kept in"), "{:?}", bench.notes);
        assert_eq!(std::fs::read(&cache).expect("the cache"), whole);
    }
}

#[test]
fn fault_65_a_cache_that_cannot_be_written() {
    let mut bench = caching();
    let cache = cache_of(&bench.file("a.csv", TEXT));
    std::fs::create_dir(cache).expect("a folder in its place");
    bench.read("a.csv", TEXT).expect("rows");
    let warnings = bench.notes.iter().filter(|note| note.level == NoteLevel::Warning);
    assert!(warnings.into_iter().any(|note| note.text.contains("--cache keeps nothing")));
}

#[test]
fn fault_65_what_is_no_cache() {
    let mut bench = caching();
    let cache = cache_of(&bench.file("a.csv", TEXT));
    std::fs::write(&cache, "my notes").expect("a file");
    bench.read("a.csv", TEXT).expect("rows");
    assert!(bench.noted("something else stands there"), "{:?}", bench.notes);
    assert_eq!(std::fs::read(&cache).expect("the file"), b"my notes");
}

#[cfg(unix)]
#[test]
fn fault_65_a_cache_that_others_could_read() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let mut bench = caching();
    let file = bench.file("a.csv", TEXT);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("rights");
    bench.read("a.csv", TEXT).expect("rows");
    let mode = std::fs::metadata(cache_of(&file)).expect("the cache").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = bench.file("b.csv", TEXT);
    let target = bench.file("target.txt", "my notes");
    symlink(&target, cache_of(&other)).expect("a link");
    bench.read("b.csv", TEXT).expect("rows");
    assert_eq!(std::fs::read(&target).expect("the file"), b"my notes");
}

#[test]
fn faults_and_arrays_are_not_kept() {
    let mut bench = caching();
    let refused = bench.read("a.csv", "1,2,0\n1,2\n");
    crate::assert_data_error(refused, &["a.csv:2"]);
    let array = crate::binary::npy(1, "<f8", false, "(2, 1)", &crate::binary::doubles(&[1.0, 2.0]));
    bench.options.labels = Some(bench.file("labels.txt", "0\n1\n"));
    bench.read("a.npy", array).expect("rows");
    assert!(bench.noted("npy is binary"));
    for name in ["a.csv", "a.npy"] {
        let file = bench.file(name, "");
        assert!(!cache_of(&file).exists());
    }
}

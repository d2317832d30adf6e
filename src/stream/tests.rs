//! Windows beside the same rows in memory.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use crate::data::{self, Missing, Notes, ReadOptions, Reader, StoredRows};
use crate::experiment::{Apart, Part, Preparation, Prepared, RawParts, StreamedParts};
use crate::model::fingerprint;
use crate::seed::Pool;
use crate::stream::Stream;
use crate::train::Units;

const ROWS: usize = 3000;

/// The least memory that windows are made for here.
const MEMORY: u64 = 60_000;

fn text(words: bool) -> String {
    let mut text = String::from("a,b,c,d,y\n");
    for i in 0..ROWS {
        let c = if words { ["red", "", "blue"][i % 3].to_owned() } else { format!("{}", i % 5) };
        let _ = writeln!(text, "{},{},{c},{},{}", i % 19, i * i % 23, i % 2, (i * 7) % 101);
    }
    text
}

/// The same rows in memory and in a file, a tenth held out to validate.
fn both(text: &str, max_memory: u64) -> (Prepared, Prepared) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, text).expect("is written");
    let options = ReadOptions::default();
    let valid: Vec<usize> = (0..ROWS).filter(|i| i % 10 == 3 || *i < 40).collect();
    let train: Vec<usize> = (0..ROWS).filter(|i| valid.binary_search(i).is_err()).collect();
    let how = Preparation {
        task: Some(data::Task::Regression),
        missing: Missing::Zero,
        max_memory,
        ..Preparation::default()
    };
    let place = || path.clone();
    let mut notes = Notes::new();
    let rows = data::read(&path, &options, &mut notes).expect("rows");
    let part = |numbers: &[usize]| Part { rows: rows.select(numbers), place: place() };
    let parts = RawParts { train: part(&train), valid: Some(part(&valid)), test: None };
    let large = Preparation { max_memory: 1 << 30, ..how.clone() };
    let memory = Prepared::new(parts, &large, &mut notes).expect("prepared");
    let mut reader = Reader::open(&path, &options, None, true).expect("a reader");
    let rows = StoredRows::spool(&mut reader, &path, folder.path(), max_memory, false, &mut notes);
    let rows = rows.expect("room on the disk");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no litter");
    let parts = StreamedParts { rows, place: place(), valid: Some(Apart::Rows(valid)), test: None };
    (memory, Prepared::streamed(parts, &how, &mut Notes::new()).expect("prepared"))
}

/// Rows of libsvm streamed, some of them held out.
fn prepared(text: &str, valid: Option<Apart>, max_memory: u64) -> crate::error::Result<Prepared> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.svm");
    std::fs::write(&path, text).expect("is written");
    let options = ReadOptions { max_memory, ..ReadOptions::default() };
    let mut reader = Reader::open(&path, &options, None, true).expect("a reader");
    let (folder, mut notes) = (folder.path(), Notes::new());
    let rows = StoredRows::spool(&mut reader, &path, folder, max_memory, false, &mut notes);
    let rows = rows.expect("room on the disk");
    let parts = StreamedParts { rows, place: path.clone(), valid, test: None };
    Prepared::streamed(parts, &Preparation { max_memory, ..Preparation::default() }, &mut notes)
}

fn stream(prepared: &Prepared) -> &Arc<Stream> {
    prepared.stream.as_ref().expect("streamed")
}

#[test]
fn windows_hold_every_chunk_once_and_no_more_than_their_share_of_memory() {
    let (_, disk) = both(&text(false), MEMORY);
    let stream = stream(&disk);
    let order: Vec<usize> = (0..stream.n_chunks()).rev().collect();
    let windows = stream.windows(&order);
    assert!(windows.len() > 3, "{windows:?}");
    for window in &windows {
        let bytes: u64 = window.iter().map(|&i| stream.bytes(i)).sum();
        assert!(bytes <= MEMORY / 3, "{bytes}");
        assert!(window.len() > 1 && window.is_sorted(), "{windows:?}");
        let rows = stream.window(window).expect("a window");
        assert!(4 * rows.features.n_stored() as u64 <= bytes);
    }
    let chunks: Vec<usize> = windows.concat();
    assert_eq!(chunks.iter().collect::<BTreeSet<_>>().len(), chunks.len());
    let rows: usize = chunks.iter().map(|&i| stream.rows.rows_in(i)).sum();
    assert_eq!(rows, stream.n_rows());
}

#[test]
fn words_that_become_many_features_are_read_in_chunks_that_windows_have_room_for() {
    let row = |i: usize| format!("w{},{}\n", i * 7 % 250, i % 101);
    let text: String = ["a,y\n".to_owned()].into_iter().chain((0..ROWS).map(row)).collect();
    let memory_allowed = 600_000;
    let (memory, disk) = both(&text, memory_allowed);
    let stream = stream(&disk);
    let mut all = stream.no_rows();
    let windows = stream.in_order();
    for window in &windows {
        let bytes: u64 = window.iter().map(|&i| stream.bytes(i)).sum();
        assert!(bytes <= memory_allowed / 3, "{bytes}");
        all.append(stream.window(window).expect("a window"));
    }
    assert!(all == memory.train && windows[0].len() > 4, "{windows:?}");
}

#[test]
fn rows_too_large_for_a_window_are_refused_with_the_memory_they_need() {
    let long: String = (1..=400).map(|j| format!(" {j}:1")).collect();
    let text = "1 1:1\n".repeat(256) + &format!("0{long}\n").repeat(8) + &"0 2:1\n".repeat(400);
    let error = prepared(&text, None, MEMORY).expect_err("seven rows are more than a window");
    let said = error.to_string();
    assert_eq!(error.exit_code(), 3);
    for word in ["rows.svm", "23 kB", "20 kB", "--max-memory", "raise it to 68 kB"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    prepared(&text, None, 80_000).expect("enough memory");
}

#[test]
fn rows_held_out_fit_memory_with_all_that_belongs_to_them() {
    let text: String = (0..ROWS).map(|i| format!("{} {}:1\n", i % 2, i % 300 + 1)).collect();
    let held = |n: usize| Some(Apart::Rows((100..100 + n).collect()));
    // 8 bytes an entry, and 24 for the offset, the target and the weight.
    let error = prepared(&text, held(2500), MEMORY).expect_err("80 kB are more than 60 kB");
    assert!(error.exit_code() == 3 && error.to_string().contains("--max-memory"), "{error}");
    prepared(&text, held(1500), MEMORY).expect("48 kB fit");
}

#[test]
fn windows_in_file_order_are_the_rows_in_memory_to_the_bit() {
    for words in [false, true] {
        let (memory, disk) = both(&text(words), MEMORY);
        assert_eq!(memory.valid, disk.valid, "the rows held out");
        assert_eq!((memory.shape(), &memory.labels), (disk.shape(), &disk.labels));
        let stream = stream(&disk);
        let mut all = stream.no_rows();
        for window in stream.in_order() {
            all.append(stream.window(&window).expect("a window"));
        }
        assert!(all == memory.train, "words: {words}");
        assert_eq!(stream.fingerprint(), fingerprint(&memory.train));
        let mine = Units::of(&memory.train.targets, None);
        assert_eq!(stream.units().scale(), mine.scale());
        assert_eq!(stream.mean(), crate::metrics::mean(&memory.train.targets));
        let some: Vec<u32> = (0..stream.n_rows() as u32).step_by(7).collect();
        assert!(stream.pick(&some).expect("rows") == memory.train.features.select(&some));
    }
}

#[test]
fn features_fit_to_one_chunk_or_many_are_the_same() {
    for words in [false, true] {
        let (memory, disk) = both(&text(words), MEMORY);
        let limited = |prepared: &Prepared| {
            let mut preprocess = prepared.preprocess.clone();
            preprocess.set_max_memory(1);
            preprocess
        };
        assert!(limited(&memory) == limited(&disk), "words: {words}");
    }
}

#[test]
fn a_folder_that_is_full_or_missing_is_named_with_the_way_out() {
    let error = StoredRows::spool(
        &mut Reader::open(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("data/banana.csv.gz"),
            &ReadOptions::default(),
            None,
            true,
        )
        .expect("a reader"),
        Path::new("banana"),
        Path::new("/nowhere/at/all"),
        1 << 20,
        false,
        &mut Notes::new(),
    )
    .expect_err("no folder");
    assert_eq!(error.exit_code(), 6);
    let text = error.to_string();
    assert!(text.contains("/nowhere/at/all") && text.contains("TMPDIR"), "{text}");
}

use std::path::{Path, PathBuf};

use super::{ChunkFile, ChunkWriter};
use crate::data::{Cells, Notes, RawLabels, RawRows, ReadOptions, Reader, read, read_with_schema};
use crate::error::{Error, Result};

/// A folder with a file of rows and the text it came from.
struct Bench {
    folder: tempfile::TempDir,
    options: ReadOptions,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, options: ReadOptions::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("the file can be written");
        self.path(name)
    }

    /// Writes a file of the rows as they are read, `at_once` a chunk.
    fn chunks(&self, path: &Path, at_once: usize) -> Result<ChunkFile> {
        let mut notes = Notes::new();
        let mut reader = Reader::open(path, &self.options, None, true)?;
        let mut writer = ChunkWriter::create(&self.path("rows"), path)?;
        while let Some(rows) = reader.next(at_once, &mut notes)? {
            writer.push(&rows)?;
        }
        writer.finish("the key", &notes)?;
        ChunkFile::open(&self.path("rows"))
    }

    /// Asserts that chunks hold what reading the whole file gives.
    fn assert_same(&self, name: &str, text: &str, at_once: usize) -> ChunkFile {
        let path = self.text(name, text);
        let mut notes = Notes::new();
        let whole = read(&path, &self.options, &mut notes).expect("rows");
        let file = self.chunks(&path, at_once).expect("a file of rows");
        assert_eq!((file.n_rows(), file.key()), (whole.n_rows(), "the key"));
        assert_eq!(file.n_chunks(), whole.n_rows().div_ceil(at_once));
        assert_eq!(file.schema(), &whole.schema);
        // Any order, any number of times.
        for i in (0..file.n_chunks()).rev().chain(0..file.n_chunks()) {
            let range: Vec<usize> = file.rows_of(i).collect();
            assert_same_rows(file.read(i).expect("a chunk"), whole.select(&range));
        }
        file
    }
}

/// NaN is not equal to itself, and the lines of labels that were numbers are not known.
fn assert_same_rows(mut found: RawRows, mut expected: RawRows) {
    let bits = |rows: &mut RawRows| match &mut rows.cells {
        Cells::Table(cells) => {
            let bits: Vec<u32> = cells.iter().map(|cell| cell.to_bits()).collect();
            cells.fill(0.0);
            bits
        }
        Cells::Sparse(_) => Vec::new(),
    };
    assert_eq!(bits(&mut found), bits(&mut expected));
    for rows in [&mut found, &mut expected] {
        if let Some(RawLabels::Words { lines, .. }) = &mut rows.labels {
            lines.clear();
        }
    }
    assert_eq!(found, expected);
}

const TABLE: &str = "a,b,label\n1,x,0\n,y,1\n3.5,x,1\n-4,z,0\n1e-40,,1\n";

#[test]
fn tables_come_back_with_missing_cells_and_levels_that_grew() {
    for at_once in [1, 2, 4, 5] {
        Bench::new().assert_same("a.csv", TABLE, at_once);
    }
}

#[test]
fn sparse_rows_come_back_with_the_features_of_the_whole_file() {
    let text = "1 2:0.5 4:1\n0\n1 1:-3\n0 9:2 12:1e-7\n";
    for at_once in [1, 3, 4] {
        Bench::new().assert_same("a.svm", text, at_once);
    }
}

#[test]
fn weights_come_back() {
    let mut bench = Bench::new();
    bench.options.weights = Some("w".to_owned());
    bench.assert_same("a.csv", "a,w,label\n1,0.5,0\n2,0,1\n3,2,1\n", 2);
}

#[test]
fn labels_that_are_words_are_numbered_in_order_over_all_chunks() {
    let text = "1,2,b\n4,5,a\n1,2,c\n4,5,b\n7,8,d\n";
    for at_once in [1, 2, 3] {
        Bench::new().assert_same("a.csv", text, at_once);
    }
}

#[test]
fn numbers_before_and_behind_the_first_word_are_names_too() {
    let text = "7 1:1\n2.50 1:2\n7 1:3\nword 1:4\n9 1:5\n2.5 1:6\n";
    for at_once in [1, 2, 5] {
        let bench = Bench::new();
        let file = bench.assert_same("a.svm", text, at_once);
        let Some(RawLabels::Words { names, lines, .. }) = file.read(0).expect("rows").labels else {
            panic!("numbers");
        };
        assert_eq!(names, ["7", "2.5", "word", "9"]);
        assert_eq!(lines[2], 4);
    }
}

#[test]
fn ratings_stay_ratings() {
    let bench = Bench::new();
    let file = bench.assert_same("u.data", "7\t9\t3\n8\t9\t4.5\n7\t8\t1\n", 2);
    assert!(matches!(file.read(0).expect("rows").labels, Some(RawLabels::Ratings(_))));
}

#[test]
fn a_part_of_rows_is_a_chunk_and_rows_need_no_labels() {
    let bench = Bench::new();
    let path = bench.text("a.csv", TABLE);
    let mut notes = Notes::new();
    let train = read(&path, &bench.options, &mut notes).expect("rows");
    let rows = read_with_schema(&path, &bench.options, &train.schema, false, &mut notes);
    let rows = rows.expect("rows");
    let mut writer = ChunkWriter::create(&bench.path("rows"), &path).expect("a file");
    writer.push_part(&rows, 0..2).expect("rows");
    writer.push_part(&rows, 2..5).expect("rows");
    notes.warn_count(3, "lines of it are odd");
    writer.finish("k", &notes).expect("a file");
    let file = ChunkFile::open(&bench.path("rows")).expect("a file of rows");
    assert_eq!(file.rows_of(1), 2..5);
    assert_same_rows(file.read(1).expect("rows"), rows.select(&[2, 3, 4]));
    assert_eq!(Vec::from_iter(file.notes().iter()), Vec::from_iter(notes.iter()));
}

#[test]
fn words_that_a_hash_forgets_stay_with_their_chunk() {
    let mut bench = Bench::new();
    bench.options.hash_bits = Some(4);
    let path = bench.text("a.csv", TABLE);
    let train = read(&path, &bench.options, &mut Notes::new()).expect("rows");
    let open = || Reader::open(&path, &bench.options, Some(&train.schema), true).expect("rows");
    let mut writer = ChunkWriter::create(&bench.path("rows"), &path).expect("a file");
    let (mut reader, mut notes) = (open(), Notes::new());
    while let Some(rows) = reader.next(2, &mut notes).expect("rows") {
        writer.push(&rows).expect("a chunk");
    }
    writer.finish("k", &notes).expect("a file");
    let file = ChunkFile::open(&bench.path("rows")).expect("a file of rows");
    let mut reader = open();
    for i in 0..file.n_chunks() {
        let rows = reader.next(2, &mut notes).expect("rows").expect("rows");
        assert_same_rows(file.read(i).expect("rows"), rows);
    }
}

#[track_caller]
fn assert_damaged<T>(result: Result<T>) {
    let error = result.err().expect("damage should be noticed");
    assert!(matches!(error, Error::Data { .. }), "{error}");
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bench = Bench::new();
    bench.assert_same("a.csv", TABLE, 2);
    let bytes = std::fs::read(bench.path("rows")).expect("a file");
    for length in 0..bytes.len() {
        std::fs::write(bench.path("rows"), &bytes[..length]).expect("a file");
        assert_damaged(ChunkFile::open(&bench.path("rows")));
    }
    std::fs::write(bench.path("rows"), TABLE.repeat(10)).expect("a file");
    assert_damaged(ChunkFile::open(&bench.path("rows")));
}

#[test]
fn a_byte_changed_anywhere_is_noticed() {
    let bench = Bench::new();
    let path = bench.text("a.csv", TABLE);
    let whole = bench.chunks(&path, 2).expect("rows");
    let read_all = |file: &ChunkFile| -> Result<Vec<RawRows>> {
        (0..file.n_chunks()).map(|i| file.read(i)).collect()
    };
    read_all(&whole).expect("rows");
    let bytes = std::fs::read(bench.path("rows")).expect("a file");
    // The mark at the beginning is for people.
    for at in super::MARK.len()..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        std::fs::write(bench.path("rows"), changed).expect("a file");
        let found = ChunkFile::open(&bench.path("rows")).and_then(|file| read_all(&file));
        assert_damaged(found);
    }
}

#[test]
fn a_file_without_rows_and_one_never_finished_leave_nothing() {
    let bench = Bench::new();
    let path = bench.path("rows");
    let writer = ChunkWriter::create(&path, Path::new("a.csv")).expect("a file");
    assert!(writer.finish("k", &Notes::new()).is_err());
    drop(ChunkWriter::create(&path, Path::new("a.csv")).expect("a file"));
    assert_eq!(std::fs::read_dir(bench.folder.path()).expect("a folder").count(), 0);
}

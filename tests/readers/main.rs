//! Reading, splitting and preprocessing data, by behaviour. Row numbers in comments are those of
//! the table in docs/faults.md, which has its tests in `tests/faults/`.

mod agreement;
mod binary;
mod cache;
mod files;
mod flags;
mod labels;
mod prepare;
mod real;
mod sparse;
mod tables;
mod threads;

use std::path::{Path, PathBuf};

use llfm::data::{
    Cells, Features, LabelMap, Notes, Preprocess, PreprocessOptions, RawLabels, RawRows,
    ReadOptions, Targets, read, read_with_schema,
};
use llfm::error::{Error, Result};

/// A folder that files are written to, and read from with one set of options.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    pub(crate) options: ReadOptions,
    pub(crate) notes: Notes,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, options: ReadOptions::default(), notes: Notes::new() }
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path
    }

    pub(crate) fn read(&mut self, name: &str, content: impl AsRef<[u8]>) -> Result<RawRows> {
        let path = self.file(name, content);
        read(&path, &self.options, &mut self.notes)
    }

    pub(crate) fn follow(
        &mut self,
        train: &RawRows,
        name: &str,
        content: impl AsRef<[u8]>,
        need_labels: bool,
    ) -> Result<RawRows> {
        let path = self.file(name, content);
        read_with_schema(&path, &self.options, &train.schema, need_labels, &mut self.notes)
    }

    pub(crate) fn noted(&self, part: &str) -> bool {
        self.notes.iter().any(|note| note.to_string().contains(part))
    }
}

/// Reads one file by itself.
pub(crate) fn read_text(name: &str, content: impl AsRef<[u8]>) -> Result<RawRows> {
    Bench::new().read(name, content)
}

/// Asserts a data error, exit code 3, whose message has all the parts.
#[track_caller]
pub(crate) fn assert_data_error<T>(result: Result<T>, parts: &[&str]) {
    let error = result.err().expect("the data should be refused");
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(matches!(error, Error::Data { .. }), "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// The cells of a table, or of sparse rows made dense.
pub(crate) fn cells(rows: &RawRows) -> Vec<Vec<f32>> {
    match &rows.cells {
        Cells::Table(cells) => cells.outer_iter().map(|row| row.to_vec()).collect(),
        Cells::Sparse(csr) => (0..csr.n_rows())
            .map(|i| {
                let mut row = vec![0.0; csr.n_cols];
                let (indices, values) = csr.row(i);
                indices.iter().zip(values).for_each(|(&j, &value)| row[j as usize] = value);
                row
            })
            .collect(),
    }
}

pub(crate) fn numbers(rows: &RawRows) -> Vec<f64> {
    match rows.labels.as_ref().expect("labels") {
        RawLabels::Numbers(values) | RawLabels::Ratings(values) => values.clone(),
        RawLabels::Words { .. } => panic!("labels are words"),
    }
}

/// Features and targets of one file, fitted on itself.
pub(crate) fn prepare(rows: RawRows) -> (Features, Targets) {
    let (place, mut notes) = (Path::new("test"), Notes::new());
    let labels = rows.labels.clone().expect("labels");
    let (_, map) = LabelMap::fit(&labels, None, None, place, &mut notes).expect("labels fit");
    let targets = map.targets(&labels, place, &mut notes).expect("targets");
    let fitted = fit(&rows, &PreprocessOptions::default());
    (fitted.apply(rows, place, &mut notes).expect("rows apply"), targets)
}

pub(crate) fn fit(rows: &RawRows, options: &PreprocessOptions) -> Preprocess {
    Preprocess::fit(rows, options, Path::new("test"), &mut Notes::new()).expect("rows fit")
}

pub(crate) fn dense(features: &Features) -> Vec<Vec<f32>> {
    match features {
        Features::Dense(cells) => cells.outer_iter().map(|row| row.to_vec()).collect(),
        Features::Sparse(_) => panic!("features are sparse"),
    }
}

//! The model file: damage and forgery are told in words; what is loaded can be saved, scores and
//! explains.
//!
//! An input that begins with `{` is a model file taken apart, as [`container`](super::container) says.

use std::path::Path;

use llfm::backend::Device;
use llfm::data::{Features, Notes, ReadOptions, Schema, read_with_schema};
use llfm::error::Error;
use llfm::explain::Explainer;
use llfm::model::{FORMAT_VERSION, Model};
use llfm::outcome::Outcome;
use llfm::predict::Scorer;

use super::container::Apart;
use super::{assert_printable, with_file};

const FILE: &str = "m.llfm";
/// Bytes that the features of a forged model may take.
const MEMORY: u64 = 1 << 22;

/// How a model file is taken apart.
pub const APART: Apart = Apart {
    entries: &["config", "labels", "preprocess", "shape", "summary", "target_scale"],
    version: FORMAT_VERSION,
};

/// Checks a model file.
pub fn file(data: &[u8]) {
    let bytes = APART.file(data);
    match Model::from_bytes(&bytes, Path::new(FILE)) {
        Ok(model) => {
            kept(&model);
            used(model);
        }
        Err(error) => assert_model_error(&error),
    }
}

fn assert_model_error(error: &Error) {
    let text = error.to_string();
    assert!(matches!(error, Error::Model { .. }) && text.starts_with(FILE), "{text}");
    assert_printable(&text);
}

/// What is saved loads, and is saved as the same bytes.
fn kept(model: &Model) {
    let path = Path::new(FILE);
    let saved = model.to_bytes(path).expect("a model that was loaded");
    let again = Model::from_bytes(&saved, path).expect("a model that was saved");
    assert!(again.to_bytes(path).expect("as before") == saved, "saved otherwise than loaded");
}

/// Reads a few rows as the model says, and predicts them.
fn used(mut model: Model) {
    model.preprocess.set_max_memory(MEMORY);
    let schema = model.preprocess.schema();
    let (name, text) = rows(schema);
    let mut notes = Notes::new();
    let options = ReadOptions { max_memory: MEMORY, ..ReadOptions::default() };
    let found = with_file(name, text.as_bytes(), |path| {
        let rows = read_with_schema(&path, &options, schema, false, &mut notes)?;
        model.preprocess.apply(rows, &path, &mut notes)
    });
    match found {
        Ok(features) => {
            scored(&model, &features);
        }
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, Error::Data { .. } | Error::Usage(_)), "{text}");
            assert_printable(&text);
        }
    }
}

/// Three rows with the columns of a schema.
fn rows(schema: &Schema) -> (&'static str, String) {
    let Schema::Table(table) = schema else {
        return ("rows.svm", "1 1:1 2:0.5\n0\n1 3:-2\n".to_owned());
    };
    if table.ratings {
        return ("u.data", "1 2 3\nu i 4\n1 i 5\n".to_owned());
    }
    let mut lines = vec![Vec::new(); 4];
    for column in &table.columns {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let name = column.name.as_deref().map_or_else(String::new, quoted);
        for (line, cell) in lines.iter_mut().zip([name.as_str(), "1", "-3e5", ""]) {
            line.push(cell.to_owned());
        }
    }
    if table.columns.iter().all(|column| column.name.is_none()) {
        lines.remove(0);
    }
    let lines = lines.iter().map(|line| line.join(",") + "\n");
    ("rows.csv", lines.collect())
}

/// Scores rows on the CPU, says what the scores mean and why they are so; returns whether no row is
/// beyond single precision.
pub fn scored(model: &Model, features: &Features) -> bool {
    let sparse = model.preprocess.is_sparse();
    let mut scorer =
        Scorer::new(&model.members, &model.config, sparse, &Device::Cpu).expect("the CPU");
    let scores = scorer.score(features).expect("the CPU").outputs;
    let n_classes = model.labels.n_classes();
    let width = model.config.loss.n_outputs(n_classes);
    assert_eq!(scores.dim(), (features.n_rows(), width));
    let outcome = Outcome::of(model);
    let mut finite = true;
    for (row, number) in scores.outer_iter().zip(1..) {
        let row = row.to_vec();
        if let Err(error) = outcome.check(&row, number, Path::new("rows.csv")) {
            assert!(error.to_string().starts_with("rows.csv: row "), "{error}");
            finite = false;
            continue;
        }
        if n_classes == 0 {
            let value = outcome.value(&row);
            let within = outcome.range.is_none_or(|(a, b)| (a..=b).contains(&value));
            assert!(value.is_finite() && within, "{value}");
            continue;
        }
        let class = outcome.class(&row) as usize;
        assert!(class < n_classes, "class {class}");
        let _ = model.labels.class_name(class);
        let Some(shares) = outcome.probabilities(&row) else { continue };
        let sum: f64 = shares.iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{shares:?} of {row:?}");
    }
    let mut explained = 0;
    let mut explainer = Explainer::new(model);
    let explain = explainer.explain(features, 3, |why| {
        let gamma: f64 = why.anchors.iter().map(|anchor| f64::from(anchor.gamma)).sum();
        let members = model.members.len() as f64;
        assert!((gamma - members).abs() < 1e-4 * members, "γ sums to {gamma} in {members} members");
        explained += 1;
        Ok(())
    });
    explain.expect("nothing refuses");
    assert_eq!(explained, features.n_rows());
    finite
}

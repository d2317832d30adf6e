//! Trains a factorization machine and a locally linear one on a real data set and compares them.
//!
//! `cargo run --release --example quickstart [banana|magic04|letter]`
//!
//! Also a tour of the library: read, split, prepare, decide, train, score, measure.

use std::path::Path;

use llfm::backend::Device;
use llfm::config::Method;
use llfm::config::defaults::{self, DataShape};
use llfm::data::{
    self, Dataset, LabelMap, Notes, Preprocess, PreprocessOptions, SplitOptions, Targets, Task,
};
use llfm::event::{EpochReport, Event, Flow};
use llfm::metrics::{self, Metrics};
use llfm::outcome::Outcome;
use llfm::predict::Scorer;
use llfm::settings::Settings;
use llfm::train::{TrainData, train};
use llfm::{Error, Result, plot};

fn main() {
    let set = std::env::args().nth(1).unwrap_or_else(|| "letter".into());
    if let Err(error) = run(&set) {
        eprintln!("quickstart: {error}");
        std::process::exit(error.exit_code().into());
    }
}

fn run(set: &str) -> Result<()> {
    let rows = Rows::read(set)?;
    let (n_train, n_test) = (rows.train.features.n_rows(), rows.test.features.n_rows());
    let (p, classes) = (rows.train.features.n_cols(), rows.labels.n_classes());
    println!("{set}: {n_train} training rows, {n_test} test rows, {p} features, {classes} classes");
    println!();
    println!("method     test accuracy   log loss   active anchors   rows/second   seconds");
    let mut curves = Vec::new();
    for (name, method) in [("fm", Method::Fm), ("llfm-jo", Method::LlfmJo)] {
        let run = Run::of(method, &rows)?;
        let last = run.epochs.last().ok_or_else(|| Error::Usage("no epochs".into()))?;
        println!(
            "{name:<10} {:>11.2} % {:>10.4} {:>16.1} {:>13.0} {:>9.2}",
            100.0 * run.test.accuracy.unwrap_or_default(),
            run.test.log_loss.unwrap_or_default(),
            last.mean_active,
            (n_train * run.epochs.len()) as f64 / run.seconds,
            run.seconds,
        );
        curves.push((name, run.epochs));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let path = folder.join(format!("quickstart-{set}.svg"));
    let lines: Vec<_> = curves.iter().map(|(name, epochs)| (*name, epochs.as_slice())).collect();
    plot::test_losses(&path, &format!("Test loss on {set}"), "log loss", &lines)?;
    let here = std::env::current_dir().unwrap_or_default();
    println!("\nlearning curves: {}", path.strip_prefix(here).unwrap_or(&path).display());
    Ok(())
}

/// A data set, split and prepared.
struct Rows {
    train: Dataset,
    test: Dataset,
    task: Task,
    labels: LabelMap,
    preprocess: Preprocess,
}

impl Rows {
    fn read(set: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/{set}.csv.gz"));
        // What reading had to guess or mend is told here; the command line prints it.
        let notes = &mut Notes::new();
        let rows = data::read(&path, &data::ReadOptions::default(), notes)?;

        // letter has a public split; the others are split by a seeded permutation.
        let split = if set == "letter" {
            [(0..15_000).collect(), vec![], (15_000..rows.n_rows()).collect()]
        } else {
            let third = SplitOptions { test_fraction: 1.0 / 3.0, valid_fraction: 0.0, seed: 0 };
            data::split_rows(rows.n_rows(), &third)?
        };
        let (train, test) = (rows.select(&split[0]), rows.select(&split[2]));

        // Classes, levels, means and deviations are those of the training rows alone.
        let missing = || Error::Usage(format!("{} has no labels", path.display()));
        let train_labels = train.labels.clone().ok_or_else(missing)?;
        let test_labels = test.labels.clone().ok_or_else(missing)?;
        let (task, labels) = LabelMap::fit(&train_labels, None, None, &path, notes)?;
        let options = PreprocessOptions {
            clip: Some(defaults::clip_of(task)),
            ..PreprocessOptions::default()
        };
        let preprocess = Preprocess::fit(&train, &options, &path, notes)?;
        let mut prepare = |rows, targets: Targets| {
            Ok::<_, Error>(Dataset {
                features: preprocess.apply(rows, &path, notes)?,
                targets,
                weights: None,
            })
        };
        let quiet = &mut Notes::new();
        Ok(Self {
            train: prepare(train, labels.targets(&train_labels, &path, quiet)?)?,
            test: prepare(test, labels.targets(&test_labels, &path, quiet)?)?,
            task,
            labels,
            preprocess,
        })
    }
}

/// What training with one method came to.
struct Run {
    epochs: Vec<EpochReport>,
    test: Metrics,
    seconds: f64,
}

impl Run {
    fn of(method: Method, rows: &Rows) -> Result<Self> {
        // Settings left out get defaults from the shape of the data.
        let settings = Settings { method: Some(method), ..Settings::default() };
        let shape = DataShape {
            rows: rows.train.features.n_rows(),
            features: rows.train.features.n_cols(),
            nonzeros: rows.train.features.n_stored(),
            sparse: rows.preprocess.is_sparse(),
            classes: rows.labels.n_classes(),
            task: rows.task,
        };
        let config = defaults::resolve(&settings, &shape)?;
        let data = TrainData {
            train: &rows.train,
            valid: None,
            test: Some(&rows.test),
            n_classes: shape.classes,
            never_seen: &rows.preprocess.never_seen(),
        };

        // Training tells what happens, and asks after each step whether to go on.
        let mut epochs = Vec::new();
        let trained = train(&data, &config, &Device::Cpu, &mut |event| {
            if let Event::Epoch(report) = event {
                epochs.push((*report).clone());
            }
            Flow::Continue
        })?;

        let mut scorer = Scorer::new(&trained.members, &config, shape.sparse, &Device::Cpu)?;
        let scores = scorer.score(&rows.test.features)?;
        let outcome =
            Outcome { loss: config.loss, target_scale: trained.target_scale, range: None };
        let test = metrics::compute(&outcome, &scores.outputs, &rows.test.targets);
        Ok(Self { epochs, test, seconds: trained.train_seconds })
    }
}

//! Rows per second of whole training epochs, at the shapes of the benchmark sets.
//!
//! `cargo bench --bench epoch`
//!
//! Rows are generated, or read where `LLFM_DATA` names the folder of the public sets. Before a shape
//! is timed a short training must bring its loss down; the losses are printed beside the times.

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use llfm::backend::{AnchorDropout, Device, StepRates, TrainRows, TrainTargets};
use llfm::config::defaults::{self, DataShape};
use llfm::config::{Method, TrainConfig};
use llfm::data::{
    self, Csr, Dataset, Features, LabelMap, Notes, Preprocess, PreprocessOptions, ReadOptions,
    Targets, Task,
};
use llfm::event::{Event, Flow};
use llfm::model::Parameters;
use llfm::settings::Settings;
use llfm::train::{TrainData, train};
use ndarray::Array2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A benchmark set: where its training rows are, and what stands in for them.
struct Set {
    name: &'static str,
    file: &'static str,
    positive: Option<&'static str>,
    /// Rows used: the first ones of a larger file.
    rows: usize,
    /// Features; users and items of one-hot ratings.
    features: [usize; 2],
    /// Classes; 2 for binary, 0 for ratings.
    classes: usize,
}

const SETS: [Set; 5] = [
    Set::classes("ijcnn1", "ijcnn1/ijcnn1.gz", 49_990, 22, 2),
    Set::classes("letter", "letter/letter.scale.gz", 15_000, 16, 26),
    Set::classes("mnist-5000", "mnist/train-images-idx3-ubyte.gz", 5_000, 784, 10),
    Set {
        positive: Some("2"),
        ..Set::classes("covtype-50000", "covtype/covtype.data.gz", 50_000, 54, 2)
    },
    Set {
        features: [943, 1_682],
        ..Set::classes("movielens", "movielens-100k/ua.base.gz", 90_570, 0, 0)
    },
];

impl Set {
    const fn classes(
        name: &'static str,
        file: &'static str,
        rows: usize,
        features: usize,
        classes: usize,
    ) -> Self {
        Self { name, file, positive: None, rows, features: [features, 0], classes }
    }

    /// The rows of the file, prepared, with the number of classes.
    fn read(&self, folder: &Path) -> llfm::Result<(Dataset, Task, usize)> {
        let (path, notes) = (folder.join(self.file), &mut Notes::new());
        let rows = data::read(&path, &ReadOptions::default(), notes)?;
        let rows = rows.select(&(0..self.rows.min(rows.n_rows())).collect::<Vec<_>>());
        let labels = rows.labels.clone().expect("the set has labels");
        let (task, map) = LabelMap::fit(&labels, None, self.positive, &path, notes)?;
        let targets = map.targets(&labels, &path, notes)?;
        let clip = Some(defaults::clip_of(task)).filter(|_| task != Task::Regression);
        let options = PreprocessOptions { clip, ..PreprocessOptions::default() };
        let preprocess = Preprocess::fit(&rows, &options, &path, notes)?;
        let features = preprocess.apply(rows, &path, notes)?;
        Ok((Dataset { features, targets, weights: None }, task, map.n_classes().max(1)))
    }

    /// Rows of the same shape with something to learn in them.
    fn generate(&self) -> (Dataset, Task, usize) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        if self.classes == 0 {
            return (ratings(self.rows, self.features, &mut random), Task::Regression, 1);
        }
        let p = self.features[0];
        let features = Array2::from_shape_simple_fn((self.rows, p), || 3.4 * unit(&mut random));
        // The class is where an angle between two sums of features points.
        let classes = features.rows().into_iter().map(|row| {
            let sum = |odd| row.iter().skip(odd).step_by(2).take(4).sum::<f32>();
            let turn = sum(1).atan2(sum(0)) / std::f32::consts::TAU + 0.5;
            ((turn * self.classes as f32) as u32).min(self.classes as u32 - 1)
        });
        let targets = Targets::Classes(classes.collect());
        let task = if self.classes == 2 { Task::Binary } else { Task::Multiclass };
        (
            Dataset { features: Features::Dense(features), targets, weights: None },
            task,
            self.classes,
        )
    }
}

/// One-hot users and items, their rating the sum of a leaning of each.
fn ratings(n: usize, [users, items]: [usize; 2], random: &mut Xoshiro256PlusPlus) -> Dataset {
    let leanings: Vec<f32> = (0..users + items).map(|_| unit(random)).collect();
    let mut rows = Csr { n_cols: users + items, offsets: vec![0], ..Csr::default() };
    let mut values = Vec::with_capacity(n);
    for _ in 0..n {
        let user = random.next_u64() as usize % users;
        let item = users + random.next_u64() as usize % items;
        rows.indices.extend([user as u32, item as u32]);
        rows.values.extend([1.0, 1.0]);
        rows.offsets.push(rows.indices.len());
        values.push((3.5 + leanings[user] + leanings[item] + unit(random)).round().clamp(1.0, 5.0));
    }
    Dataset { features: Features::Sparse(rows), targets: Targets::Values(values), weights: None }
}

/// A number from −½ to ½.
fn unit(random: &mut Xoshiro256PlusPlus) -> f32 {
    (random.next_u64() >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
}

/// Default settings of a method for the rows.
fn config_of(method: Method, rows: &Dataset, task: Task, classes: usize) -> TrainConfig {
    let features = &rows.features;
    let shape = DataShape {
        rows: features.n_rows(),
        features: features.n_cols(),
        nonzeros: features.n_stored(),
        sparse: matches!(features, Features::Sparse(_)),
        classes,
        task,
    };
    let settings = Settings { method: Some(method), epochs: Some(3), ..Settings::default() };
    defaults::resolve(&settings, &shape).expect("defaults are valid")
}

/// Trains for three epochs, whose losses must be finite and fall; the parameters, and targets in the
/// unit of training.
fn check(rows: &Dataset, config: &TrainConfig, classes: usize) -> (Parameters, Vec<f32>) {
    let data = TrainData::new(rows, classes);
    let mut losses = Vec::new();
    let trained = train(&data, config, &Device::Cpu, &mut |event| {
        if let Event::Epoch(report) = event {
            losses.push(report.train_loss);
        }
        Flow::Continue
    });
    let mut trained = trained.expect("training works");
    println!("training loss by epoch: {losses:.4?}");
    assert!(losses.iter().all(|loss| loss.is_finite()) && losses[2] < losses[0]);
    let scale = trained.target_scale;
    let values = match &rows.targets {
        Targets::Classes(_) => Vec::new(),
        Targets::Values(values) => {
            values.iter().map(|y| (y - scale.mean) / scale.deviation).collect()
        }
    };
    (trained.members.remove(0), values)
}

fn epochs(criterion: &mut Criterion) {
    let folder = std::env::var_os("LLFM_DATA").map(PathBuf::from);
    match &folder {
        Some(folder) => println!("rows of the public sets in {}", folder.display()),
        None => println!("LLFM_DATA is not set: rows are generated at the sets' shapes"),
    }
    for set in &SETS {
        let (rows, task, classes) = match &folder {
            Some(folder) => set.read(folder).expect("the set can be read"),
            None => set.generate(),
        };
        let mut group = criterion.benchmark_group(set.name);
        group.sampling_mode(SamplingMode::Flat);
        group.sample_size(10).warm_up_time(Duration::from_secs(1));
        group.measurement_time(Duration::from_secs(4));
        group.throughput(Throughput::Elements(rows.features.n_rows() as u64));
        for (name, method) in [("fm", Method::Fm), ("llfm-jo", Method::LlfmJo)] {
            let config = config_of(method, &rows, task, classes);
            let (parameters, values) = check(&rows, &config, classes);
            let targets = match &rows.targets {
                Targets::Classes(classes) => TrainTargets::Classes(classes),
                Targets::Values(_) => TrainTargets::Values(&values),
            };
            let train_rows = TrainRows { features: &rows.features, targets, weights: None };
            let mut backend =
                Device::Cpu.trainer(&parameters, &config, train_rows).expect("a backend");
            let order: Vec<u32> = (0..rows.features.n_rows() as u32).collect();
            // A step as costly as any that hardly moves: every epoch does the same work.
            let rates = StepRates {
                step: 1_000,
                rate: 1e-7,
                anchor_rate: 1e-7,
                label_smoothing: 0.0,
                anchor_dropout: AnchorDropout::default(),
            };
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    for batch in order.chunks(config.batch_size) {
                        backend.step(batch, rates).expect("a step");
                    }
                    backend.take_totals().expect("totals")
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, epochs);
criterion_main!(benches);

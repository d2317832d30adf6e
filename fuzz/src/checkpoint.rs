//! The checkpoint file: damage and forgery are told in words; what is read can be kept again, and a run
//! goes on from it or refuses it.
//!
//! An input that begins with `{` is a checkpoint taken apart, as [`container`](super::container) says.

use std::path::Path;

use llfm::backend::Device;
use llfm::checkpoint::{Checkpoint, Checkpoints, FORMAT_VERSION};
use llfm::config::{TrainConfig, defaults};
use llfm::data::{Dataset, Features, Targets, Task};
use llfm::error::Error;
use llfm::event::{Event, Flow};
use llfm::settings::Settings;
use llfm::train::{TrainData, train};
use ndarray::Array2;
use serde_json::json;

use super::assert_printable;
use super::container::Apart;

const FILE: &str = "c.safetensors";

/// How a checkpoint is taken apart.
pub const APART: Apart = Apart { entries: &["position", "run"], version: FORMAT_VERSION };

/// Steps of the run.
pub const STEPS: u64 = 2 * 2 * 3;

/// Checks a checkpoint file.
pub fn file(data: &[u8]) {
    match Checkpoint::from_bytes(&APART.file(data), Path::new(FILE)) {
        Ok(checkpoint) => {
            kept(&checkpoint);
            gone_on_with(&checkpoint);
        }
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, Error::Model { .. }) && text.starts_with(FILE), "{text}");
            assert_printable(&text);
        }
    }
}

/// What is kept again is the same.
fn kept(checkpoint: &Checkpoint) {
    let Checkpoint { run, snapshot, history } = checkpoint;
    let folder = tempfile::tempdir().expect("a folder");
    let mut checkpoints = Checkpoints::open(folder.path()).expect("the folder is ours");
    checkpoints.save(run, snapshot, history).expect("the folder is writable");
    let again = checkpoints.newest(u64::MAX).expect("what was written").expect("one").checkpoint;
    assert_eq!((&again.run, &again.history), (run, history));
    let again = again.snapshot;
    assert_eq!(again.position, snapshot.position);
    assert_eq!((again.members, again.best), (snapshot.members.clone(), snapshot.best.clone()));
    assert_eq!((again.current, again.memory), (snapshot.current.clone(), snapshot.memory.clone()));
}

/// A run of two members, two epochs of three steps each.
fn gone_on_with(checkpoint: &Checkpoint) {
    let (rows, config) = problem();
    let data = TrainData { resume: Some(&checkpoint.snapshot), ..TrainData::new(&rows, 2) };
    match train(&data, &config, &Device::Cpu, &mut |_| Flow::Continue) {
        Ok(trained) => assert!(trained.members.iter().all(|member| member.is_finite())),
        Err(error) => assert!(matches!(error, Error::Usage(_)), "{error}"),
    }
}

fn problem() -> (Dataset, TrainConfig) {
    let features = Array2::from_shape_fn((12, 2), |(i, j)| (i * (j + 3) % 7) as f32 / 3.0 - 1.0);
    let targets = Targets::Classes((0..12).map(|i| i % 2).collect());
    let rows = Dataset { features: Features::Dense(features), targets, weights: None };
    let (features, nonzeros, task) = (2, 24, Task::Binary);
    let shape =
        defaults::DataShape { rows: 12, features, nonzeros, sparse: false, classes: 2, task };
    let settings = Settings {
        anchors: Some(3),
        factors: Some(1),
        batch_size: Some(4),
        epochs: Some(2),
        ensemble: Some(2),
        ..Settings::default()
    };
    (rows, defaults::resolve(&settings, &shape).expect("sound settings"))
}

/// The run's checkpoint behind a step.
pub fn after(step: u64) -> Vec<u8> {
    let (rows, config) = problem();
    let folder = tempfile::tempdir().expect("a folder");
    let mut checkpoints = Checkpoints::open(folder.path()).expect("the folder is ours");
    let mut written = None;
    train(&TrainData::new(&rows, 2), &config, &Device::Cpu, &mut |event| match event {
        Event::Step { done, .. } if *done == step => Flow::Snapshot,
        Event::Snapshot(snapshot) => {
            let path = checkpoints.save(&json!({"seed": step}), snapshot, &[]);
            written = Some(path.expect("the folder is writable"));
            Flow::Stop
        }
        _ => Flow::Continue,
    })
    .expect("the CPU");
    std::fs::read(written.expect("such a step")).expect("it was written")
}

//! Runs that are left at a step and taken up again, beside the same runs without a break.

use llfm::backend::{Device, Memory};
use llfm::checkpoint::Checkpoints;
use llfm::config::TrainConfig;
use llfm::event::{EpochReport, Event, Flow};
use llfm::train::{TrainData, Trained, train};
use serde_json::json;

/// A run to its end, or to a step; it begins at the checkpoint in the folder, if one is there.
fn part(
    device: &Device,
    data: &TrainData<'_>,
    config: &TrainConfig,
    checkpoints: &mut Checkpoints,
    leave_at: u64,
) -> (Trained, Vec<EpochReport>) {
    let run = json!({"a": "run"});
    let found = checkpoints.newest(u64::MAX).expect("readable checkpoints");
    let mut epochs = found.as_ref().map_or_else(Vec::new, |found| {
        found.check(&run).expect("the same run");
        found.checkpoint.history.clone()
    });
    let resume = found.as_ref().map(|found| &found.checkpoint.snapshot);
    let data = TrainData { resume, ..*data };
    let trained = train(&data, config, device, &mut |event| match event {
        Event::Step { done, .. } if *done == leave_at => Flow::Snapshot,
        Event::Snapshot(snapshot) => {
            checkpoints.save(&run, snapshot, &epochs).expect("a checkpoint");
            Flow::Stop
        }
        Event::Epoch(report) => {
            // Times differ from run to run.
            epochs.push(EpochReport { seconds: 0.0, ..(*report).clone() });
            Flow::Continue
        }
        _ => Flow::Continue,
    });
    (trained.expect("it trains"), epochs)
}

/// Leaves a run at each of the steps, one after the other, and checks that it ends with the bits of a run
/// without a break.
pub(crate) fn assert_resumes(
    device: &Device,
    data: &TrainData<'_>,
    config: &TrainConfig,
    steps: &[u64],
) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut checkpoints = Checkpoints::open(folder.path()).expect("the folder is ours");
    let (whole, all_epochs) = part(device, data, config, &mut checkpoints, u64::MAX);
    assert!(!Checkpoints::are_in(folder.path()));
    for &step in steps {
        let (left, _) = part(device, data, config, &mut checkpoints, step);
        assert!(left.stopped, "{:?} at step {step}", config.method);
    }
    let at_once = tempfile::tempdir().expect("a folder");
    let mut at_once = Checkpoints::open(at_once.path()).expect("the folder is ours");
    part(device, data, config, &mut at_once, *steps.last().expect("a step"));
    assert_same(&mut checkpoints, &mut at_once);
    let (resumed, epochs) = part(device, data, config, &mut checkpoints, u64::MAX);
    assert_eq!(resumed.members, whole.members, "{:?} left at {steps:?}", config.method);
    assert_eq!(resumed.best_epochs, whole.best_epochs);
    assert_eq!((resumed.epochs_run, resumed.stopped), (whole.epochs_run, false));
    assert_eq!(epochs, all_epochs, "{:?} left at {steps:?}", config.method);
}

/// The newest checkpoints have the same numbers, also those that no parameter shows yet.
fn assert_same(one: &mut Checkpoints, other: &mut Checkpoints) {
    let [one, other] = [one, other].map(|checkpoints| {
        let found = checkpoints.newest(u64::MAX).expect("readable").expect("a checkpoint");
        found.checkpoint.snapshot
    });
    assert_eq!(one.position.steps, other.position.steps);
    assert_eq!((&one.current, &one.best), (&other.current, &other.best));
    let names = |memory: &Memory| memory.tensors.iter().map(|(name, _)| name.clone()).collect();
    let [one_names, other_names]: [Vec<String>; 2] = [names(&one.memory), names(&other.memory)];
    assert_eq!(one_names, other_names);
    assert!(one.memory == other.memory, "what backends remember");
    assert_eq!(one.position.recent, other.position.recent);
}

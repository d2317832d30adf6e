//! What is kept when a device or a read fails in the middle of a run.

use std::cell::Cell;

use super::*;
use crate::backend::{Memory, Scores, StepLoss, StepRates, Totals};
use crate::config::defaults::{self, DataShape};
use crate::data::{Features, Task};
use crate::settings::Settings;
use ndarray::Array2;

/// The CPU, until it has done a number of steps; it fails then, or diverges where that is the error.
struct Failing<'a> {
    inner: Box<dyn Backend + 'a>,
    steps: usize,
    error: fn() -> Error,
    diverged: bool,
}

impl Backend for Failing<'_> {
    fn step(&mut self, rows: &[u32], rates: StepRates) -> Result<()> {
        match self.steps.checked_sub(1).ok_or_else(self.error) {
            Ok(left) => self.steps = left,
            Err(Error::Diverged(_)) => self.diverged = true,
            Err(error) => return Err(error),
        }
        self.inner.step(rows, rates)
    }

    fn take_totals(&mut self) -> Result<Totals> {
        self.inner.take_totals()
    }

    fn score(&mut self, features: &Features) -> Result<Scores> {
        self.inner.score(features)
    }

    fn parameters(&mut self) -> Result<Parameters> {
        self.inner.parameters()
    }

    fn memory(&mut self) -> Result<Memory> {
        self.inner.memory()
    }

    fn restore(&mut self, memory: &Memory) -> Result<()> {
        self.inner.restore(memory)
    }

    fn recent_losses(&mut self) -> Vec<StepLoss> {
        let losses = self.inner.recent_losses();
        let wild = |loss| StepLoss { sum: f64::NAN, ..loss };
        if self.diverged { losses.into_iter().map(wild).collect() } else { losses }
    }
}

/// Gives every member the CPU, one of them until it fails.
struct FailingDevice {
    begun: Cell<usize>,
    failing: usize,
    steps: Option<usize>,
    error: fn() -> Error,
}

impl Trainers for FailingDevice {
    fn trainer<'a>(
        &self,
        initial: &Parameters,
        config: &TrainConfig,
        rows: TrainRows<'a>,
    ) -> Result<Box<dyn Backend + 'a>> {
        let fails = self.begun.replace(self.begun.get() + 1) == self.failing;
        let steps = if fails { self.steps.ok_or_else(self.error)? } else { usize::MAX };
        let inner = Device::Cpu.trainer(initial, config, rows)?;
        Ok(Box::new(Failing { inner, steps, error: self.error, diverged: false }))
    }
}

fn lost() -> Error {
    Error::Device("the device is lost".into())
}

/// Trains two members, 3 epochs of 4 steps each; the member `failing` fails after `steps` steps, or
/// cannot begin where they are `None`.
fn run(failing: usize, steps: Option<usize>) -> Result<Trained> {
    watched(failing, steps, lost, &mut |_| Flow::Continue)
}

fn watched(
    failing: usize,
    steps: Option<usize>,
    error: fn() -> Error,
    on_event: &mut dyn FnMut(&Event<'_>) -> Flow,
) -> Result<Trained> {
    let features = Array2::from_shape_fn((64, 2), |(i, j)| (i * (j + 3) % 17) as f32 / 8.0 - 1.0);
    let rows = Dataset {
        features: Features::Dense(features),
        targets: Targets::Classes((0..64).map(|i| i % 2).collect()),
        weights: None,
    };
    let settings = Settings {
        ensemble: Some(2),
        epochs: Some(3),
        batch_size: Some(16),
        anchors: Some(4),
        ..Settings::default()
    };
    let shape = DataShape {
        rows: 64,
        features: 2,
        nonzeros: 128,
        sparse: false,
        classes: 2,
        task: Task::Binary,
    };
    let config = defaults::resolve(&settings, &shape)?;
    let data = TrainData::new(&rows, 2);
    let device = FailingDevice { begun: Cell::new(0), failing, steps, error };
    train_on(&data, &config, &device, on_event)
}

/// What was kept: the epoch each member is from, and the epochs run, the step that failed counted.
fn kept(failing: usize, steps: Option<usize>) -> (Vec<usize>, f64) {
    let trained = run(failing, steps).expect("a failing device loses nothing");
    assert!(matches!(&trained.failed, Some(Error::Device(said)) if said == "the device is lost"));
    assert_eq!(trained.members.len(), trained.best_epochs.len());
    assert!(!trained.stopped && trained.diverged.is_none());
    (trained.best_epochs, trained.epochs_run)
}

#[test]
fn a_device_that_fails_leaves_the_last_whole_epoch() {
    assert_eq!(kept(0, Some(9)), (vec![2], 2.5));
    let (whole, cut) = (run(9, None).expect("nothing fails"), run(0, Some(12)));
    assert!(whole.failed.is_none() && whole.best_epochs == [3, 3]);
    // Its steps suffice.
    assert_eq!(cut.expect("nothing fails").members, whole.members);
}

#[test]
fn the_start_is_kept_where_there_is_nothing_better() {
    assert_eq!(kept(0, Some(2)), (vec![0], 0.75));
}

#[test]
fn earlier_members_are_kept() {
    assert_eq!(kept(1, Some(5)), (vec![3, 1], 4.5));
    assert_eq!(kept(1, Some(2)), (vec![3], 3.75));
    assert_eq!(kept(1, None), (vec![3], 3.0));
}

#[test]
fn a_member_that_diverges_in_its_first_epoch_is_left_out_unless_it_is_the_first() {
    let wild = || Error::Diverged(String::new());
    for (failing, steps, epochs) in [(0, 2, vec![0]), (1, 2, vec![3]), (1, 5, vec![3, 1])] {
        let trained = watched(failing, Some(steps), wild, &mut |_| Flow::Continue);
        let trained = trained.expect("a loss that diverges loses nothing");
        assert!(trained.diverged.is_some());
        assert_eq!((trained.members.len(), trained.best_epochs), (epochs.len(), epochs));
    }
}

#[test]
fn rows_that_cannot_be_read_after_the_first_step_leave_the_model_too() {
    let full = || Error::io("read", std::path::Path::new("rows"))(std::io::ErrorKind::Other.into());
    let run = |failing, steps, error| watched(failing, steps, error, &mut |_| Flow::Continue);
    for (failing, steps, epochs) in [(0, Some(9), vec![2]), (1, Some(5), vec![3, 1])] {
        let trained = run(failing, steps, full).expect("nothing is lost");
        assert_eq!(trained.best_epochs, epochs);
        assert_eq!(trained.failed.map(|error| error.exit_code()), Some(6));
    }
    let wrong = || Error::data(crate::error::Place::default(), "damaged");
    for (failing, steps) in [(1, None), (1, Some(0)), (0, Some(5))] {
        let trained = run(failing, steps, wrong).expect("nothing is lost");
        assert_eq!(trained.members.len(), 1);
        assert_eq!(trained.failed.map(|error| error.exit_code()), Some(3));
    }
    // Nothing was learned: an error like any other.
    assert_eq!(run(0, None, full).expect_err("there is nothing to keep").exit_code(), 6);
}

#[test]
fn a_device_that_cannot_begin_is_an_error() {
    let error = run(0, None).expect_err("there is nothing to keep");
    assert_eq!(error.exit_code(), 5);
}

#[test]
fn the_parameters_of_the_start_and_of_every_epoch_are_told() {
    let mut told = Vec::new();
    let trained = watched(9, None, lost, &mut |event| {
        if let Event::Kept { member, epoch, parameters } = event {
            told.push((*member, *epoch, (*parameters).clone()));
        }
        Flow::Continue
    })
    .expect("nothing fails");
    let places: Vec<(usize, usize)> =
        told.iter().map(|&(member, epoch, _)| (member, epoch)).collect();
    assert_eq!(places, [0, 1].map(|m| [0, 1, 2, 3].map(|e| (m, e))).concat());
    assert_ne!(told[0].2, told[1].2, "an epoch moves the parameters");
    assert_eq!([&told[3].2, &told[7].2], [&trained.members[0], &trained.members[1]]);
}

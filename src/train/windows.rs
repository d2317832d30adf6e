//! Training rows in windows: read and prepared by a thread of their own while steps are taken.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::Units;
use crate::backend::{TrainRows, TrainTargets};
use crate::config::TrainConfig;
use crate::data::{Dataset, Targets};
use crate::error::{Error, Result};
use crate::event::Flow;
use crate::random::{Generator, Purpose, stream};
use crate::schedule::shuffle;
use crate::stream::Stream;

/// The order of rows, shuffled on from epoch to epoch.
pub(super) struct Order {
    rows: Vec<u32>,
    generator: Generator,
}

impl Order {
    pub(super) fn new(config: &TrainConfig, member: usize) -> Self {
        Self { rows: Vec::new(), generator: stream(config.seed, member, Purpose::Order) }
    }

    /// Shuffles `n` rows: those of the last call where these were as many.
    pub(super) fn shuffled(&mut self, n: usize) -> &[u32] {
        if self.rows.len() != n {
            self.rows = (0..n as u32).collect();
        }
        shuffle(&mut self.rows, &mut self.generator);
        &self.rows
    }
}

/// Rows to step on, in training units.
struct Window {
    /// None in an epoch that is passed over.
    rows: Option<Arc<Dataset>>,
    n_rows: usize,
    /// Whether the epoch ends with it.
    last: bool,
}

/// The windows of a run, epoch after epoch.
pub(super) struct Windows {
    receiver: Receiver<Result<Window>>,
}

impl Windows {
    /// Starts the thread that makes one window ready while another is trained on; it ends when these
    /// windows are dropped. The first `done` epochs are to be passed over by
    /// [`skip_epoch`](Self::skip_epoch).
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        rows: &'env Stream,
        units: Units,
        config: &'env TrainConfig,
        member: usize,
        done: usize,
    ) -> Self {
        // A window is handed over when it is asked for: no third one waits in between.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || produce(rows, units, config, (member, done), &sender));
        Self { receiver }
    }

    /// Shuffles the windows of an epoch, as if its steps were taken.
    pub(super) fn skip_epoch(&mut self, order: &mut Order) -> Result<()> {
        loop {
            let window = self.receiver.recv().map_err(|_| cut_short())??;
            order.shuffled(window.n_rows);
            if window.last {
                return Ok(());
            }
        }
    }

    /// One pass over the rows: `step` gets some rows, and the numbers of those to step on.
    ///
    /// The batch that a window has no more rows for is filled up by the next one, so that there are as
    /// many steps, on as many rows each, as in memory: a short batch in between would count each of
    /// its rows for more.
    pub(super) fn epoch(
        &mut self,
        batch_size: usize,
        order: &mut Order,
        step: &mut dyn FnMut(&Dataset, &[u32]) -> Result<Flow>,
    ) -> Result<Flow> {
        let mut left: Option<Dataset> = None;
        loop {
            // The thread ends before the last epoch does only if it has sent an error.
            let window = self.receiver.recv().map_err(|_| cut_short())?;
            let Window { rows, n_rows, last } = window?;
            let rows = rows.ok_or_else(cut_short)?;
            let mut order = order.shuffled(n_rows);
            if let Some(mut first) = left.take() {
                let missing = (batch_size - first.features.n_rows()).min(order.len());
                first.append(rows.select(&order[..missing]));
                order = &order[missing..];
                if first.features.n_rows() < batch_size {
                    left = Some(first);
                } else if step(&first, &all(&first))? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            let (whole, rest) = order.split_at(order.len() / batch_size * batch_size);
            for batch in whole.chunks(batch_size) {
                if step(&rows, batch)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            if last {
                // Whatever is left over has come to its end: so has the window.
                return match left {
                    Some(left) => step(&left, &all(&left)),
                    None if rest.is_empty() => Ok(Flow::Continue),
                    None => step(&rows, rest),
                };
            }
            if !rest.is_empty() {
                left = Some(rows.select(rest));
            }
        }
    }
}

/// There is no window where the epoch has not come to its end.
fn cut_short() -> Error {
    let why = std::io::Error::other("the thread that makes them ready has ended");
    Error::io("read", Path::new("the training rows"))(why)
}

fn all(rows: &Dataset) -> Vec<u32> {
    (0..rows.features.n_rows() as u32).collect()
}

/// Sends the windows of all epochs, chunks in shuffled order, until nobody wants them any more; those of
/// the epochs that are done without their rows.
fn produce(
    rows: &Stream,
    units: Units,
    config: &TrainConfig,
    (member, done): (usize, usize),
    sender: &SyncSender<Result<Window>>,
) {
    let mut order: Vec<usize> = (0..rows.n_chunks()).collect();
    let mut generator = stream(config.seed, member, Purpose::Chunks);
    let mut only: Option<Arc<Dataset>> = None;
    for epoch in 0..config.epochs {
        rand::seq::SliceRandom::shuffle(&mut order[..], &mut generator);
        let windows = rows.windows(&order);
        for (i, chunks) in windows.iter().enumerate() {
            let window = match &only {
                _ if epoch < done => Ok(None),
                Some(rows) => Ok(Some(Arc::clone(rows))),
                None => rows.train_window(chunks, units).map(|rows| Some(Arc::new(rows))),
            };
            if let (1, Ok(rows)) = (windows.len(), &window) {
                only.clone_from(rows);
            }
            let failed = window.is_err();
            let (n_rows, last) = (rows.rows_of(chunks), i + 1 == windows.len());
            if sender.send(window.map(|rows| Window { rows, n_rows, last })).is_err() || failed {
                return;
            }
        }
    }
}

/// Rows in training units, as backends take them.
pub(super) fn train_rows(rows: &Dataset) -> TrainRows<'_> {
    let targets = match &rows.targets {
        Targets::Classes(classes) => TrainTargets::Classes(classes),
        Targets::Values(values) => TrainTargets::Values(values),
    };
    TrainRows { features: &rows.features, targets, weights: rows.weights.as_deref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults::{DataShape, resolve};
    use crate::data::{Features, Task};
    use crate::settings::Settings;
    use ndarray::Array2;

    /// Rows numbered from `first` on.
    fn window(first: usize, rows: usize, last: bool) -> Window {
        let features = Array2::from_shape_fn((rows, 1), |(i, _)| (first + i) as f32);
        let targets = Targets::Values((first..first + rows).map(|i| -(i as f32)).collect());
        let weights = Some((first..first + rows).map(|i| 0.5 * i as f32).collect());
        let rows = Dataset { features: Features::Dense(features), targets, weights };
        Window { n_rows: rows.features.n_rows(), rows: Some(Arc::new(rows)), last }
    }

    /// The rows of every step over windows of these sizes, an epoch.
    fn steps(sizes: &[usize], batch_size: usize) -> Vec<Vec<f32>> {
        let (sender, receiver) = sync_channel(sizes.len());
        let mut first = 0;
        for (i, &rows) in sizes.iter().enumerate() {
            sender.send(Ok(window(first, rows, i + 1 == sizes.len()))).expect("room");
            first += rows;
        }
        steps_over(receiver, batch_size).expect("steps")
    }

    fn steps_over(receiver: Receiver<Result<Window>>, batch_size: usize) -> Result<Vec<Vec<f32>>> {
        let (rows, features, task) = (100, 2, Task::Regression);
        let shape = DataShape { rows, features, nonzeros: 200, sparse: false, classes: 1, task };
        let config = resolve(&Settings::default(), &shape).expect("sound settings");
        let mut found = Vec::new();
        let step = &mut |window: &Dataset, rows: &[u32]| {
            let step = window.select(rows);
            let Features::Dense(cells) = &step.features else { panic!("dense rows") };
            let Targets::Values(values) = &step.targets else { panic!("values") };
            let numbers: Vec<f32> = cells.iter().copied().collect();
            let whole = numbers.iter().zip(values).all(|(x, y)| *y == -x);
            let weights = step.weights.as_ref().expect("weights");
            assert!(whole && numbers.iter().zip(weights).all(|(x, w)| *w == 0.5 * x));
            found.push(numbers);
            Ok(Flow::Continue)
        };
        Windows { receiver }.epoch(batch_size, &mut Order::new(&config, 0), step)?;
        Ok(found)
    }

    #[test]
    fn windows_that_end_before_the_last_one_are_an_error() {
        let (sender, receiver) = sync_channel(2);
        for first in [0, 10] {
            sender.send(Ok(window(first, 10, false))).expect("room");
        }
        drop(sender);
        let error = steps_over(receiver, 4).expect_err("half an epoch is none");
        assert!(error.exit_code() == 6 && error.to_string().contains("training rows"), "{error}");
    }

    #[test]
    fn windows_take_as_many_steps_of_as_many_rows_as_memory() {
        for sizes in [&[10, 7, 3, 12][..], &[2, 1, 1, 2], &[32], &[8, 8], &[1], &[5, 1, 30]] {
            for batch_size in [1, 4, 8, 50] {
                let found = steps(sizes, batch_size);
                let n: usize = sizes.iter().sum();
                assert_eq!(found.len(), n.div_ceil(batch_size), "{sizes:?} by {batch_size}");
                let whole = &found[..found.len() - 1];
                assert!(whole.iter().all(|rows| rows.len() == batch_size), "{found:?}");
                let mut seen: Vec<f32> = found.concat();
                seen.sort_by(f32::total_cmp);
                let all: Vec<f32> = (0..n).map(|i| i as f32).collect();
                assert_eq!(seen, all, "{sizes:?} by {batch_size}");
            }
        }
    }
}

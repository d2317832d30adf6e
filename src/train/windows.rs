//! Training rows in windows: read and prepared by a thread of their own while steps are taken.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::Units;
use crate::backend::{TrainRows, TrainTargets};
use crate::config::TrainConfig;
use crate::data::{Dataset, Targets};
use crate::error::Result;
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
    rows: Arc<Dataset>,
    /// Whether the epoch ends with it.
    last: bool,
}

/// The windows of a run, epoch after epoch.
pub(super) struct Windows {
    receiver: Receiver<Result<Window>>,
}

impl Windows {
    /// Starts the thread that makes one window ready while another is trained on; it ends when these
    /// windows are dropped.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        rows: &'env Stream,
        units: Units,
        config: &'env TrainConfig,
        member: usize,
    ) -> Self {
        // A window is handed over when it is asked for: no third one waits in between.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || produce(rows, units, config, member, &sender));
        Self { receiver }
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
        // The thread ends before the last epoch does only if it has sent an error.
        while let Ok(window) = self.receiver.recv() {
            let Window { rows, last } = window?;
            let mut order = order.shuffled(rows.features.n_rows());
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
            if !rest.is_empty() {
                left = Some(rows.select(rest));
            }
            if last {
                break;
            }
        }
        left.map_or(Ok(Flow::Continue), |rest| step(&rest, &all(&rest)))
    }
}

fn all(rows: &Dataset) -> Vec<u32> {
    (0..rows.features.n_rows() as u32).collect()
}

/// Sends the windows of all epochs, chunks in shuffled order, until nobody wants them any more.
fn produce(
    rows: &Stream,
    units: Units,
    config: &TrainConfig,
    member: usize,
    sender: &SyncSender<Result<Window>>,
) {
    let mut order: Vec<usize> = (0..rows.n_chunks()).collect();
    let mut generator = stream(config.seed, member, Purpose::Chunks);
    let mut only: Option<Arc<Dataset>> = None;
    for _ in 0..config.epochs {
        rand::seq::SliceRandom::shuffle(&mut order[..], &mut generator);
        let windows = rows.windows(&order);
        for (i, chunks) in windows.iter().enumerate() {
            let window = match &only {
                Some(rows) => Ok(Arc::clone(rows)),
                None => rows.train_window(chunks, units).map(Arc::new),
            };
            if let (1, Ok(rows)) = (windows.len(), &window) {
                only = Some(Arc::clone(rows));
            }
            let failed = window.is_err();
            let last = i + 1 == windows.len();
            if sender.send(window.map(|rows| Window { rows, last })).is_err() || failed {
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

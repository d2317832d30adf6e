//! The rows that are tuned on: read, and divided.

use llfm::Result;
use llfm::backend::Device;
use llfm::config::defaults::DataShape;
use llfm::data::{LabelMap, Notes, SplitOptions, Task};
use llfm::experiment::{Part, Preparation, Prepared};
use llfm::tune::Splits;
use llfm::tune::trial::{Bench, Setup};

use super::{Division, TuningArgs};
use crate::cli::args::PartArgs;
use crate::cli::load::{Source, read_parts};

/// The rows as read and divided, and the shape of those that the first split trains on.
pub(super) struct Read {
    pub(super) rows: Part,
    pub(super) valid: Option<Part>,
    pub(super) splits: Splits,
    pub(super) setup: Setup,
    pub(super) shape: DataShape,
}

impl Read {
    pub(super) fn new(args: &TuningArgs, division: Division, notes: &mut Notes) -> Result<Self> {
        // Divided here, and not while reading.
        let whole = PartArgs { valid_fraction: 0.0, ..args.parts.clone() };
        let source = Source {
            data: &args.data,
            parts: &whole,
            read: &args.read,
            prepare: &args.prepare,
            task: args.settings.task.flatten(),
            stream: false,
            may_stream: false,
            talk: &args.talk,
        };
        let read = read_parts(source, None, notes)?;
        let (rows, valid) = (read.train, read.valid);
        let how = source.preparation();
        let labels = rows.labels()?;
        let (task, map) =
            LabelMap::fit(labels, how.task, how.positive.as_deref(), &rows.place, notes)?;
        let targets = map.targets(labels, &rows.place, notes)?;
        // Part of the rows could suggest another task.
        // The names of classes are known beforehand; the range of values is learned.
        let classes = (task != Task::Regression).then_some(map);
        let preparation = Preparation { task: Some(task), classes, ..how };
        let setup = Setup { preparation, settings: args.settings.clone() };
        let Division { folds, valid_fraction, split_seed, repeats } = division;
        let options = SplitOptions { test_fraction: 0.0, valid_fraction, seed: split_seed };
        let repeats = usize::from(repeats);
        let splits = Splits::new(&targets, folds, repeats, options, &rows.place, notes)?;
        let bench = Bench {
            rows: &rows,
            valid: valid.as_ref(),
            device: &Device::Cpu,
            check: &|_, _| Ok(()),
        };
        let shape =
            Prepared::new(bench.parts(&splits.split((0, 0))?), &setup.preparation, notes)?.shape();
        Ok(Self { rows, valid, splits, setup, shape })
    }
}

/// How many fits there is memory for: each has its rows as read and as encoded.
pub(super) fn fits_in(limit: u64, shape: &DataShape, rows: &Part) -> usize {
    let entry = if shape.sparse { 8.0 } else { 4.0 };
    let all = rows.rows.n_rows() as f64 / shape.rows.max(1) as f64;
    let bytes = 2.0 * entry * shape.nonzeros as f64 * all;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rough count")]
    let fits = (limit as f64 / bytes.max(1.0)) as usize;
    fits.max(1)
}

//! The runs of one set: rows prepared for each, every contender trained and measured.

use std::time::Instant;

use llfm::backend::Device;
use llfm::data::{self, Notes, RawRows, ReadOptions, SplitOptions};
use llfm::event::{Event, Flow};
use llfm::experiment::{Measured, Part, Preparation, Prepared, RawParts};
use llfm::predict::Scorer;
use llfm::{Error, Result};
use ndarray::Array2;

use super::args::ReproduceArgs;
use super::files::Found;
use super::origin::{Origin, settings_of};
use super::presets::Preset;
use super::record::{Contender, Record};
use super::sets::{Source, Split};
use crate::cli::console::{Console, complain, show_warnings};
use crate::cli::memory::{check_training, default_limit};
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;

/// Scorings whose median is the test time.
const SCORINGS: usize = 7;

/// A set in memory.
pub(super) struct Rows<'a> {
    found: &'a Found,
    train: Part,
    test: Option<Part>,
    /// Rows as last prepared, with the run and the preset's wishes they are for.
    prepared: Option<(Option<u64>, Preparation, Prepared)>,
}

/// A run and what only the pictures want.
pub(super) struct Finished {
    pub(super) record: Record,
    pub(super) measured: Measured,
    /// The anchors at the start and after each epoch, where they were asked for `[m, p]`.
    pub(super) anchors: Vec<Array2<f32>>,
}

/// What all runs share.
pub(super) struct Trainer<'a> {
    pub(super) args: &'a ReproduceArgs,
    pub(super) device: &'a Device,
    pub(super) signals: &'a Signals,
}

impl<'a> Rows<'a> {
    /// Reads the files of a set.
    pub(super) fn read(found: &'a Found, quiet: bool) -> Result<Self> {
        let mut notes = Notes::new();
        let rows = Self::read_with(found, &mut notes);
        show_warnings(&mut notes, quiet);
        rows
    }

    fn read_with(found: &'a Found, notes: &mut Notes) -> Result<Self> {
        let layout = found.layout;
        let mut train = read_source(found, &layout.train, None, notes)?;
        let mut test = None;
        if let Some(source) = &layout.test {
            test = Some(read_source(found, source, Some(&train.rows), notes)?);
        }
        if let Split::Behind(n) = layout.split {
            let all: Vec<usize> = (0..train.rows.n_rows()).collect();
            if n >= all.len() {
                let place = llfm::error::Place::file(&train.place);
                let text = format!("expected more than {n} rows, found {}", all.len());
                return Err(Error::data(place, text));
            }
            let (first, rest) = all.split_at(n);
            test = Some(Part { rows: train.rows.select(rest), place: train.place.clone() });
            train.rows = train.rows.select(first);
        }
        Ok(Self { found, train, test, prepared: None })
    }

    /// The rows of a run, prepared as a preset wants them.
    pub(super) fn prepared(&mut self, run: u64, preset: &Preset, quiet: bool) -> Result<&Prepared> {
        let drawn = matches!(self.found.layout.split, Split::Drawn { .. });
        let run = drawn.then_some(run);
        let how = Preparation {
            positive: self.found.set.positive.map(str::to_owned),
            scale: preset.scale,
            clip: preset.clip,
            max_memory: default_limit(),
            ..Preparation::default()
        };
        let ready = matches!(&self.prepared, Some((r, h, _)) if (*r, h) == (run, &how));
        if !ready {
            // Only one at a time is in memory.
            let quiet = quiet || self.prepared.take().is_some();
            let mut notes = Notes::new();
            let rows = Prepared::new(self.parts(run)?, &how, &mut notes)?;
            show_warnings(&mut notes, quiet);
            self.prepared = Some((run, how, rows));
        }
        Ok(&self.prepared.as_ref().expect("prepared above").2)
    }

    fn parts(&self, split_seed: Option<u64>) -> Result<RawParts> {
        let (Some(seed), Split::Drawn { test, of }) = (split_seed, self.found.layout.split) else {
            return Ok(RawParts {
                train: self.train.clone(),
                valid: None,
                test: self.test.clone(),
            });
        };
        let test_fraction = test as f64 / of as f64;
        let options = SplitOptions { test_fraction, valid_fraction: 0.0, seed };
        let [train, _, test] = data::split_rows(self.train.rows.n_rows(), &options)?;
        let part = |rows: &[usize]| Part {
            rows: self.train.rows.select(rows),
            place: self.train.place.clone(),
        };
        Ok(RawParts { train: part(&train), valid: None, test: Some(part(&test)) })
    }
}

fn read_source(
    found: &Found,
    source: &Source,
    like: Option<&RawRows>,
    notes: &mut Notes,
) -> Result<Part> {
    let (place, labels) = found.paths(source);
    let options = ReadOptions {
        format: Some(found.layout.format),
        labels,
        max_memory: default_limit(),
        ..ReadOptions::default()
    };
    let rows = match like {
        None => data::read(&place, &options, notes)?,
        Some(train) => data::read_with_schema(&place, &options, &train.schema, true, notes)?,
    };
    Ok(Part { rows, place })
}

impl Trainer<'_> {
    /// Trains and measures a contender once.
    pub(super) fn run(
        &self,
        rows: &Prepared,
        found: &Found,
        contender: Contender,
        run: u64,
        preset: &Preset,
    ) -> Result<Finished> {
        let (set, shape) = (found.set.name, rows.shape());
        let config = settings_of(self.args, preset, contender, run, &shape)?;
        check_training(&config, &shape, rows.bytes(), default_limit())?;
        self.device.check_model(&config, &shape)?;
        let mut progress = Progress::new(&self.args.talk, &config);
        progress.only_bar(self.args.talk.verbose);
        let mut console = Console::new(true);
        let mut anchors = Vec::new();
        // Large anchors nobody draws.
        let drawn = shape.features == 2;
        let trained = rows.fit(&config, self.device, &mut |event| {
            if let (Event::Kept { member: 0, parameters, .. }, true) = (event, drawn) {
                anchors.push(parameters.anchors.clone());
            }
            let _ = progress.show(event, &mut console);
            match self.signals.received() {
                Some(_) => Flow::Stop,
                None => Flow::Continue,
            }
        });
        progress.finish();
        let trained = trained?;
        self.signals.check()?;
        if let Some(error) = trained.failed {
            return Err(error);
        }
        if let (Some(advice), false) = (&trained.diverged, self.args.talk.quiet) {
            complain("warning", &format!("{set}, {}, run {run}: {advice}", contender.title()));
        }
        let measured = rows.measure(&config, &trained, self.device)?;
        let losses = progress.epochs.iter().filter(|epoch| epoch.member == 0);
        let metrics = |part: &str| measured.model.summary.metrics[part].clone();
        let test = rows.test.as_ref().expect("every set has test rows");
        let record = Record {
            set: set.to_owned(),
            contender,
            run,
            rows: [shape.rows, test.features.n_rows()],
            train: metrics("train"),
            test: metrics("test"),
            test_losses: losses.map(|e| e.test_loss.filter(|x| x.is_finite())).collect(),
            mean_active: measured.model.summary.mean_active,
            train_seconds: trained.train_seconds,
            test_seconds: self.test_seconds(rows, &measured)?,
            diverged: trained.diverged,
            data: Origin::of(found, preset),
            files_differ: found.files_differ(),
            shape,
            settings: config,
        };
        self.signals.check()?;
        Ok(Finished { record, measured, anchors })
    }

    /// Median time to score the test rows, after once for the caches.
    fn test_seconds(&self, rows: &Prepared, measured: &Measured) -> Result<f64> {
        let model = &measured.model;
        let sparse = rows.preprocess.is_sparse();
        let mut scorer = Scorer::new(&model.members, &model.config, sparse, self.device)?;
        let test = rows.test.as_ref().expect("every set has test rows");
        scorer.score(&test.features)?;
        let mut seconds = Vec::with_capacity(SCORINGS);
        for _ in 0..SCORINGS {
            let start = Instant::now();
            scorer.score(&test.features)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[SCORINGS / 2])
    }
}

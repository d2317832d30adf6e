//! One point tried: trained on each split, and measured on the rows held out.

use std::collections::BTreeMap;
use std::time::Instant;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Estimate, Split, Splits};
use crate::backend::Device;
use crate::config::defaults::{self, DataShape};
use crate::config::{TrainConfig, name_of};
use crate::data::Notes;
use crate::error::{Error, Result};
use crate::event::{Event, Flow};
use crate::experiment::{Part, Preparation, Prepared, RawParts};
use crate::metrics::{EvalMetric, Metrics};
use crate::settings::Settings;

/// Whether settings may be trained on data of a shape; refused settings fail their trial.
pub type Check<'a> = dyn Fn(&TrainConfig, &DataShape) -> Result<()> + Sync + 'a;

/// What trials share: rows, and what computes.
pub struct Bench<'a> {
    /// The rows that splits divide.
    pub rows: &'a Part,
    /// Validation rows of a file of their own, in place of each split's.
    pub valid: Option<&'a Part>,
    /// What computes.
    pub device: &'a Device,
    /// Looks at the settings before training.
    pub check: &'a Check<'a>,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From raw rows to features and targets.
    pub preparation: Preparation,
    /// Of the model and its training.
    pub settings: Settings,
}

/// What came of one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Of the rows that are held out, or else of the validation rows.
    pub metrics: Metrics,
    /// Training rows.
    pub rows: usize,
    /// Epoch that was kept, the mean over the members of an ensemble.
    pub epochs: f64,
    /// Seconds it took, preparation and measuring included.
    pub seconds: f64,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has a score.
    Ok,
    /// The loss of a split diverged.
    Diverged,
    /// The settings exclude each other, or do not fit the data.
    Failed,
}

/// What came of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the point, from 1.
    pub trial: usize,
    /// Rung of successive halving, from 1.
    pub rung: usize,
    /// The settings tried, as flags take them.
    pub settings: IndexMap<String, String>,
    /// How it ended.
    pub status: Status,
    /// Why it has no score.
    pub message: Option<String>,
    /// The metric that decides, where the trial is ok.
    pub score: Option<Estimate>,
    /// Every metric of the rows that measure, where the trial is ok.
    pub metrics: BTreeMap<String, Estimate>,
    /// Epoch that was kept, the mean over the fits.
    pub epochs: Option<f64>,
    /// Seconds it took.
    pub seconds: f64,
}

impl Bench<'_> {
    /// Trains and measures on one split; `None` where `watch` said stop.
    ///
    /// # Errors
    /// Settings and rows that do not fit, [`Error::Diverged`], a device that fails.
    pub fn fit(
        &self,
        split: &Split,
        setup: &Setup,
        watch: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Option<Fit>> {
        let start = Instant::now();
        let mut prepared = Prepared::new(self.parts(split), &setup.preparation, &mut Notes::new())?;
        let shape = prepared.shape();
        let mut config = defaults::resolve(&setup.settings, &shape)?;
        config.seed = config.seed.wrapping_add(split.repeat as u64);
        (self.check)(&config, &shape)?;
        // Nothing asks for the loss of these rows after each epoch.
        let held = prepared.test.take();
        let trained = prepared.fit(&config, self.device, watch)?;
        if trained.stopped {
            return Ok(None);
        }
        if let Some(error) = trained.failed {
            return Err(error);
        }
        if let Some(advice) = trained.diverged {
            return Err(Error::Diverged(advice));
        }
        let measures = if held.is_some() { "test" } else { "valid" };
        prepared.test = held;
        let mut summary = prepared.measure(&config, &trained, self.device)?.model.summary;
        let kept: usize = trained.best_epochs.iter().sum();
        Ok(Some(Fit {
            metrics: summary.metrics.remove(measures).unwrap_or_default(),
            rows: shape.rows,
            epochs: kept as f64 / trained.best_epochs.len().max(1) as f64,
            seconds: start.elapsed().as_secs_f64(),
        }))
    }

    /// The rows of a split, copied: preparing them consumes them.
    pub fn parts(&self, split: &Split) -> RawParts {
        let part = |rows: &Vec<usize>| {
            (!rows.is_empty())
                .then(|| Part { rows: self.rows.rows.select(rows), place: self.rows.place.clone() })
        };
        RawParts {
            train: Part {
                rows: self.rows.rows.select(&split.train),
                place: self.rows.place.clone(),
            },
            valid: part(&split.valid).or_else(|| self.valid.cloned()),
            test: part(&split.held),
        }
    }

    /// Tries a point on every split; `None` where `watch` said stop.
    ///
    /// Settings that exclude each other or do not fit the data, and a loss that diverges, are a bad
    /// trial and no error.
    ///
    /// # Errors
    /// What would end every trial: a device that fails, files that cannot be read.
    pub fn try_point(
        &self,
        (trial, rung): (usize, usize),
        settings: IndexMap<String, String>,
        setup: Result<Setup>,
        splits: &Splits,
        metric: EvalMetric,
        watch: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Option<Trial>> {
        let start = Instant::now();
        let fits = setup.and_then(|setup| self.fit_all(splits, &setup, watch));
        let mut done = Trial {
            trial,
            rung,
            settings,
            status: Status::Ok,
            message: None,
            score: None,
            metrics: BTreeMap::new(),
            epochs: None,
            seconds: 0.0,
        };
        match fits {
            Ok(None) => return Ok(None),
            Ok(Some(fits)) => done.measured(&fits, metric),
            Err(Error::Diverged(advice)) => done.end(Status::Diverged, advice),
            Err(error @ (Error::Usage(_) | Error::Data { .. })) => {
                done.end(Status::Failed, error.to_string());
            }
            Err(error) => return Err(error),
        }
        done.seconds = start.elapsed().as_secs_f64();
        Ok(Some(done))
    }

    fn fit_all(
        &self,
        splits: &Splits,
        setup: &Setup,
        watch: &mut dyn FnMut(&Event<'_>) -> Flow,
    ) -> Result<Option<Vec<Fit>>> {
        splits.turns().map(|turn| self.fit(&splits.split(turn)?, setup, watch)).collect()
    }
}

impl Trial {
    fn end(&mut self, status: Status, message: String) {
        self.status = status;
        self.message = Some(message);
    }

    fn measured(&mut self, fits: &[Fit], metric: EvalMetric) {
        let values: Option<Vec<f64>> =
            fits.iter().map(|fit| metric.of(&fit.metrics).filter(|x| x.is_finite())).collect();
        let Some(score) = values.and_then(|values| Estimate::of(&values)) else {
            let message = format!("the metric {} has no value", name_of(metric));
            return self.end(Status::Failed, message);
        };
        let metrics: Vec<Metrics> = fits.iter().map(|fit| fit.metrics.clone()).collect();
        self.score = Some(score);
        self.metrics = Estimate::of_all(&metrics);
        self.epochs = Some(fits.iter().map(|fit| fit.epochs).sum::<f64>() / fits.len() as f64);
    }
}

//! What a run came to, and what the runs of a method come to together.

use llfm::config::defaults::DataShape;
use llfm::config::{Method, TrainConfig, name_of};
use llfm::metrics::Metrics;
use llfm::tune::Estimate;
use serde::{Deserialize, Serialize};

use super::args::PresetName;
use super::origin::Origin;
use super::published::{Figures, Published};
use super::sets::Set;

/// A method, alone or averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contender {
    pub(super) method: Method,
    /// Models averaged; 1: one model.
    pub(super) ensemble: usize,
}

impl Contender {
    /// As the papers' tables abbreviate it.
    pub(super) fn title(self) -> String {
        let method = match self.method {
            Method::Fm => "FM",
            Method::LlfmDo => "DO",
            Method::LlfmApl => "APL",
            Method::LlfmJo => "JO",
        };
        if self.ensemble > 1 { format!("{method} × {}", self.ensemble) } else { method.into() }
    }
}

/// One run: a line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) set: String,
    #[serde(flatten)]
    pub(super) contender: Contender,
    /// Number of the run: seed of the split and of the training.
    pub(super) run: u64,
    /// Training and test rows.
    pub(super) rows: [usize; 2],
    pub(super) train: Metrics,
    pub(super) test: Metrics,
    /// Test loss after each epoch, of the first member; absent where it was not finite.
    pub(super) test_losses: Vec<Option<f64>>,
    /// Mean number of active anchors of a training row.
    pub(super) mean_active: f64,
    pub(super) train_seconds: f64,
    /// Median time to score the test rows.
    pub(super) test_seconds: f64,
    /// What training said when the loss diverged.
    pub(super) diverged: Option<String>,
    /// The data it was trained on.
    pub(super) data: Origin,
    /// Files that are not the published ones.
    pub(super) files_differ: Vec<String>,
    /// What the defaults saw of the training rows.
    pub(super) shape: DataShape,
    /// Every setting as it was decided.
    pub(super) settings: TrainConfig,
}

impl Record {
    /// 1.3·(k + m/(C(d + 2))): k local models a row, and its distances to m anchors, which cost what one
    /// channel of one factor does, beside one model of C channels with d factors and two numbers more;
    /// and a margin of 30 %.
    fn test_time_bound(&self) -> f64 {
        let TrainConfig { anchors, factors, loss, .. } = self.settings;
        let local_model = loss.n_outputs(self.shape.classes) * (factors + 2);
        1.3 * (self.mean_active + anchors as f64 / local_model as f64)
    }
}

/// An [`Estimate`] as the tables show it: a single run, and some published figures, have no deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Absent for a single run.
    pub(super) sd: Option<f64>,
}

impl Spread {
    /// Of all values; nothing where one is missing.
    pub(super) fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
        let Estimate { mean, sd } = Estimate::of(&values)?;
        Some(Self { mean, sd: (values.len() > 1).then_some(sd) })
    }
}

/// A set and method over its runs: a `cell` event.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cell {
    pub(super) event: &'static str,
    pub(super) set: &'static str,
    pub(super) method: String,
    pub(super) preset: PresetName,
    pub(super) runs: usize,
    pub(super) ensemble: usize,
    /// Epochs where the command line overruled the preset.
    pub(super) epochs: Option<u32>,
    pub(super) train_rows: usize,
    pub(super) test_rows: usize,
    /// Files that are not the published ones.
    pub(super) files_differ: Vec<String>,
    /// What the losses are.
    pub(super) loss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rmse: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) train_rmse: Option<Spread>,
    pub(super) train_loss: Option<Spread>,
    pub(super) test_loss: Option<Spread>,
    /// −log of the probability of the class, on the test rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_loss: Option<Spread>,
    /// Time to score the test rows, over FM's in the same run; null without FM.
    pub(super) test_time_ratio: Option<f64>,
    pub(super) test_time_ratio_sd: Option<f64>,
    /// What that ratio may be by the count of operations, for a single llfm-jo; null for the others.
    pub(super) test_time_bound: Option<f64>,
    pub(super) mean_active: f64,
    pub(super) mean_active_sd: Option<f64>,
    pub(super) train_seconds: f64,
    pub(super) test_seconds: f64,
    /// Runs whose loss diverged; their figures are of the last epoch before.
    pub(super) diverged: usize,
    /// The papers' figures; null for an ensemble.
    pub(super) paper: Option<Figures>,
    pub(super) draft: Option<Figures>,
    #[serde(skip)]
    pub(super) contender: Contender,
}

impl Cell {
    /// Sums up the runs of a contender on a set; nothing where there are none.
    pub(super) fn of(
        set: &'static Set,
        contender: Contender,
        all: &[Record],
        (preset, epochs): (PresetName, Option<u32>),
        published: &Published,
    ) -> Option<Self> {
        let here = || all.iter().filter(|record| record.set == set.name);
        let mine: Vec<&Record> = here().filter(|record| record.contender == contender).collect();
        let first = mine.first()?;
        let spread = |value: &dyn Fn(&Record) -> Option<f64>| {
            Spread::of(mine.iter().map(|record| value(record)))
        };
        let finite = |x: f64| Some(x).filter(|x| x.is_finite());
        let fm = Contender { method: Method::Fm, ensemble: 1 };
        let ratio = spread(&|record| {
            let fm = here().find(|other| other.run == record.run && other.contender == fm)?;
            Some(record.test_seconds / fm.test_seconds)
        });
        let mean =
            |value: &dyn Fn(&Record) -> f64| spread(&|r| Some(value(r))).map_or(0.0, |s| s.mean);
        let active = spread(&|record| Some(record.mean_active));
        let figures = |source: &str| {
            let found = published.of(set.name, contender.method);
            found.into_iter().find(|found| found.source == source && contender.ensemble == 1)
        };
        Some(Self {
            event: "cell",
            set: set.name,
            method: name_of(contender.method),
            preset,
            runs: mine.len(),
            ensemble: contender.ensemble,
            epochs,
            train_rows: first.rows[0],
            test_rows: first.rows[1],
            files_differ: first.files_differ.clone(),
            loss: name_of(first.settings.loss),
            accuracy: spread(&|record| record.test.accuracy),
            rmse: spread(&|record| record.test.rmse),
            train_rmse: spread(&|record| record.train.rmse),
            train_loss: spread(&|record| finite(record.train.loss)),
            test_loss: spread(&|record| finite(record.test.loss)),
            log_loss: spread(&|record| record.test.log_loss),
            test_time_ratio: ratio.map(|ratio| ratio.mean),
            test_time_ratio_sd: ratio.and_then(|ratio| ratio.sd),
            test_time_bound: (contender == Contender { method: Method::LlfmJo, ensemble: 1 })
                .then(|| mean(&|record| record.test_time_bound())),
            mean_active: active.map_or(0.0, |active| active.mean),
            mean_active_sd: active.and_then(|active| active.sd),
            train_seconds: mean(&|record| record.train_seconds),
            test_seconds: mean(&|record| record.test_seconds),
            diverged: mine.iter().filter(|record| record.diverged.is_some()).count(),
            paper: figures("paper"),
            draft: figures("draft"),
            contender,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_sample_deviation() {
        let spread = Spread::of([1.0, 2.0, 3.0].map(Some));
        assert_eq!(spread, Some(Spread { mean: 2.0, sd: Some(1.0) }));
        assert_eq!(Spread::of([Some(4.0)]), Some(Spread { mean: 4.0, sd: None }));
        assert_eq!(Spread::of([Some(4.0), None]), None);
        assert_eq!(Spread::of([]), None);
    }
}

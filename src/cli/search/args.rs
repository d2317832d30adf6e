//! The flags of `llfm search`, and what they come to.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use llfm::config::Method;
use llfm::metrics::EvalMetric;
use llfm::settings::Settings;
use llfm::tune::halving::Halving;
use llfm::tune::space::{self, Dimension, Point, Values};
use llfm::{Error, Result};

use super::Plan;
use crate::cli::console::complain;
use crate::cli::outputs::{self, Output};
use crate::cli::train::check_settings;
use crate::cli::tuning::tried::{self, Tried};
use crate::cli::tuning::{Division, TuningArgs, with_ending};

/// Fraction of the rows that measure where nothing else is asked for.
const VALID_FRACTION: f64 = 0.2;

/// Search settings: train with each, measure on rows held out, keep the best.
///
/// A grid tries every combination of the values listed; --random N draws N points from lists and ranges.
/// A point is measured by --eval-metric on --valid-fraction of the rows (as with `llfm train`, the best epoch
/// counts), or with --folds on each fold in turn (which chooses no epoch), every point on the same
/// rows. A trial that diverges, or whose settings exclude each other, is a bad trial and not the end. The best
/// settings go to a file that `llfm train --config` takes. Test rows are never looked at: those of
/// --test-fraction, which are the ones `llfm train` would cut off, are left out.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub(crate) struct SearchArgs {
    /// TOML file with a table [grid] or [random] of what to try, and flags as keys beside it
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, help_heading = "Tuning")]
    pub(super) space: Option<PathBuf>,
    /// Values of a setting, by its flag's name; `;` parts values that have commas. Repeat it for each
    /// setting
    #[arg(long, value_name = "KEY=V,V,…", help_heading = "Tuning", value_parser = tried::grid)]
    pub(super) grid: Vec<Dimension>,
    /// Points to draw at random, seeded by --seed, in place of every combination
    #[arg(long, value_name = "N", help_heading = "Tuning",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) random: Option<u32>,
    /// Range of a setting to draw from, both ends included; `:log` draws its logarithm evenly. Repeat it
    /// for each setting
    #[arg(long, value_name = "KEY=LO..HI[:log]", help_heading = "Tuning",
        value_parser = tried::range)]
    pub(super) range: Vec<Dimension>,
    /// Measure by cross-validation with K folds [default: --valid-fraction 0.2]
    #[arg(long, value_name = "K", conflicts_with = "valid", help_heading = "Tuning")]
    pub(super) folds: Option<usize>,
    /// Successive halving: of each rung the best 1/ETA go on, for ETA times the epochs
    #[arg(long, value_name = "ETA", help_heading = "Tuning")]
    pub(super) halving: Option<usize>,
    /// Epochs of the first rung of --halving [default: epochs/ETA², rounded up]
    #[arg(long, value_name = "E", requires = "halving", help_heading = "Tuning")]
    pub(super) min_epochs: Option<usize>,
    /// File to write the best settings to [default: NAME.best.toml where --output NAME is given]
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, help_heading = "Tuning")]
    pub(super) best: Option<PathBuf>,
    /// Try only every N-th point, beginning with the I-th, into NAME.I-of-N.jsonl and .csv; once all
    /// shards are done, --resume without --shard collects them. Not with --halving, whose rungs
    /// compare all points
    #[arg(
        long,
        value_name = "I/N",
        requires = "output",
        conflicts_with = "best",
        help_heading = "Tuning"
    )]
    pub(super) shard: Option<Shard>,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

const EXAMPLES: &str = "\
Examples:
  llfm search letter.libsvm --grid anchors=20,50,100 --grid factors=4,10 --output letter
      six trials; letter.csv and letter.jsonl have a row each, letter.best.toml the best settings
  llfm search data.csv --random 40 --range learning-rate=1e-3..1e-1:log --range anchors=5..100 \\
      --folds 5 --eval-metric accuracy --halving 3 --output tuned
      forty points, most of them only for a few epochs; ended early, the same with --resume goes on
  llfm search data.csv --space space.toml --output tuned --shard 1/4
      a quarter of the points of a file, the other quarters on other machines:
        epochs = 20
        [random]
        trials = 100
        learning-rate = \"1e-3..1e-1:log\"
        method = [\"llfm-apl\", \"llfm-jo\"]
  llfm train data.csv --config tuned.best.toml --model tuned.llfm
      the best settings, trained on all rows";

/// Refuses settings that exclude each other, or what fm has no use for where the method is searched.
pub(super) fn check_point(tried: &Tried, point: &Point) -> Result<()> {
    let searched = point.iter().any(|(key, _)| key == "method");
    check_settings(&tried.settings).map_err(|error| match error {
        Error::Usage(message) if searched && is_refused_by_fm(&tried.settings) => {
            Error::Usage(format!(
                "{message}, or make two searches: one of the other methods with it, one of fm without"
            ))
        }
        error => error,
    })
}

/// Whether other methods would take the settings of an fm.
fn is_refused_by_fm(settings: &Settings) -> bool {
    let other = Settings { method: None, ..settings.clone() };
    settings.method == Some(Method::Fm) && check_settings(&other).is_ok()
}

/// Which points are tried here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shard {
    number: usize,
    of: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let shard = parsed.filter(|&(number, of)| (1..=of).contains(&number) && of <= 10_000);
        let shard = shard.map(|(number, of)| Self { number, of });
        shard.ok_or_else(|| "expected I/N with I from 1 to N, such as 1/4".into())
    }
}

impl Shard {
    /// Whether it has a trial, counted from 1.
    pub(super) fn has(self, trial: usize) -> bool {
        (trial - 1) % self.of == self.number - 1
    }

    fn ending(self) -> String {
        format!(".{}-of-{}", self.number, self.of)
    }
}

impl Division {
    /// Whether rows choose the epoch that counts.
    pub(super) fn chooses_epochs(self, args: &SearchArgs) -> bool {
        args.tuning.parts.valid.is_some() || self.valid_fraction > 0.0
    }
}

impl SearchArgs {
    /// Refuses what cannot be meant, and decides what to try.
    pub(super) fn check(&self) -> Result<Plan> {
        let parts = &self.tuning.parts;
        if parts.test.is_some() {
            return Err(Error::Usage(
                "llfm search never looks at test rows, or they would be chosen by: leave out --test, and \
                 measure the best settings by llfm train --config FILE --test"
                    .into(),
            ));
        }
        // Not by the parser: a settings file's halving would give way to --shard, silently.
        if self.halving.is_some() && self.shard.is_some() {
            return Err(Error::Usage(
                "--halving compares all points of a rung, of which --shard has a part: leave out one of \
                 them"
                    .into(),
            ));
        }
        let unsaid = parts.valid_fraction == 0.0 && self.folds.is_none() && parts.valid.is_none();
        let valid_fraction = if unsaid { VALID_FRACTION } else { parts.valid_fraction };
        let division = Division {
            folds: self.folds,
            valid_fraction,
            split_seed: parts.split_seed,
            repeats: self.tuning.repeats,
        };
        self.check_patience(&self.tuning.settings, division)?;
        let best = self.best_path();
        let files = [self.journal(), self.csv()];
        let mut all: Vec<Output<'_>> =
            files.iter().flatten().map(|path| ("--output", path.as_path())).collect();
        // A shard chooses nothing.
        let best = best.as_deref().filter(|_| self.shard.is_none());
        all.extend(best.map(|path| ("--best", path)));
        self.tuning.check(&all)?;
        if let (Some(best), Some(space)) = (best, &self.space) {
            outputs::check(&[("--best", best)], &[space], true)?;
        }
        let points = self.points()?;
        if self.random.is_some_and(|n| points.len() < n as usize) && !self.tuning.talk.quiet {
            complain("note", &format!("the space has only {} different points", points.len()));
        }
        Ok(Plan { division, metric: self.metric(), points })
    }

    /// Refuses a patience with no validation rows to wait for.
    pub(super) fn check_patience(&self, settings: &Settings, division: Division) -> Result<()> {
        match settings.patience {
            Some(patience) if !division.chooses_epochs(self) => Err(Error::Usage(format!(
                "--patience {patience} needs validation rows, and a fold is only measured: leave it out, \
                 or --folds, or have --valid-fraction hold out a part of the rows that train"
            ))),
            _ => Ok(()),
        }
    }

    /// The number that decides.
    fn metric(&self) -> EvalMetric {
        self.tuning.settings.eval_metric.unwrap_or_default()
    }

    /// The settings that points are laid over.
    pub(super) fn base(&self) -> Tried {
        let TuningArgs { prepare, settings, .. } = &self.tuning;
        Tried { prepare: prepare.clone(), settings: settings.clone() }
    }

    /// The points, every value of which makes settings by itself.
    fn points(&self) -> Result<Vec<Point>> {
        let space: Vec<Dimension> = self.grid.iter().chain(&self.range).cloned().collect();
        if space.is_empty() {
            return Err(Error::Usage(
                "nothing to search: list values by --grid KEY=V,V, give ranges by --range KEY=LO..HI with \
                 --random N, or name a file by --space"
                    .into(),
            ));
        }
        let has = |key: &str| space.iter().any(|dimension| dimension.key == key);
        if has("loss") && self.metric() == EvalMetric::Loss {
            return Err(Error::Usage(
                "the loss cannot compare one loss with another: choose an --eval-metric".into(),
            ));
        }
        if has("epochs") && self.halving.is_some() {
            return Err(Error::Usage(
                "--halving gives each rung its epochs: leave `epochs` out of what is searched"
                    .into(),
            ));
        }
        let base = self.base();
        for dimension in &space {
            for value in dimension.examples() {
                let point = vec![(dimension.key.clone(), value)];
                check_point(&base.with(&point)?, &point)?;
            }
        }
        match self.random {
            Some(n) => space::draw(&space, n as usize, self.tuning.settings.seed.unwrap_or(0)),
            None => space::grid(&space),
        }
    }

    /// The journal, that of the shard where there is one.
    pub(super) fn journal(&self) -> Option<PathBuf> {
        self.file(".jsonl")
    }

    pub(super) fn csv(&self) -> Option<PathBuf> {
        self.file(".csv")
    }

    fn file(&self, ending: &str) -> Option<PathBuf> {
        let shard = self.shard.map_or_else(String::new, Shard::ending);
        self.tuning.named(&format!("{shard}{ending}"))
    }

    /// The file of the best settings.
    pub(super) fn best_path(&self) -> Option<PathBuf> {
        self.best.clone().or_else(|| self.tuning.named(".best.toml"))
    }

    /// The journals of shards beside that of the whole.
    pub(super) fn shard_journals(&self) -> Vec<PathBuf> {
        let Some(name) = self.tuning.output.as_deref().filter(|_| self.shard.is_none()) else {
            return Vec::new();
        };
        let folder = name.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = with_ending(Path::new(name.file_name().unwrap_or_default()), ".");
        let prefix = prefix.to_string_lossy();
        let is_shard = |file: &str| {
            let shard = file.strip_prefix(&*prefix)?.strip_suffix(".jsonl")?.replace("-of-", "/");
            shard.parse::<Shard>().ok()
        };
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| is_shard(&entry.file_name().to_string_lossy()).is_some())
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    }

    /// The settings searched, in the order of the columns.
    pub(super) fn keys(&self) -> Vec<String> {
        let keys = self.grid.iter().chain(&self.range).map(|dimension| dimension.key.clone());
        keys.chain(self.halving.map(|_| "epochs".into())).collect()
    }

    /// The space as flags write it.
    pub(super) fn space_text(&self) -> Vec<String> {
        let text = |dimension: &Dimension| match &dimension.values {
            Values::List(values) => format!("{}={}", dimension.key, values.join(";")),
            Values::Range { min, max, log, .. } => {
                let log = if *log { ":log" } else { "" };
                format!("{}={min}..{max}{log}", dimension.key)
            }
        };
        self.grid.iter().chain(&self.range).map(text).collect()
    }

    /// The halving asked for, where all epochs are these.
    pub(super) fn halving(&self, epochs: usize) -> Option<Halving> {
        let eta = self.halving?;
        let square = eta.saturating_mul(eta).max(1);
        Some(Halving { eta, min_epochs: self.min_epochs.unwrap_or(epochs.div_ceil(square)) })
    }
}

//! The flags of `llfm reproduce`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use llfm::config::Method;
use serde::Serialize;

use super::sets::Set;
use crate::cli::args::{RunArgs, TalkArgs};

/// Check the published results: train every method on the papers' sets, and compare.
///
/// Each SET is read, standardised and split as in the papers: a third of the rows is tested on,
/// drawn by the number of the run, where there is no public split. Every method trains once a run; the
/// tables have mean ± deviation over the runs, with the published figures beside them. Files that are
/// missing are named before anything is trained, with where to get them.
///
/// SETs: banana, magic04, letter (in data/ of a checkout), ijcnn1, mnist, covtype, movielens,
/// netflix5k5k.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReproduceArgs {
    /// Sets to train on [default: all whose files are there]
    #[arg(value_name = "SET")]
    pub(super) sets: Vec<String>,
    /// Folder of the public files, each in a folder called like its set (movielens-100k)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) data: Option<PathBuf>,
    /// Methods, comma-separated [default: all four]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) methods: Option<Vec<Method>>,
    /// Settings to train with
    #[arg(long, value_enum, default_value = "best")]
    pub(super) preset: PresetName,
    /// Runs of each method, seeded 0, 1, …; SET=N for a set of its own, as in 5,mnist=2
    #[arg(long, value_name = "N", default_value = "5", value_parser = parse_runs)]
    pub(super) runs: Runs,
    /// Average E models of llfm-jo as well
    #[arg(long, value_name = "E", value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub(super) ensemble: Option<u16>,
    /// Train for N epochs whatever the preset says, for a quick look; the results say so
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) epochs: Option<u32>,
    /// Folder to write tables, figures and the journal of the runs to
    #[arg(long, short, value_name = "DIR", default_value = "reproduction",
        value_hint = ValueHint::DirPath)]
    pub(super) output: PathBuf,
    /// Replace the results in an output folder that exists
    #[arg(long, conflicts_with = "resume")]
    pub(super) force: bool,
    /// Go on with an output folder: runs in its journal are not done again
    #[arg(long)]
    pub(super) resume: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

/// How many runs: for all sets, and for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runs {
    all: u64,
    of: Vec<(&'static str, u64)>,
}

impl Runs {
    /// The sets that have a number of their own.
    pub(super) fn named(&self) -> impl Iterator<Item = &'static str> {
        self.of.iter().map(|(name, _)| *name)
    }

    /// Runs of a set.
    pub(super) fn of(&self, set: &str) -> u64 {
        self.of.iter().find(|(name, _)| *name == set).map_or(self.all, |(_, runs)| *runs)
    }
}

fn parse_runs(text: &str) -> Result<Runs, String> {
    let (mut runs, mut all_told) = (Runs { all: 5, of: Vec::new() }, false);
    let twice = |what: &str| format!("two numbers for {what}: leave one out");
    for part in text.split(',') {
        let (set, number) =
            part.split_once('=').map_or((None, part), |(set, number)| (Some(set), number));
        let number = number.parse().ok().filter(|n| (1..=1000).contains(n));
        let number = number.ok_or_else(|| {
            format!("expected a number from 1 to 1000, or SET=N as in mnist=2, found `{part}`")
        })?;
        match set {
            None if std::mem::replace(&mut all_told, true) => return Err(twice("all sets")),
            None => runs.all = number,
            Some(set) => {
                let set = Set::named(set).map_err(|error| error.to_string())?;
                if runs.of.iter().any(|(name, _)| *name == set.name) {
                    return Err(twice(set.name));
                }
                runs.of.push((set.name, number));
            }
        }
    }
    Ok(runs)
}

/// Which settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PresetName {
    /// The papers' own loop: SGD, a row at a time, with their settings
    Paper,
    /// The settings we recommend
    Best,
}

const EXAMPLES: &str = "\
Examples:
  llfm reproduce banana magic04 letter
      the sets of a checkout, four methods, five runs
  llfm reproduce --data sets --ensemble 4 --runs 5,mnist=2,covtype=2 > results.md
      every set whose files are in sets/, with averages of four models; the large ones twice
  llfm reproduce letter --methods fm,llfm-jo --preset paper --runs 1 --json
      the paper's loop, once; JSON Lines
  llfm reproduce --data sets --resume
      go on after an interrupt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_a_number_for_all_sets_and_numbers_for_some() {
        let runs = parse_runs("3,MNIST=1,movielens-100k=2").expect("runs");
        let of = ["banana", "mnist", "movielens"].map(|set| runs.of(set));
        assert_eq!(of, [3, 1, 2]);
        assert_eq!(parse_runs("covtype=4").map(|runs| runs.of("letter")), Ok(5));
    }

    #[test]
    fn runs_of_no_set_and_no_number_are_refused() {
        for (text, part) in [
            ("0", "`0`"),
            ("1001", "1 to 1000"),
            ("mnist", "`mnist`"),
            ("mnst=2", "`mnst`"),
            ("5,3", "all sets"),
            ("mnist=1,mnist=2", "for mnist"),
            ("", "``"),
        ] {
            let message = parse_runs(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

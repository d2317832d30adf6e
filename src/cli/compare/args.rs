//! The flags of `llfm compare`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use llfm::backend::Placement;
use llfm::settings::Settings;

use crate::cli::args::{PartArgs, PrepareArgs, ReadArgs, RunArgs, TalkArgs};

/// Compare a GPU with the CPU: kernels, steps, and a whole run.
///
/// Every kernel of a training step gets the same numbers as its twin on the CPU; 20 steps are taken
/// from the same parameters on both; both train a whole model and measure it, on the test rows where
/// there are any. Kernels and steps are compared for every method, or for the one that --method
/// names; the run for that one, or llfm-jo. The largest error of each is printed beside its tolerance;
/// exit code 1 beyond it. Always takes a GPU, software included.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    /// Training rows, as `llfm train` takes them [default: two small generated sets, dense and
    /// sparse]
    #[arg(value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) parts: PartArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// TOML file with flags as keys (`batch-size = 64`); the command line wins
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Where the training rows lie in the steps and the whole run
    #[arg(long, value_enum, default_value = "auto", help_heading = "Run")]
    pub(crate) data_placement: Placement,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  llfm compare
      whether this machine's GPU computes what the CPU does, on generated rows
  llfm compare letter.libsvm --test letter.t.libsvm --epochs 3
      the same on your rows; the whole run has three epochs
  llfm compare data.csv --method llfm-apl --optimizer sgd --device gpu:llvmpipe --json
      one method, other settings, a chosen adapter; one JSON object a line";

//! The flags of `--checkpoint`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

/// Where a run is kept while it lasts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct CheckpointArgs {
    /// Folder to keep the run in while it lasts, as checkpoints: the two newest are there, each whole and
    /// about four times as large as the model; the disk needs room for a third. SIGINT, SIGTERM and SIGHUP
    /// write one more in place of the model so far, and end the run. Model and optimizer take up to three
    /// times the memory of a run without
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// How often: every N epochs, or every N minutes as Nmin, such as 0.5min [default: 10min]
    #[arg(long, value_name = "N|Nmin", value_parser = every)]
    pub(crate) checkpoint_every: Option<Every>,
    /// Go on from the newest checkpoint in the folder of --checkpoint, to the same model as without a break.
    /// Rows and settings have to be those of the run, whose outputs are replaced; without a checkpoint the run
    /// starts afresh, and replaces nothing. Excludes --force
    #[arg(long, conflicts_with = "force")]
    pub(crate) resume: bool,
}

/// How often a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Every {
    Epochs(usize),
    Time(Duration),
}

fn every(text: &str) -> std::result::Result<Every, String> {
    let wrong = || "expected epochs as N, or minutes as Nmin, above 0".to_owned();
    let Some(minutes) = text.strip_suffix("min") else {
        let epochs = text.parse().ok().filter(|&epochs| epochs > 0);
        return epochs.map(Every::Epochs).ok_or_else(wrong);
    };
    let minutes = minutes.trim_end().parse().ok().filter(|minutes: &f64| *minutes > 0.0);
    let time = minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
    time.map(Every::Time).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_minutes_are_told_apart() {
        assert_eq!(every("3"), Ok(Every::Epochs(3)));
        assert_eq!(every("1.5min"), Ok(Every::Time(Duration::from_secs(90))));
        assert_eq!(every("2 min"), Ok(Every::Time(Duration::from_secs(120))));
        for text in ["", "0", "-1", "0min", "-1min", "min", "5s", "1e300min", "nanmin", "1.5"] {
            assert!(every(text).is_err(), "{text}");
        }
    }
}

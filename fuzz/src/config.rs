//! `--config FILE.toml` of `llfm train`, and `--space FILE.toml` of a search: faults are told with
//! their line, what is taken is a command line that the flags' own parser takes.
//!
//! The first byte of an input tells which (`s`: a space), the rest is the file. The modules are those
//! of the command: no user of the library needs them.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches, value_parser};
use llfm::Error;
use llfm::config::defaults::{self, DataShape};
use llfm::data::Task;
use llfm::settings::Settings;
use llfm::tune::space::{self, Dimension};

use super::{assert_printable, with_file};

#[path = "../../src/cli/args.rs"]
#[allow(dead_code, reason = "the command has more subcommands")]
mod args;
#[path = "../../src/cli/config_file.rs"]
mod config_file;
#[path = "../../src/cli/memory.rs"]
#[allow(dead_code, reason = "args.rs needs one of its functions")]
mod memory;
#[path = "../../src/cli/space_file.rs"]
mod space_file;

const FILE: &str = "c.toml";
/// The seed of the command line, which no file overrules.
const SEED: u64 = 9;

/// Checks a file of settings.
pub fn file(data: &[u8]) {
    match data.split_first() {
        Some((b's', text)) => with_file(FILE, text, |path| searched(path.into())),
        Some((_, text)) => with_file(FILE, text, |path| trained(path.into())),
        None => {}
    }
}

fn trained(file: OsString) {
    let train = args::TrainArgs::augment_args(Command::new("train"));
    let flags = ["data.csv", "--seed", "9", "--config"].map(OsString::from);
    let Some(found) = parsed(train, flags.into_iter().chain([file])) else { return };
    let args = args::TrainArgs::from_arg_matches(&found).expect("the parser took it");
    assert_eq!(args.settings.seed, Some(SEED), "the command line wins");
    for (task, classes) in [(Task::Binary, 2), (Task::Multiclass, 3), (Task::Regression, 1)] {
        for sparse in [false, true] {
            let (rows, features, nonzeros) = (1000, 8, 8000);
            let shape = DataShape { rows, features, nonzeros, sparse, classes, task };
            resolved(&args.settings, &shape);
        }
    }
}

/// What is decided is valid, and the model file keeps it.
fn resolved(settings: &Settings, shape: &DataShape) {
    match defaults::resolve(settings, shape) {
        Ok(config) => {
            config.check().expect("it was checked");
            let text = serde_json::to_string(&config).expect("settings are numbers and names");
            let back = serde_json::from_str(&text).expect("as written");
            assert_eq!(config, back);
        }
        Err(error) => {
            assert!(matches!(&error, Error::Usage(text) if text.contains("--")), "{error}");
        }
    }
}

fn searched(file: OsString) {
    let repeated = |name| Arg::new(name).long(name).action(ArgAction::Append);
    let search = Settings::augment_args(Command::new("search"))
        .args(["grid", "range"].map(repeated))
        .arg(Arg::new("random").long("random").value_parser(value_parser!(usize)))
        .arg(Arg::new("space").long("space").value_parser(value_parser!(std::path::PathBuf)))
        .arg(Arg::new("data").required(true));
    let Some(found) = parsed(search, ["data.csv".into(), "--space".into(), file].into_iter())
    else {
        return;
    };
    let values = |name: &str| found.get_many::<String>(name).into_iter().flatten();
    let lists = values("grid").map(|text| Dimension::list(text));
    let ranges = values("range").map(|text| Dimension::range(text, |key| key == "anchors"));
    let Ok(dimensions) = lists.chain(ranges).collect::<Result<Vec<_>, _>>() else { return };
    for dimension in &dimensions {
        assert!(!dimension.examples().is_empty());
    }
    let points = match found.get_one::<usize>("random") {
        Some(&trials) => space::draw(&dimensions, trials.min(20), SEED),
        // Combinations multiply.
        None if dimensions.len() < 4 => space::grid(&dimensions),
        None => return,
    };
    for point in points.into_iter().flatten() {
        assert!(point.iter().all(|(key, value)| !key.is_empty() && !value.is_empty()), "{point:?}");
    }
}

/// The flags of the file and of the command line; none where they are refused.
fn parsed(command: Command, flags: impl Iterator<Item = OsString>) -> Option<clap::ArgMatches> {
    let name = OsString::from(command.get_name());
    let command = Command::new("llfm").subcommand(command);
    let argv = ["llfm".into(), name].into_iter().chain(flags).collect();
    match config_file::parse(command, argv) {
        Ok(Ok(mut found)) => found.remove_subcommand().map(|(_, found)| found),
        Ok(Err(error)) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            assert!(!asked, "a file asks for no help");
            None
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(FILE) && matches!(error.exit_code(), 2 | 6), "{text}");
            assert_printable(&text);
            None
        }
    }
}

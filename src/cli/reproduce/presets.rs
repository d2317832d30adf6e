//! The settings each set and method is trained with: TOML files that `llfm train --config` takes too.

use llfm::config::{Method, name_of};
use llfm::data::Scale;
use llfm::settings::Settings;
use llfm::{Error, Result};
use serde::Deserialize;
use toml::{Table, Value};

use super::args::PresetName;

/// A preset's settings, and how it wants rows prepared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preset {
    pub(super) settings: Settings,
    pub(super) scale: Option<Scale>,
    pub(super) clip: Option<f32>,
}

/// Keys of `llfm train` about rows rather than models.
#[derive(Debug, Default, Deserialize)]
struct Rows {
    scale: Option<Scale>,
    clip: Option<f32>,
}

/// Embeds the files of a preset: of each set the general one, and those of its exceptions.
macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../presets/", $folder, "/", $name, ".toml")))),+]
    };
}

const PAPER: &[(&str, &str)] = files!("paper":
    "banana", "banana.fm", "banana.llfm-do",
    "magic04", "magic04.fm", "magic04.llfm-do",
    "ijcnn1", "ijcnn1.fm", "ijcnn1.llfm-do",
    "letter", "letter.fm", "letter.llfm-do",
    "mnist", "mnist.fm", "mnist.llfm-do",
    "covtype", "covtype.fm", "covtype.llfm-do",
    "movielens", "movielens.fm", "movielens.llfm-do", "movielens.llfm-apl",
    "netflix5k5k", "netflix5k5k.fm", "netflix5k5k.llfm-do", "netflix5k5k.llfm-apl",
);

const BEST: &[(&str, &str)] = files!("best":
    "banana", "banana.fm", "banana.llfm-jo", "magic04", "magic04.fm", "magic04.llfm-jo",
    "ijcnn1", "ijcnn1.llfm-jo", "letter", "letter.fm", "letter.llfm-jo",
    "mnist", "mnist.fm", "mnist.llfm-jo", "covtype", "covtype.llfm-jo",
    "movielens", "movielens.fm", "movielens.llfm-jo", "netflix5k5k", "netflix5k5k.fm", "netflix5k5k.llfm-jo",
);

impl Preset {
    /// The settings of a set and method: its own file, else that of the set.
    ///
    /// # Errors
    /// [`Error::Usage`] for a file that cannot be understood, naming it.
    pub(super) fn of(name: PresetName, set: &str, method: Method) -> Result<Self> {
        let (folder, files) = match name {
            PresetName::Paper => ("paper", PAPER),
            PresetName::Best => ("best", BEST),
        };
        let own = format!("{set}.{}", name_of(method));
        let file = |wanted: &str| files.iter().find(|(file, _)| *file == wanted);
        let Some((file, text)) = file(&own).or_else(|| file(set)) else {
            return Err(Error::Usage(format!("there is no preset {folder}/{set}.toml")));
        };
        let fault =
            |error: toml::de::Error| Error::Usage(format!("presets/{folder}/{file}.toml: {error}"));
        let mut table: Table = toml::from_str(text).map_err(fault)?;
        let keys = ["scale", "clip"].into_iter();
        let rows: Table = keys.filter_map(|key| table.remove_entry(key)).collect();
        let Rows { scale, clip } = Value::Table(rows).try_into().map_err(fault)?;
        let settings: Settings = Value::Table(table).try_into().map_err(fault)?;
        let settings = Settings { method: Some(method), ..settings };
        Ok(Self { settings, scale, clip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reproduce::sets::SETS;
    use clap::ValueEnum;
    use llfm::config::defaults::{DataShape, resolve};
    use llfm::config::{Optimizer, Schedule};
    use llfm::data::Task;

    fn every(name: PresetName) -> impl Iterator<Item = (&'static str, Method, Preset)> {
        let methods = Method::value_variants();
        let pairs = SETS.iter().flat_map(|set| methods.iter().map(|&method| (set.name, method)));
        pairs.map(move |(set, method)| {
            (set, method, Preset::of(name, set, method).expect("a preset"))
        })
    }

    fn shape(set: &str) -> DataShape {
        let (classes, task) = match set {
            "letter" | "mnist" => (10, Task::Multiclass),
            "movielens" | "netflix5k5k" => (1, Task::Regression),
            _ => (2, Task::Binary),
        };
        DataShape { rows: 1000, features: 20, nonzeros: 20_000, sparse: false, classes, task }
    }

    #[test]
    fn every_preset_resolves() {
        for name in [PresetName::Paper, PresetName::Best] {
            for (set, method, preset) in every(name) {
                let config = resolve(&preset.settings, &shape(set));
                assert!(config.is_ok(), "{name:?} {set} {method:?}: {config:?}");
            }
        }
    }

    #[test]
    fn the_papers_preset_is_the_papers_loop() {
        for (set, method, preset) in every(PresetName::Paper) {
            let config = resolve(&preset.settings, &shape(set)).expect("it resolves");
            assert_eq!((config.batch_size, config.optimizer), (1, Optimizer::Sgd), "{set}");
            assert_eq!((config.schedule, config.t0), (Schedule::Inverse, 1e5), "{set}");
            assert_eq!((config.label_smoothing, config.anchor_dropout), (0.0, 0.0), "{set}");
            let learn = config.learn;
            let more = learn.lipschitz || learn.metric || learn.scale;
            let anchors = matches!(method, Method::LlfmApl | Method::LlfmJo);
            assert!(!more && (learn.anchors == anchors), "{set} {method:?}: {learn:?}");
        }
    }
}

//! Settings under their flags' names: a point of a search laid over those of the command line, and
//! written down as TOML.

use clap::{Args, Command, FromArgMatches};
use llfm::config::name_of;
use llfm::data::{ClassWeight, Missing};
use llfm::settings::Settings;
use llfm::tune::space::{Dimension, Point};
use llfm::{Error, Result};
use serde_json::{Map, Value};

use crate::cli::args::{IndexBase, PrepareArgs, ReadArgs, YesNo};

/// What a point can change.
#[derive(Debug, Clone, Args)]
pub(crate) struct Tried {
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Keys that make trials of different problems, or that act before the trials.
const NEVER: [&str; 8] = [
    "task",
    "positive",
    "index-base",
    "ignore",
    "categorical",
    "weights",
    "hash-bits",
    "eval-metric",
];

impl Tried {
    /// Lays a point over these settings: each value is parsed as that of its flag.
    pub(crate) fn with(&self, point: &Point) -> Result<Self> {
        let flags = point.iter().map(|(key, value)| format!("--{key}={value}"));
        let matches =
            command().try_get_matches_from(flags).map_err(|e| Error::Usage(first_line(&e)))?;
        let mut tried = self.clone();
        tried.update_from_arg_matches(&matches).map_err(|e| Error::Usage(first_line(&e)))?;
        Ok(tried)
    }
}

/// The flags of a point alone; what a flag's default is, the command line has said.
fn command() -> Command {
    Tried::augment_args_for_update(Command::new("trial"))
        .no_binary_name(true)
        .disable_help_flag(true)
        .mut_args(|arg| arg.default_value(None))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let text = lines.collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Parses `--grid KEY=V,V,…`.
pub(crate) fn grid(text: &str) -> std::result::Result<Dimension, String> {
    checked(Dimension::list(text)?)
}

/// Parses `--range KEY=LO..HI[:log]`.
pub(crate) fn range(text: &str) -> std::result::Result<Dimension, String> {
    // A flag of a whole number refuses others; what is no flag is refused by name.
    checked(Dimension::range(text, |key| is_searched(key) && parse(key, "2.5").is_err())?)
}

fn checked(dimension: Dimension) -> std::result::Result<Dimension, String> {
    let key = dimension.key.as_str();
    if !is_searched(key) {
        let kebab = key.replace('_', "-");
        let hint = if is_searched(&kebab) {
            format!("did you mean `{kebab}`?")
        } else {
            "expected a setting of the model, its training or the preparation of rows, such as anchors, \
             l2 or clip"
                .into()
        };
        return Err(format!("`{key}` cannot be searched: {hint}"));
    }
    for value in dimension.examples() {
        parse(key, &value)?;
    }
    Ok(dimension)
}

fn is_searched(key: &str) -> bool {
    !NEVER.contains(&key) && command().get_arguments().any(|arg| arg.get_long() == Some(key))
}

/// Refuses a value that its flag would not take.
fn parse(key: &str, value: &str) -> std::result::Result<(), String> {
    let flag = format!("--{key}={value}");
    command().try_get_matches_from([flag]).map(drop).map_err(|e| first_line(&e))
}

/// Settings as the keys and values of a settings file, those that were given alone.
pub(crate) fn flags(
    read: &ReadArgs,
    prepare: &PrepareArgs,
    settings: &Settings,
) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        all.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("label", read.label.clone().map(Value::from));
    put("format", read.format.map(|format| name_of(format).into()));
    put("header", read.header.map(|h| if h == YesNo::Yes { "yes" } else { "no" }.into()));
    put("positive", prepare.positive.clone().map(Value::from));
    let missing = Some(prepare.missing).filter(|&missing| missing != Missing::Mean);
    put("missing", missing.map(|missing| name_of(missing).into()));
    let base = prepare.index_base.filter(|&base| base != IndexBase::Auto);
    put("index-base", base.map(|base| name_of(base).into()));
    let list = |columns: &[String]| (!columns.is_empty()).then(|| Value::from(columns.to_vec()));
    put("ignore", list(&prepare.ignore));
    put("categorical", list(&prepare.categorical));
    put("weights", prepare.weights.clone().map(Value::from));
    put("hash-bits", prepare.hash_bits.map(Value::from));
    let weight = Some(prepare.class_weight).filter(|&weight| weight != ClassWeight::None);
    put("class-weight", weight.map(|weight| name_of(weight).into()));
    put("scale", prepare.scale.map(|scale| name_of(scale).into()));
    // By way of its digits: as a double, .1 would be .10000000149.
    put(
        "clip",
        prepare.clip.and_then(|clip| clip.to_string().parse::<f64>().ok()).map(Value::from),
    );
    if let Ok(Value::Object(settings)) = serde_json::to_value(settings) {
        all.extend(settings.into_iter().filter(|(_, value)| !value.is_null()));
    }
    all
}

/// The keys and values as TOML, for training on all rows: without those that need validation rows.
pub(crate) fn toml(flags: &Map<String, Value>) -> String {
    let trains =
        flags.iter().filter(|(key, _)| !["eval-metric", "patience"].contains(&key.as_str()));
    // Numbers, texts and lists of texts are written alike in JSON.
    trains.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(flags: &str) -> Tried {
        let command = Tried::augment_args(Command::new("trial").no_binary_name(true));
        let matches = command.try_get_matches_from(flags.split_whitespace()).expect("flags");
        Tried::from_arg_matches(&matches).expect("flags")
    }

    fn point(pairs: &[(&str, &str)]) -> Point {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn shown(tried: &Tried) -> String {
        let read = ReadArgs {
            format: None,
            header: None,
            label: Some("a \"b\"".into()),
            labels: None,
            max_memory: None,
        };
        toml(&flags(&read, &tried.prepare, &tried.settings))
    }

    #[test]
    fn a_point_changes_its_settings_and_no_others() {
        let base = base(
            "--anchors 5 --missing zero --clip 0.1 --learn anchors --seed 18446744073709551615 \
             --patience 3 --eval-metric error",
        );
        let tried = base.with(&point(&[("anchors", "7"), ("learn", "anchors,metric")]));
        let text = shown(&tried.expect("a point"));
        let expected = [
            "anchors = 7",
            "learn = [\"anchors\",\"metric\"]",
            "missing = \"zero\"",
            "clip = 0.1",
            "seed = 18446744073709551615",
            "label = \"a \\\"b\\\"\"",
        ];
        for line in expected {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert_eq!(text.lines().count(), expected.len(), "{text}");
    }

    #[test]
    fn only_settings_are_searched_and_only_values_that_their_flags_take() {
        for text in
            ["anchors=5,10", "scale=none,standard", "lipschitz=auto,2", "learn=none;anchors,metric"]
        {
            assert!(grid(text).is_ok(), "{text}");
        }
        for text in
            ["test=a", "task=binary", "positive=2", "speed=1", "anchors=5,many", "help=1", "data=1"]
        {
            assert!(grid(text).is_err(), "{text}");
        }
        for text in ["anchors=5..50:log", "l2=0..1", "clip=1..8"] {
            assert!(range(text).is_ok(), "{text}");
        }
        for text in ["anchors=1.5..4", "method=1..2", "clip=-1..3", "clip=0..3"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}

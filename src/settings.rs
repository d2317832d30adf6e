//! What a user sets, by flag or by TOML: each setting written once for both.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::config::{Coding, Distance, LearnPart, Loss, Method, Optimizer, Schedule};
use crate::data::Task;
use crate::metrics::EvalMetric;

/// Settings of the model and its training; whatever is left out gets a default from the data.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Model")]
pub struct Settings {
    /// Model family [default: llfm-jo]
    #[arg(long, value_enum)]
    pub method: Option<Method>,
    /// How a row is spread over its nearest anchors [default: by method]
    #[arg(long, value_parser = or_auto::<Coding>())]
    pub coding: Option<OrAuto<Coding>>,
    /// What is learned beside the factorization machines, comma-separated [default: llfm-jo all,
    /// llfm-apl all but scale, else none; no scale from 16 features on; sparse rows anchors only]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub learn: Option<Vec<LearnPart>>,
    /// What is predicted [default: decided by the labels]
    #[arg(long, value_parser = or_auto::<Task>())]
    pub task: Option<OrAuto<Task>>,
    /// Loss of a row [default: logistic, softmax or squared, by task]
    #[arg(long, value_parser = or_auto::<Loss>())]
    pub loss: Option<OrAuto<Loss>>,
    /// Number of anchor points, 1 to 65536 [default: sqrt(rows * features)/6, features at least 4,
    /// from 5 to 200 and, beyond 5, below five million parameters; 5 for sparse rows; 1 for fm]
    #[arg(long, value_name = "M", value_parser = whole::<usize>)]
    pub anchors: Option<usize>,
    /// Factors of each factorization machine, 0 to 4096; 0 leaves linear models [default: 10]
    #[arg(long, value_name = "D", value_parser = whole::<usize>)]
    pub factors: Option<usize>,
    /// Nearest anchors of soft and inverse coding, 1 to 65536 [default: 5]
    #[arg(long, value_name = "K", value_parser = whole::<usize>)]
    pub neighbors: Option<usize>,
    /// Soft coding: weight exp(-distance/C), C > 0 in units of the distance
    /// [default: as --lipschitz, of which it is the inverse]
    #[arg(long, value_name = "C|auto", conflicts_with = "lipschitz")]
    pub bandwidth: Option<AutoF64>,
    /// Multiplier L > 0 of the distance at the start; larger means fewer active anchors
    /// [default: calibrated to --target-active; 0.16/non-zeros a row for sparse rows; 1 for inverse
    /// coding]
    #[arg(long, value_name = "L|auto")]
    pub lipschitz: Option<AutoF64>,
    /// Mean number of active anchors that calibration aims at, at least 1
    /// [default: 8, or a tenth of the anchors if that is more; 3 for soft coding; at most 0.8 of the
    /// anchors]
    #[arg(long, value_name = "K", value_parser = number)]
    pub target_active: Option<f64>,
    /// Distance between rows and anchors [default: sqeuclidean below 8 features and for sparse
    /// rows, else euclidean]
    #[arg(long, value_enum)]
    pub distance: Option<Distance>,
    /// Update rule [default: adam; adagrad for sparse rows]
    #[arg(long, value_enum, help_heading = "Training")]
    pub optimizer: Option<Optimizer>,
    /// Step size, above 0 [default: by rows, features and batch size]
    #[arg(long, value_name = "RATE", help_heading = "Training", value_parser = number)]
    pub learning_rate: Option<f64>,
    /// Step size of the anchors, 0 or more [default: 3 times the learning rate; 0.02 times for
    /// sparse rows]
    #[arg(long, value_name = "RATE", help_heading = "Training", value_parser = number)]
    pub anchor_rate: Option<f64>,
    /// How the step sizes change over the run [default: cosine]
    #[arg(long, value_enum, help_heading = "Training")]
    pub schedule: Option<Schedule>,
    /// t0 > 0 of the inverse schedule rate * t0/(t + t0), in rows [default: 100000]
    #[arg(long, value_name = "ROWS", help_heading = "Training", value_parser = number)]
    pub t0: Option<f64>,
    /// Rows per step, 1 to 16777216 [default: by rows]
    #[arg(long, value_name = "B", help_heading = "Training", value_parser = whole::<usize>)]
    pub batch_size: Option<usize>,
    /// Passes over the training rows, 1 to 1000000 [default: 16 to 40, fewer for more cells; 30 for
    /// sparse rows]
    #[arg(long, value_name = "N", help_heading = "Training", value_parser = whole::<usize>)]
    pub epochs: Option<usize>,
    /// Stop after N epochs without a better validation loss or --eval-metric, at least 1
    /// [default: never]
    #[arg(long, value_name = "N", help_heading = "Training", value_parser = whole::<usize>)]
    pub patience: Option<usize>,
    /// Metric of the validation rows that chooses the epoch that is kept, the earliest of equals
    /// [default: loss]
    #[arg(long, value_enum, value_name = "METRIC", help_heading = "Training")]
    pub eval_metric: Option<EvalMetric>,
    /// L2 penalty on linear weights and factors, part of the gradient, 0 or more
    /// [default: by rows, features and classes]
    #[arg(long, value_name = "X", help_heading = "Training", value_parser = number)]
    pub l2: Option<f64>,
    /// Share of every label that is spread over the classes alike at the start, 0 to below 1; it falls
    /// with the learning rate. The training loss of an epoch has it [default: 0.1 for more than two
    /// classes, else 0; 0 for fm]
    #[arg(long, value_name = "X", help_heading = "Training", value_parser = number)]
    pub label_smoothing: Option<f64>,
    /// Probability of each anchor to be hidden from a row in a training step, 0 to below 1: dropout
    /// (Srivastava et al. 2014) on the anchors. A row that would lose all keeps all; scoring and the
    /// losses of validation see all, the training loss of an epoch does not [default: 0]
    #[arg(long, value_name = "Q", help_heading = "Training", value_parser = number)]
    pub anchor_dropout: Option<f64>,
    /// Decay of linear weights and factors beside the gradient, as AdamW's, 0 or more [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", value_parser = number)]
    pub weight_decay: Option<f64>,
    /// Standard deviation of the initial factors, 0 or more
    /// [default: the smaller of 0.3/sqrt(non-zeros a row) and 0.1; 0.03 in place of 0.1 for sparse rows]
    #[arg(long, value_name = "X", value_parser = number)]
    pub init_scale: Option<f64>,
    /// Seed of every random choice but the split [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training", value_parser = whole::<u64>)]
    pub seed: Option<u64>,
    /// Models of different seeds whose scores are averaged, in one model file, 1 to 1024
    /// [default: 1]
    #[arg(long, value_name = "E", help_heading = "Training", value_parser = whole::<usize>)]
    pub ensemble: Option<usize>,
}

/// A choice, or `None` for `auto`, which is the same as leaving it out.
pub type OrAuto<T> = Option<T>;

/// A number, or `auto` for a value fitted to the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrWord", into = "NumberOrWord")]
pub enum AutoF64 {
    /// Fitted to the data.
    Auto,
    /// As given.
    Value(f64),
}

/// The two ways TOML may write an [`AutoF64`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Number(f64),
    Word(String),
}

impl AutoF64 {
    /// The number, where one was given.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Auto => None,
            Self::Value(x) => Some(x),
        }
    }
}

impl std::str::FromStr for AutoF64 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse()
            .map(Self::Value)
            .map_err(|_| format!("expected a number or `auto`, found `{text}`"))
    }
}

impl TryFrom<NumberOrWord> for AutoF64 {
    type Error = String;

    fn try_from(value: NumberOrWord) -> Result<Self, String> {
        match value {
            NumberOrWord::Number(x) => Ok(Self::Value(x)),
            NumberOrWord::Word(word) => word.parse(),
        }
    }
}

impl From<AutoF64> for NumberOrWord {
    fn from(value: AutoF64) -> Self {
        match value {
            AutoF64::Auto => Self::Word("auto".into()),
            AutoF64::Value(x) => Self::Number(x),
        }
    }
}

/// Parses one of the values of an enum, or `auto`.
fn or_auto<T: ValueEnum + Send + Sync + 'static>() -> impl TypedValueParser<Value = Option<T>> {
    let auto = PossibleValue::new("auto").help("The default");
    let values = T::value_variants().iter().filter_map(T::to_possible_value);
    PossibleValuesParser::new(std::iter::once(auto).chain(values))
        .map(|text| T::from_str(&text, false).ok())
}

/// Parses a count; the ranges are checked with the rest of the settings.
fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".into())
}

/// Parses a number; the ranges are checked with the rest of the settings.
fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "expected a number".into())
}

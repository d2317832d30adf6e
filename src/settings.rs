//! What a user sets, by flag or by TOML: each setting written once for both.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::config::{Coding, Distance, LearnPart, Loss, Method, Optimizer, Schedule};
use crate::data::Task;

/// Settings of the model and its training; whatever is left out gets a default from the data.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Model family [default: llfm-jo]
    #[arg(long, value_enum)]
    pub method: Option<Method>,
    /// How a row is spread over its nearest anchors [default: by method]
    #[arg(long, value_enum)]
    pub coding: Option<Coding>,
    /// What is learned beside the factorization machines, comma-separated [default: by method]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub learn: Option<Vec<LearnPart>>,
    /// What is predicted [default: decided by the labels]
    #[arg(long, value_enum)]
    pub task: Option<Task>,
    /// Loss of a row [default: logistic, softmax or squared, by task]
    #[arg(long, value_enum)]
    pub loss: Option<Loss>,
    /// Number of anchor points [default: by rows and features]
    #[arg(long, value_name = "M")]
    pub anchors: Option<usize>,
    /// Factors of each factorization machine; 0 leaves linear models [default: 10]
    #[arg(long, value_name = "D")]
    pub factors: Option<usize>,
    /// Nearest anchors of soft and inverse coding [default: 5]
    #[arg(long, value_name = "K")]
    pub neighbors: Option<usize>,
    /// Soft coding: weight exp(-distance/C), C in units of the distance [default: calibrated]
    #[arg(long, value_name = "C|auto")]
    pub bandwidth: Option<AutoF64>,
    /// Multiplier L of the distance at the start; larger means fewer active anchors
    /// [default: calibrated to --target-active]
    #[arg(long, value_name = "L|auto")]
    pub lipschitz: Option<AutoF64>,
    /// Mean number of active anchors that calibration aims at [default: 5; 3 for soft coding]
    #[arg(long, value_name = "K")]
    pub target_active: Option<f64>,
    /// Distance between rows and anchors [default: by features]
    #[arg(long, value_enum)]
    pub distance: Option<Distance>,
    /// Update rule [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<Optimizer>,
    /// Step size [default: by rows, features and batch size]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Step size of the anchors [default: 3 times the learning rate]
    #[arg(long, value_name = "RATE")]
    pub anchor_rate: Option<f64>,
    /// How the step sizes change over the run [default: cosine]
    #[arg(long, value_enum)]
    pub schedule: Option<Schedule>,
    /// t0 of the inverse schedule rate * t0/(t + t0), in rows [default: 100000]
    #[arg(long, value_name = "ROWS")]
    pub t0: Option<f64>,
    /// Rows per step [default: by rows]
    #[arg(long, value_name = "B")]
    pub batch_size: Option<usize>,
    /// Passes over the training rows [default: by rows]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Stop after N epochs without a better validation loss [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// L2 penalty on linear weights and factors, part of the gradient [default: 0]
    #[arg(long, value_name = "X")]
    pub l2: Option<f64>,
    /// Decay of linear weights and factors beside the gradient, as AdamW's [default: by shape]
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// Standard deviation of the initial factors [default: min(0.1, 0.3/sqrt(non-zeros a row))]
    #[arg(long, value_name = "X")]
    pub init_scale: Option<f64>,
    /// Seed of every random choice but the split [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Models of different seeds whose scores are averaged, in one model file [default: 1]
    #[arg(long, value_name = "E")]
    pub ensemble: Option<usize>,
}

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
        text.parse().map(Self::Value).map_err(|_| format!("expected a number or `auto`, found `{text}`"))
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

//! The flags of each command. Those of the model and its training are in `llfm::settings`.

#[path = "args/checkpoint.rs"]
pub(crate) mod checkpoint;

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use llfm::backend::{Placement, RowStorage};
use llfm::data::{ClassWeight, Format, Missing, Scale};
use llfm::gpu::adapter::Request;
use llfm::settings::Settings;

use super::memory::{default_limit, parse_size};
use checkpoint::CheckpointArgs;

/// Train a model.
///
/// Reads DATA, decides what it is told nothing about from the data, prints what it decided, trains,
/// and measures the model. With a validation set the model of the best epoch is kept, otherwise
/// that of the last. Without --model nothing is written.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = TRAIN_EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Training rows: a file, or `-` for standard input. libsvm, libffm, csv, tsv, idx (MNIST), npy
    /// and ratings files are told apart by name or content; .gz, .xz and .zst are unpacked.
    #[arg(value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) parts: PartArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    /// Model to go on training from: its columns, that of the weights too, scales, classes, method,
    /// loss and sizes are kept. The learning rate begins at its full height again, as in a new run:
    /// give a smaller --learning-rate to a model that needs little more
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath, help_heading = "Model",
        conflicts_with_all = ["positive", "missing", "ignore", "categorical", "weights",
            "index_base", "hash_bits", "scale", "clip"])]
    pub(crate) init_model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) output: TrainOutput,
    #[command(flatten)]
    pub(crate) keep: CheckpointArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Train on rows that need not fit memory: they are kept in a file in the temporary folder (TMPDIR)
    /// while the run lasts, and read from there in every epoch, in shuffled windows of a third of
    /// --max-memory. Rows to validate and test are in memory. On the CPU
    #[arg(long, help_heading = "Data", conflicts_with = "cache")]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) gpu_rows: GpuRowArgs,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  llfm train letter.libsvm --test letter.t.libsvm --model letter.llfm
      classify with all defaults; report the test accuracy, write the model
  llfm train covtype.csv.gz --positive 2 --test-fraction 0.33 --anchors 100 --clip 8
      one class against the rest, a third of the rows held out, a larger model
  llfm train ua.base --test ua.test --valid-fraction 0.05 --patience 3
      ratings; stop when the loss on 5 % of the rows gets no better
  llfm train data.csv --label price --task regression --ensemble 4 --plot curve.svg
      predict a column; average four models; draw the learning curve
  llfm train data.svm --config settings.toml --json > log.jsonl
      settings from a file (epochs = 20, learn = [\"anchors\"], …), one JSON object a line";

/// Where a trained model goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct TrainOutput {
    /// File to write the model to
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<PathBuf>,
    /// File to draw the learning curve to; its name ends in .svg
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub(crate) plot: Option<PathBuf>,
    /// Replace output files that exist, and the run that --checkpoint holds
    #[arg(long)]
    pub(crate) force: bool,
    /// TOML file with flags as keys (`batch-size = 64`); the command line wins
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// Which rows train, validate and test.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct PartArgs {
    /// Validation rows: they choose the epoch that is kept (--eval-metric), and end training with
    /// --patience
    #[arg(long, value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) valid: Option<PathBuf>,
    /// Test rows: measured, never chosen by
    #[arg(long, value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) test: Option<PathBuf>,
    /// Fraction of DATA to validate on, 0 to below 1
    #[arg(long, value_name = "F", conflicts_with = "valid", default_value = "0",
        value_parser = fraction)]
    pub(crate) valid_fraction: f64,
    /// Fraction of DATA to test on, 0 to below 1
    #[arg(long, value_name = "F", conflicts_with = "test", default_value = "0",
        value_parser = fraction)]
    pub(crate) test_fraction: f64,
    /// Seed of the permutation that --valid-fraction and --test-fraction cut
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) split_seed: u64,
    /// Labels of --valid, where idx or npy keep them in a file of their own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "valid",
        conflicts_with = "valid_fraction")]
    pub(crate) valid_labels: Option<PathBuf>,
    /// Labels of --test, likewise
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "test",
        conflicts_with = "test_fraction")]
    pub(crate) test_labels: Option<PathBuf>,
    /// Keep the rows of each text file beside it, as NAME.llfm-cache, and take them from there the
    /// next time: as long as the file's bytes and the flags that say how it is read are the same
    #[arg(long)]
    pub(crate) cache: bool,
}

/// How files are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct ReadArgs {
    /// Format of the data [default: by name, else by the first lines]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Whether the first line of a csv names its columns [default: detected]
    #[arg(long, value_enum)]
    pub(crate) header: Option<YesNo>,
    /// Label column of a csv: a name, a number from 1, `first` or `last` [default: the column called
    /// label, target, class or y, else the last]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Labels of an idx or npy file [default for idx: found beside it by name]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) labels: Option<PathBuf>,
    /// Most memory the rows may take, and the model, as 2GiB, 500MB or a number of bytes
    /// [default: 80 % of RAM]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_memory: Option<u64>,
}

impl ReadArgs {
    /// Most bytes that rows and model may take.
    pub(crate) fn limit(&self) -> u64 {
        self.max_memory.unwrap_or_else(default_limit)
    }
}

/// How raw rows become features and targets; all of it but the weights is kept in the model.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct PrepareArgs {
    /// Make a label of many classes binary: this one against the rest
    #[arg(long, value_name = "CLASS")]
    pub(crate) positive: Option<String>,
    /// What a missing cell becomes, or that it is an error
    #[arg(long, value_enum, default_value = "mean")]
    pub(crate) missing: Missing,
    /// Columns of a csv that are no features: names or numbers from 1, comma-separated or in several
    /// flags; later files need not have them where columns have names
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Columns of a csv whose numbers are categories, one-hot encoded as words are
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) categorical: Vec<String>,
    /// Column of a csv with the weight of each training row, from 0. Metrics do not weigh rows;
    /// files to validate, test and predict need not have it where columns have names
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weights: Option<String>,
    /// Number of the first feature in libsvm and libffm files [default: guessed from DATA]
    #[arg(long, value_enum)]
    pub(crate) index_base: Option<IndexBase>,
    /// Hash features into 2^N columns, 1 to 30, by number, by name and category, or by user and item:
    /// the model keeps no names of them, and later files may have new ones. It has all 2^N columns:
    /// anchors * 2^N * (factors + 1) * 4 bytes (times the classes where there are more than two), and
    /// training takes a few times that; 10 to 16 do for a csv with a handful of columns
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=30))]
    pub(crate) hash_bits: Option<u8>,
    /// How features are scaled [default: standard for dense rows, maxabs for sparse ones]
    #[arg(long, value_enum)]
    pub(crate) scale: Option<Scale>,
    /// Limit scaled features to -X..X, X > 0 [default for standardised features: 3 deviations, 8
    /// for a regression]
    #[arg(long, value_name = "X", value_parser = limit)]
    pub(crate) clip: Option<f32>,
    /// How much the training rows of a class weigh in the loss; metrics take every row alike
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) class_weight: ClassWeight,
}

/// What computes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Threads, 1 to 1024; the result is the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Device to compute on: auto (a hardware GPU, else the CPU), cpu, gpu (software too) or gpu:NAME,
    /// a part of a name, a number or an interface that `llfm devices` lists; LLFM_ADAPTER=NAME in the
    /// environment is the NAME where none is given
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: Request,
}

/// What a GPU does with the training rows.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct GpuRowArgs {
    /// Where the training rows of a GPU lie
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) data_placement: Placement,
    /// How dense training rows are stored on a GPU: f16 takes half of the memory, u8 a quarter. They
    /// are validated and tested on as they are
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) row_storage: RowStorage,
}

/// How much is said, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct TalkArgs {
    /// Say nothing but errors: results stand in the files that are written, and in the events of --json
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Say more: every setting as it was decided, every epoch
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Print JSON Lines on standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

/// Predict the class or value of each row, one a line.
///
/// Rows are streamed: a file of any size takes little memory. Labels in DATA are ignored, and may be
/// missing. Classes are printed as they were spelled in the training data.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Model written by `llfm train`
    #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Rows to predict: a file, or `-` for standard input
    #[arg(value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) data: PathBuf,
    /// Print probabilities: of the positive class for two classes, otherwise of every class,
    /// comma-separated in the order `llfm inspect` lists them
    #[arg(long)]
    pub(crate) proba: bool,
    /// Print raw scores: of the positive class for two classes, otherwise of every class as with
    /// --proba; for values the prediction before it is limited to the range of the ratings
    #[arg(long, conflicts_with = "proba")]
    pub(crate) raw: bool,
    /// Print why, one JSON object a row: prediction, active anchors, and the N terms of largest
    /// magnitude (a feature, or a pair) of the score of the predicted class, or of the positive one
    /// of two. Computes on the CPU. Goes behind MODEL and DATA where N is left out [default: 10]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10",
        conflicts_with_all = ["proba", "raw"], value_parser = terms)]
    pub(crate) explain: Option<usize>,
    /// File to write to instead of standard output; it appears when it is whole
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Replace an output file that exists
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Say nothing but results and errors
    #[arg(long, short, help_heading = "Run")]
    pub(crate) quiet: bool,
}

/// Measure a model on labelled rows.
///
/// Classes: loss, log loss, accuracy, macro F1, and AUC where there are two. Values: loss, RMSE, MAE
/// and R². A row of a class that training never saw counts as wrong in the accuracy; the other metrics
/// are over the other rows.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Model written by `llfm train`
    #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Labelled rows: a file, or `-` for standard input
    #[arg(value_name = "DATA", value_hint = ValueHint::FilePath)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Say nothing but results and errors
    #[arg(long, short, help_heading = "Run")]
    pub(crate) quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long, help_heading = "Run")]
    pub(crate) json: bool,
}

/// Show what a model is: method, shapes, classes, settings, metrics; or every weight.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Model written by `llfm train`
    #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the weights: log L, point, bias, linear weights and factors of each anchor, by feature
    /// name; of scaled features
    #[arg(long, conflicts_with = "json")]
    pub(crate) text: bool,
    /// Most memory the model may take, as 2GiB, 500MB or a number of bytes [default: 80 % of RAM]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_memory: Option<u64>,
}

/// List the adapters to compute on, and which one `--device auto` takes.
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print one JSON object an adapter, and the choice as the last one
    #[arg(long)]
    pub(crate) json: bool,
}

/// A plain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// It does
    Yes,
    /// It does not
    No,
}

/// What the first feature is called in a file of numbered features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexBase {
    /// Guessed: 0 where the file has a feature 0
    Auto,
    /// 0
    #[value(name = "0")]
    Zero,
    /// 1
    #[value(name = "1")]
    One,
}

fn fraction(text: &str) -> std::result::Result<f64, String> {
    let fraction = text.parse().ok().filter(|f| (0.0..1.0).contains(f));
    fraction.ok_or_else(|| "expected a number from 0 to below 1".into())
}

fn terms(text: &str) -> std::result::Result<usize, String> {
    text.parse().map_err(|_| {
        "expected a number of terms, 0 or more; without one, write --explain behind MODEL and DATA"
            .into()
    })
}

fn limit(text: &str) -> std::result::Result<f32, String> {
    let limit = text.parse().ok().filter(|x: &f32| *x > 0.0 && x.is_finite());
    limit.ok_or_else(|| "expected a number above 0".into())
}

//! Locally linear factorization machines: training, prediction, measurement.
//!
//! A factorization machine (FM) adds to a linear model the product of every pair of features,
//! weighted by factors of low rank. A locally linear factorization machine keeps m anchor points,
//! each with an FM of its own, weighs the anchors near a row by γ, and predicts the blend of their
//! FMs:
//!
//! > ŷ(x) = Σᵢ γᵢ(x) fᵢ(x), fᵢ(x) = bᵢ + wᵢ·x + Σ_{j<j'} ⟨vᵢⱼ, vᵢⱼ'⟩ xⱼ xⱼ'
//!
//! [`Method::LlfmJo`](config::Method::LlfmJo) learns the anchors and the weighting together with
//! the FMs. How many anchors a row uses follows from its distances to them.
//!
//! # Example
//!
//! Two rings, one inside the other. No single FM tells them apart; ten local ones do. Rows in memory
//! go straight into [`train()`](train::train); the example `quickstart` starts from a file.
//!
//! ```
//! use llfm::backend::Device;
//! use llfm::config::defaults::{self, DataShape};
//! use llfm::data::{Dataset, Features, Targets, Task};
//! use llfm::event::Flow;
//! use llfm::predict::Scorer;
//! use llfm::settings::Settings;
//! use llfm::train::{TrainData, train};
//! use ndarray::Array2;
//!
//! let class = |i: usize| i % 2;
//! let features = Array2::from_shape_fn((400, 2), |(i, j)| {
//!     let (sin, cos) = (i as f32).sin_cos();
//!     (1.0 + class(i) as f32) * [sin, cos][j]
//! });
//! let rows = Dataset {
//!     features: Features::Dense(features),
//!     targets: Targets::Classes((0..400).map(|i| class(i) as u32).collect()),
//!     weights: None,
//! };
//!
//! // Settings left out get defaults from the shape of the data.
//! let shape = DataShape {
//!     rows: 400,
//!     features: 2,
//!     nonzeros: 800,
//!     sparse: false,
//!     classes: 2,
//!     task: Task::Binary,
//! };
//! let config = defaults::resolve(&Settings::default(), &shape)?;
//!
//! let data = TrainData::new(&rows, 2);
//! let trained = train(&data, &config, &Device::Cpu, &mut |_event| Flow::Continue)?;
//!
//! // A score above 0 predicts class 1.
//! let scores = Scorer::new(&trained.members, &config, shape.sparse, &Device::Cpu)?.score(&rows.features)?;
//! let right = (0..400).filter(|&i| (scores.outputs[[i, 0]] > 0.0) == (class(i) == 1)).count();
//! assert!(right > 395, "{right} of 400");
//! # Ok::<(), llfm::Error>(())
//! ```
//!
//! # Symbols
//!
//! n rows, b rows of a batch, p features, m anchors, C output channels (1 for two classes and for
//! values, otherwise one a class), d factors.
//!
//! | paper | name | shape | |
//! |---|---|---|---|
//! | x | [`features`](data::Dataset::features) | `[n, p]` | rows, encoded and scaled |
//! | y | [`targets`](data::Dataset::targets) | `[n]` | classes or values |
//! | – | [`weights`](data::Dataset::weights) | `[n]` | factor of each row's loss in training |
//! | Z | [`anchors`](model::Parameters::anchors) | `[m, p]` | anchor points |
//! | – | [`bias`](model::Parameters::bias) | `[m, C]` | b; the paper has none |
//! | W | [`linear`](model::Parameters::linear) | `[m, C, p]` | linear weights |
//! | V | [`factors`](model::Parameters::factors) | `[m, C, p, d]` | factors |
//! | L | [`log_lipschitz`](model::Parameters::log_lipschitz) | `[m]` | log L; the paper has one fixed L |
//! | – | [`log_metric`](model::Parameters::log_metric) | `[p]` | τ: the distance weighs feature j by exp(τⱼ) |
//! | – | [`anchor_scale`](model::Parameters::anchor_scale) | `[m, p]` | t: and by tᵢⱼ², for each anchor |
//! | d | `distance` | `[b, m]` | squared, or plain, to each anchor |
//! | Ld | `u` | one a pair | exp(log L)·distance |
//! | γ | `gamma` | one a pair | weight of an active anchor; sums to 1 over a row |
//! | k | [`neighbors`](config::TrainConfig::neighbors), [`mean_active`](event::EpochReport::mean_active) | | fixed number of soft coding; mean number of active anchors |
//! | ŷ | `outputs` | `[n, C]` | raw scores |
//! | ρ | [`learning_rate`](config::TrainConfig::learning_rate) | | ρ = rate·t₀ in the inverse schedule |
//!
//! # Modules
//!
//! In the order data passes through them:
//!
//! | module | |
//! |---|---|
//! | [`data`] | readers a format, labels, splits, encoding and scaling |
//! | [`settings`], [`config`] | what a user sets; every setting decided and checked |
//! | [`experiment`] | from raw rows to a measured model |
//! | [`mod@train`], [`event`] | the loop, and what it tells while it runs |
//! | [`tune`] | folds, search spaces, trials: settings chosen by measurement |
//! | [`backend`] | what a device does: step, score, read back |
//! | `kernel` | the parts of a step, one a file |
//! | [`model`] | parameters, and the model file |
//! | [`checkpoint`] | a run between two steps, kept to go on from |
//! | [`predict`], [`outcome`], [`metrics`] | scores; what they mean; how good they are |
//! | [`explain`] | what each feature and pair adds to a score |
//! | [`plot`], [`output`], [`journal`] | pictures of learning curves; files written whole or not at all; finished work, a line each |
//! | [`mod@compare`], [`gpu`] | the GPU beside the CPU; adapters and devices |
//! | [`mod@bench`] | how fast training is, phase by phase, beside what the machine can do |
//! | [`error`] | the one error type |
//!
//! # Reference
//!
//! Chenghao Liu, Teng Zhang, Peilin Zhao, Jun Zhou, Jianling Sun: *Locally Linear Factorization
//! Machines*, IJCAI 2017. The coding is that of Oren Anava and Kfir Y. Levy: *k\*-Nearest
//! Neighbors: From Global to Local*, NIPS 2016. The README tells where this crate differs.

mod anchor_dropout;
pub mod backend;
pub mod bench;
pub mod checkpoint;
pub mod compare;
pub mod config;
mod container;
pub mod data;
mod difference;
pub mod error;
pub mod event;
pub mod experiment;
pub mod explain;
#[doc(hidden)]
pub mod fuzzing;
pub mod gpu;
pub mod journal;
mod kernel;
mod loss;
mod math;
pub mod metrics;
pub mod model;
mod optimizer;
pub mod outcome;
pub mod output;
pub mod plot;
pub mod predict;
mod random;
mod schedule;
mod seed;
pub mod settings;
mod simd;
pub mod stream;
pub mod train;
pub mod tune;

pub use error::{Error, Result};

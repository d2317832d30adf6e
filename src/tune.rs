//! Choosing settings by measurement: folds, search spaces, trials, successive halving.
//!
//! A [`Split`] says which rows train and which measure; [`Bench::fit`](trial::Bench::fit) trains on one.
//! [`space::grid`] and [`space::draw`] list the points to try, each a few settings under their flags'
//! names. What a point is worth is the [`Estimate`] of a [metric](crate::metrics::EvalMetric) over the splits, the same splits
//! for every point. [`pool::run`] works on several at once.

pub mod estimate;
pub mod folds;
pub mod halving;
pub mod pool;
pub mod space;
pub mod trial;

pub use estimate::Estimate;
pub use folds::{Split, Splits};

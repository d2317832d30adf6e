//! Locally linear factorization machines.

pub mod backend;
pub mod config;
pub mod data;
pub mod error;
pub mod event;
mod kernel;
mod loss;
mod math;
pub mod metrics;
pub mod model;
mod optimizer;
pub mod predict;
mod random;
mod schedule;
mod seed;
pub mod settings;
mod simd;
pub mod train;

pub use error::{Error, Result};

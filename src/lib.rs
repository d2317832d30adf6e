//! Locally linear factorization machines.

pub mod config;
pub mod data;
pub mod error;
pub mod event;
pub mod metrics;
pub mod model;
pub mod outcome;
pub mod output;
pub mod plot;
pub mod settings;

pub use error::{Error, Result};

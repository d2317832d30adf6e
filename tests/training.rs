//! Training runs by behaviour, through the public interface.

#[path = "training/bench.rs"]
mod bench;
#[path = "training/determinism.rs"]
mod determinism;
#[path = "training/endings.rs"]
mod endings;
#[path = "training/learning.rs"]
mod learning;
#[path = "training/regression.rs"]
mod regression;
#[path = "common/resume.rs"]
mod resume;
#[path = "training/resume.rs"]
mod resumed;
#[path = "training/rows.rs"]
mod rows;
#[path = "training/weights.rs"]
mod weights;

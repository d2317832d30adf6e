//! What the GPU backend promises beside being right: the same bits every time, wherever the rows lie
//! and however a run is cut into submissions; the CPU's results to the eye of a user.

#[path = "training/bench.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bench;
#[path = "gpu/bits.rs"]
mod bits;
#[path = "common/gpu.rs"]
mod gpu;
#[path = "common/resume.rs"]
mod resume;
#[path = "gpu/resume.rs"]
mod resumed;
#[path = "gpu/training.rs"]
mod training;

//! The f32 backends against the f64 oracle: scores, gradients and whole runs.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "common/gpu.rs"]
mod gpu;
#[allow(dead_code, reason = "each test binary uses its own part")]
mod oracle;

mod equations {
    pub(crate) mod bridge;
    pub(crate) mod cases;
    mod gradients;
    mod paper;
    mod runs;
    mod scores;
}

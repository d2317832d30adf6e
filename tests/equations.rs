//! Both f32 backends against the f64 oracle: scores, gradients and whole runs.

#[allow(dead_code, reason = "each test binary uses its own part")]
mod oracle;

#[path = "common/gpu.rs"]
mod gpu;

mod equations {
    pub(crate) mod bridge;
    mod gradients;
    mod paper;
    mod runs;
    mod scores;
}

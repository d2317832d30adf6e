//! What may change without a bit of a model or a score changing: threads, the parts that rows are
//! scored in, the storage of rows, a run beside it. The table is docs/determinism.md.

#[path = "training/bench.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bench;
#[path = "common/gpu.rs"]
mod gpu;
#[path = "determinism/models.rs"]
mod models;
#[path = "determinism/parts.rs"]
mod parts;
#[path = "common/bench.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod program;
#[path = "determinism/race.rs"]
mod race;

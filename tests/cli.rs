//! The commands end to end, as users run them.

#[path = "cli/agreement.rs"]
mod agreement;
#[path = "common/bench.rs"]
mod bench;
#[path = "cli/cache.rs"]
mod cache;
#[path = "cli/columns.rs"]
mod columns;
#[path = "cli/compare.rs"]
mod compare;
#[path = "cli/config_file.rs"]
mod config_file;
#[path = "cli/cv.rs"]
mod cv;
#[path = "cli/device.rs"]
mod device;
#[path = "cli/explain.rs"]
mod explain;
#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "common/gpu.rs"]
mod gpu;
#[path = "cli/init_model.rs"]
mod init_model;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/predict.rs"]
mod predict;
#[path = "cli/reproduce.rs"]
mod reproduce;
#[path = "cli/search.rs"]
mod search;
#[path = "cli/space.rs"]
mod space;
#[path = "cli/speed.rs"]
mod speed;
#[path = "cli/stream.rs"]
mod stream;
#[path = "cli/train.rs"]
mod train;
#[path = "cli/usage.rs"]
mod usage;

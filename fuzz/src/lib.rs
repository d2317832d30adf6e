//! What every input of a fuzz target must fulfil. The targets run these checks on inputs that
//! libFuzzer invents, `tests/regressions.rs` on the seeds and on all that was ever found.

pub mod cache;
pub mod checkpoint;
pub mod coding;
pub mod config;
pub mod container;
pub mod journal;
pub mod model;
pub mod predict;
pub mod reader;

use std::path::PathBuf;

/// Calls `with` with the path of a file of this name that holds `bytes`; each thread has a folder.
pub fn with_file<T>(name: &str, bytes: &[u8], with: impl FnOnce(PathBuf) -> T) -> T {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder");
    }
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is writable");
        with(path)
    })
}

/// One thread, so that an input takes the same way each time.
pub fn init() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("the first pool");
}

/// Whoever sends a file must not write to the terminal of whoever reads it.
fn assert_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

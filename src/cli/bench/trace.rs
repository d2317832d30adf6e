//! Dispatches as a file of Chrome's trace-event format: what Perfetto, chrome://tracing and speedscope
//! open. Format: "Trace Event Format", Google, complete (X) and metadata (M) events; times in µs.

use std::io::Write;
use std::path::{Path, PathBuf};

use llfm::bench::Dispatch;
use llfm::gpu::Gpu;
use llfm::output::AtomicFile;
use llfm::{Error, Result};
use serde_json::{Value, json};

/// The trace of all jobs, one after the other, each a thread of the adapter.
pub(super) struct TraceFile {
    path: PathBuf,
    adapter: String,
    jobs: Vec<(String, Vec<Dispatch>)>,
}

impl TraceFile {
    /// A trace of that adapter, to be written to `path`.
    ///
    /// # Errors
    /// [`Error::Device`] where it has no timestamps.
    pub(super) fn new(gpu: &Gpu, path: &Path) -> Result<Self> {
        if !gpu.has_timestamps() {
            return Err(Error::Device(format!(
                "{} has no timestamps (TIMESTAMP_QUERY), which --trace is made of: leave it out, update the \
                 driver, or name another adapter of `llfm devices` by --device gpu:NAME",
                gpu.name()
            )));
        }
        Ok(Self { path: path.to_owned(), adapter: gpu.name().to_owned(), jobs: Vec::new() })
    }

    /// Adds the dispatches of a job.
    pub(super) fn add(&mut self, job: String, dispatches: Vec<Dispatch>) {
        self.jobs.push((job, dispatches));
    }

    /// Puts the file in place, an event a line.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub(super) fn write(self) -> Result<()> {
        let mut file = AtomicFile::create(&self.path)?;
        let fail = || Error::io("write", &self.path);
        let name = json!({"name": self.adapter});
        let process = json!({"ph": "M", "name": "process_name", "pid": 1, "args": name});
        let begin = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
        write!(file, "{begin}\n{process}").map_err(fail())?;
        // Where the next job begins.
        let mut end = 0.0_f64;
        for (tid, (job, dispatches)) in (1..).zip(&self.jobs) {
            let name = json!({"name": job});
            let thread =
                json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": name});
            write!(file, ",\n{thread}").map_err(fail())?;
            let origin = end - dispatches.first().map_or(0.0, |first| first.start);
            for it in dispatches {
                let begin = origin + it.start;
                end = end.max(begin + it.seconds);
                write!(file, ",\n{}", event(it, tid, begin)).map_err(fail())?;
            }
        }
        file.write_all(b"\n]}\n").map_err(fail())?;
        file.finish()
    }
}

/// A dispatch that begins so many seconds after the first.
fn event(it: &Dispatch, tid: usize, begin: f64) -> Value {
    json!({
        "ph": "X",
        "name": it.kernel,
        "cat": "kernel",
        "pid": 1,
        "tid": tid,
        "ts": 1e6 * begin,
        "dur": 1e6 * it.seconds,
        "args": {"step": it.step, "workgroups": it.workgroups},
    })
}

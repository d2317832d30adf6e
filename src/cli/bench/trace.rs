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
    events: Vec<Value>,
    jobs: usize,
    /// Where the next job begins.
    end: f64,
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
        let process =
            json!({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": gpu.name()}});
        Ok(Self { path: path.to_owned(), events: vec![process], jobs: 0, end: 0.0 })
    }

    /// Adds the dispatches of a job.
    pub(super) fn add(&mut self, job: &str, dispatches: &[Dispatch]) {
        self.jobs += 1;
        let tid = self.jobs;
        let name = json!({"name": job});
        self.events
            .push(json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": name}));
        let origin = self.end - dispatches.first().map_or(0.0, |first| first.start);
        for it in dispatches {
            let begin = origin + it.start;
            self.end = self.end.max(begin + it.seconds);
            self.events.push(json!({
                "ph": "X",
                "name": it.kernel,
                "cat": "kernel",
                "pid": 1,
                "tid": tid,
                "ts": 1e6 * begin,
                "dur": 1e6 * it.seconds,
                "args": {"step": it.step, "workgroups": it.workgroups},
            }));
        }
    }

    /// Puts the file in place, an event a line.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub(super) fn write(self) -> Result<()> {
        let mut file = AtomicFile::create(&self.path)?;
        let fail = || Error::io("write", &self.path);
        let mut before = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
        for event in &self.events {
            write!(file, "{before}{event}").map_err(fail())?;
            before = ",\n";
        }
        file.write_all(b"\n]}\n").map_err(fail())?;
        file.finish()
    }
}

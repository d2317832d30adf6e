//! SIGINT, SIGTERM and SIGHUP: the first asks a run to end well, the second ends it at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use llfm::{Error, Result};
#[cfg(target_os = "linux")]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How often the first signal is looked for, and how long after it a second one still counts as
/// the same.
const POLL: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_millis(200);

/// Remembers that a signal came.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// Number of the last one; 0: none yet.
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over the signals for the rest of the process.
    pub(crate) fn install() -> Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        let install = |signal: i32| -> std::io::Result<()> {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&received), signal.unsigned_abs() as usize)?;
            Ok(())
        };
        let watched = [SIGINT, SIGTERM].into_iter().chain(hang_up());
        watched.into_iter().try_for_each(install).map_err(cannot_watch)?;
        let signals = Self { received };
        signals.clone().arm(armed)?;
        Ok(signals)
    }

    /// Lets a second signal end the process a moment after the first: job runners signal a process
    /// and then its group, which is one request.
    fn arm(self, armed: Arc<AtomicBool>) -> Result<()> {
        spawn(move || {
            while self.received().is_none() {
                std::thread::sleep(POLL);
            }
            std::thread::sleep(GRACE);
            armed.store(true, Ordering::Relaxed);
        })
    }

    /// The signal that asks for the end, if one came.
    pub(crate) fn received(&self) -> Option<u8> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(signal).ok(),
        }
    }

    /// Fails once a signal came.
    pub(crate) fn check(&self) -> Result<()> {
        self.received().map_or(Ok(()), |signal| Err(Error::Interrupted { signal }))
    }

    /// Lets a signal end the process at once for as long as the guard lives, removing `litter` and
    /// files half written:
    /// while data is read there is nothing to save.
    pub(crate) fn end_at_once(&self, litter: Vec<PathBuf>) -> Result<AtOnce> {
        let over = Arc::new(AtomicBool::new(false));
        let (signals, done) = (self.clone(), Arc::clone(&over));
        spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if let Some(signal) = signals.received() {
                    litter.iter().for_each(|path| drop(std::fs::remove_file(path)));
                    llfm::output::remove_unfinished();
                    super::console::complain("error", "interrupted before any training");
                    std::process::exit(128 + i32::from(signal));
                }
                std::thread::sleep(POLL);
            }
        })?;
        Ok(AtOnce { over })
    }
}

/// Starts a thread, where the system still does.
fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().spawn(work).map(drop).map_err(cannot_watch)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn cannot_watch(error: std::io::Error) -> Error {
    Error::Device(format!("cannot watch for signals: {error}"))
}

/// The signal of a terminal that goes away, unless the run was told not to mind it, as by `nohup`.
#[cfg(target_os = "linux")]
fn hang_up() -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    (ignored >> (SIGHUP - 1) & 1 == 0).then_some(SIGHUP)
}

/// Elsewhere nothing tells whether it is to be minded.
#[cfg(not(target_os = "linux"))]
fn hang_up() -> Option<i32> {
    None
}

/// While this lives, signals end the process at once.
pub(crate) struct AtOnce {
    over: Arc<AtomicBool>,
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

//! SIGINT and SIGTERM: the first asks a run to end well, the second ends it at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use llfm::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Remembers the first signal.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// Number of the last signal; 0: none yet.
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over both signals for the rest of the process.
    pub(crate) fn install() -> Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        let install = |signal: i32| -> std::io::Result<()> {
            // In this order: the first signal arms the shutdown that the second one meets.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&received), signal.unsigned_abs() as usize)?;
            flag::register(signal, Arc::clone(&armed))?;
            Ok(())
        };
        [SIGINT, SIGTERM]
            .into_iter()
            .try_for_each(install)
            .map_err(|e| Error::Device(format!("cannot watch for signals: {e}")))?;
        Ok(Self { received })
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

    /// Lets a signal end the process at once for as long as the guard lives, removing `litter`:
    /// while data is read there is nothing to save.
    pub(crate) fn end_at_once(&self, litter: Option<PathBuf>) -> AtOnce {
        let over = Arc::new(AtomicBool::new(false));
        let (signals, done) = (self.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if let Some(signal) = signals.received() {
                    litter.iter().for_each(|path| drop(std::fs::remove_file(path)));
                    super::console::complain("error", "interrupted; nothing was trained yet");
                    std::process::exit(128 + i32::from(signal));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        AtOnce { over }
    }
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

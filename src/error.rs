//! The one error type, and the exit code each kind of failure has.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::data::visible;

/// Everything that can go wrong, by what the user has to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or the configuration asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The data cannot be used as it is.
    #[error("{place}: {message}")]
    Data {
        /// File, line and column, as far as they are known.
        place: Place,
        /// What was expected, what was found, and the fix where it is known.
        message: String,
    },
    /// A model file that is damaged, inconsistent or from a newer version.
    #[error("{}: {message}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// No usable compute device.
    #[error("{0}")]
    Device(String),
    /// The operating system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The loss became infinite or grew beyond use.
    #[error("{0}")]
    Diverged(String),
    /// A signal asked the run to end; what could be saved is saved.
    #[error("interrupted")]
    Interrupted {
        /// 2 for SIGINT, 15 for SIGTERM, 1 for SIGHUP.
        signal: u8,
    },
}

/// The library's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// Where in the data an error stands: `file:line:column`, each part optional but the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, or `-` for standard input.
    pub file: PathBuf,
    /// Line, counted from 1; 0 where a line means nothing.
    pub line: u64,
    /// Byte column in the line, counted from 1; 0 where it is not known.
    pub column: u64,
}

impl Place {
    /// A whole file.
    pub fn file(file: &Path) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0 }
    }

    /// A line of a file.
    pub fn line(file: &Path, line: u64) -> Self {
        Self { file: file.to_owned(), line, column: 0 }
    }

    /// A line and column of a file.
    pub fn column(file: &Path, line: u64, column: u64) -> Self {
        Self { file: file.to_owned(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

impl Error {
    /// The process exit code: 2 usage, 3 data, 4 model, 5 device, 6 input/output, 7 diverged,
    /// 128 + signal when interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Data { .. } => 3,
            Self::Model { .. } => 4,
            Self::Device(_) => 5,
            Self::Io { .. } => 6,
            Self::Diverged(_) => 7,
            Self::Interrupted { signal } => 128 + signal,
        }
    }

    /// Whether the data of this very file is at fault.
    pub(crate) fn is_about(&self, path: &Path) -> bool {
        matches!(self, Self::Data { place, .. } if place.file == path)
    }

    /// A usage error about what stands in a file.
    pub fn usage(place: &Place, message: &str) -> Self {
        Self::Usage(format!("{place}: {}", visible(message)))
    }

    /// A data error at a place.
    pub fn data(place: Place, message: impl Into<String>) -> Self {
        Self::Data { place, message: visible(&message.into()) }
    }

    /// A model-file error.
    pub fn model(path: &Path, message: impl Into<String>) -> Self {
        Self::Model { path: path.to_owned(), message: visible(&message.into()) }
    }

    /// Adapts an [`std::io::Error`] for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

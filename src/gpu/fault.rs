//! Faults of a device on request: no driver can be made to fail at will, and tests need one that does.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// The environment variable tests set, as `allocate:3` or `lose:20,shader:blend`.
const VARIABLE: &str = "LLFM_FAULT";

/// Whether a device was opened before.
static OPENED: AtomicBool = AtomicBool::new(false);

/// What is to fail, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The buffer, counted from 1, whose allocation fails.
    pub(crate) allocate: Option<u64>,
    /// The device is lost after so many submissions.
    pub(crate) lose: Option<u64>,
    /// Only the first device of the process is lost.
    pub(crate) once: bool,
    /// The most bytes of one buffer that a kernel can reach.
    pub(crate) limit: Option<u64>,
    /// The kernel whose source does not compile.
    pub(crate) shader: Option<String>,
    /// The device has no timestamps.
    pub(crate) no_timestamps: bool,
    /// A text of a kernel's source that is replaced.
    pub(crate) edit: Option<Edit>,
}

/// A text of a kernel's source, and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) kernel: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Faults {
    /// What the environment asks for; nothing where it does not.
    ///
    /// # Errors
    /// [`Error::Usage`] for a fault that does not exist.
    pub(crate) fn from_env() -> Result<Self> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(Self::default()) };
        let faults = Self::parse(&text.to_string_lossy())?;
        let again = OPENED.swap(true, Ordering::Relaxed);
        Ok(if faults.once && again { Self { lose: None, ..faults } } else { faults })
    }

    fn parse(text: &str) -> Result<Self> {
        let unknown = || {
            Error::Usage(format!(
                "{VARIABLE}={text}: expected allocate:N, lose:N, lose-once:N, limit:N, shader:KERNEL, edit:KERNEL:FROM:TO or \
                 timestamps:off, comma-separated, N from 1"
            ))
        };
        let mut faults = Self::default();
        for fault in text.split(',').filter(|fault| !fault.is_empty()) {
            let (kind, value) = fault.split_once(':').ok_or_else(unknown)?;
            let number = || value.parse().ok().filter(|&n: &u64| n > 0).ok_or_else(unknown);
            match kind {
                "allocate" => faults.allocate = Some(number()?),
                "lose" => faults.lose = Some(number()?),
                "lose-once" => (faults.lose, faults.once) = (Some(number()?), true),
                "limit" => faults.limit = Some(number()?),
                "timestamps" if value == "off" => faults.no_timestamps = true,
                "shader" if !value.is_empty() => faults.shader = Some(value.to_owned()),
                "edit" => faults.edit = Some(Edit::parse(value).ok_or_else(unknown)?),
                _ => return Err(unknown()),
            }
        }
        Ok(faults)
    }

    /// A kernel's source with its faults.
    ///
    /// # Errors
    /// The text that was to be replaced does not occur.
    pub(super) fn inject(
        &self,
        kernel: &str,
        source: Cow<'static, str>,
    ) -> Result<Cow<'static, str>> {
        if self.shader.as_deref() == Some(kernel) {
            return Ok(format!("{source}\nan injected fault\n").into());
        }
        match &self.edit {
            Some(edit) if edit.kernel == kernel => {
                if !source.contains(&edit.from) {
                    let from = &edit.from;
                    return Err(Error::Usage(format!("{VARIABLE}: no `{from}` in `{kernel}`")));
                }
                Ok(source.replace(&edit.from, &edit.to).into())
            }
            _ => Ok(source),
        }
    }
}

impl Edit {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        Some(Self { kernel: parts.next()?, from: parts.next()?, to: parts.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_unknown_ones_refused() {
        assert_eq!(Faults::parse("").expect("no fault"), Faults::default());
        let all = Faults::parse("allocate:3,lose:20,shader:blend").expect("three faults");
        assert_eq!((all.allocate, all.lose), (Some(3), Some(20)));
        assert_eq!(all.shader.as_deref(), Some("blend"));
        for bad in [
            "allocate",
            "allocate:0",
            "allocate:x",
            "lose:-1",
            "shader:",
            "timestamps:on",
            "burn:1",
        ] {
            let error = Faults::parse(bad).expect_err(bad);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}

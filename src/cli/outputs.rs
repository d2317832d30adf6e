//! Outputs that cannot be meant or cannot be written, refused before any work is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use llfm::{Error, Result};

/// An output and the flag that names it.
pub(crate) type Output<'a> = (&'static str, &'a Path);

/// Refuses outputs that would replace a file unasked, or an input or another output even when asked.
pub(crate) fn check(outputs: &[Output<'_>], inputs: &[&Path], force: bool) -> Result<()> {
    for (i, &(flag, path)) in outputs.iter().enumerate() {
        if let Some(input) = inputs.iter().find(|input| is_same(path, input)) {
            return Err(Error::Usage(format!(
                "{flag} {} is the input {}: choose another name",
                path.display(),
                input.display()
            )));
        }
        let to = resolved(path);
        let twin = outputs[..i].iter().find(|(_, other)| resolved(other) == to);
        if let Some((other, _)) = twin.filter(|_| !is_special(path)) {
            return Err(Error::Usage(format!(
                "{flag} {} is a file that {other} writes too: choose another name",
                path.display()
            )));
        }
        refuse_existing(path, flag, force)?;
        require_folder(path)?;
    }
    Ok(())
}

/// Refuses to replace a file unasked, or a folder or a link that leads nowhere at all.
pub(crate) fn refuse_existing(path: &Path, flag: &str, force: bool) -> Result<()> {
    let shown = path.display();
    if path.is_symlink() && !path.exists() {
        return Err(Error::Usage(format!(
            "{flag} {shown} is a link to what is not there: make it, or remove the link"
        )));
    }
    if path.is_dir() {
        return Err(Error::Usage(format!("{flag} {shown} is a folder: name a file in it")));
    }
    if path.exists() && !force && !is_special(path) {
        return Err(Error::Usage(format!(
            "{flag} {shown} exists: choose another name, or add --force to replace it"
        )));
    }
    Ok(())
}

/// Refuses a folder that is missing: minutes of training would end in nothing.
pub(crate) fn require_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let message = format!("there is no folder {}", folder.display());
            Err(Error::io("write", path)(io::Error::new(io::ErrorKind::NotFound, message)))
        }
        _ => Ok(()),
    }
}

/// A device or pipe: nothing there can be lost.
pub(crate) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// The path by which a file is known, also of one that is not there yet.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.join(path.file_name().unwrap_or_default())
    })
}

/// Whether both are one file on the disk; a terminal may well be read and written.
fn is_same(output: &Path, input: &Path) -> bool {
    match (fs::canonicalize(output), fs::canonicalize(input)) {
        (Ok(a), Ok(b)) => a == b && !is_special(&a),
        _ => false,
    }
}

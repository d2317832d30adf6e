//! Files that appear whole or not at all, and a lock so that two runs never share one.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempPath;

use crate::error::{Error, Result};

/// A file under construction: it replaces what stands at its path only when it is finished.
///
/// Devices and pipes (`/dev/stdout`, a FIFO) cannot be replaced and are written straight.
#[derive(Debug)]
pub struct AtomicFile {
    /// The path as it was given, for messages.
    named: PathBuf,
    /// The file it leads to.
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// Written under another name until it is finished. Not a `NamedTempFile`, whose errors name that,
    /// and keep the system's words to themselves.
    Replaced(BufWriter<File>, TempPath),
    Straight(BufWriter<File>),
    /// Nothing is to appear.
    Unnamed(BufWriter<File>),
}

impl Sink {
    fn file(&mut self) -> &mut BufWriter<File> {
        match self {
            Self::Replaced(file, _) | Self::Straight(file) | Self::Unnamed(file) => file,
        }
    }
}

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder is missing or cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let named = path.to_owned();
        // A link is kept, and what it points to replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let special = fs::metadata(&path).is_ok_and(|m| !m.is_file());
        let sink = if special {
            let file =
                File::options().write(true).open(&path).map_err(Error::io("write", &named))?;
            Sink::Straight(BufWriter::new(file))
        } else {
            let (file, temporary) = temporary_beside(&path).map_err(Error::io("create", &named))?;
            Sink::Replaced(BufWriter::new(file), temporary)
        };
        let file = Self { named, path, sink };
        // What replaces a file that others may not read is as private.
        if file.path.is_file() {
            let path = file.path.clone();
            return file.with_rights_of(&path);
        }
        Ok(file)
    }

    /// Lets nobody read it who may not read `source`.
    pub(crate) fn with_rights_of(self, source: &Path) -> Result<Self> {
        #[cfg(unix)]
        if let (Sink::Replaced(file, _), Ok(meta)) = (&self.sink, fs::metadata(source)) {
            let rights = file.get_ref().set_permissions(meta.permissions());
            rights.map_err(Error::io("write", &self.named))?;
        }
        #[cfg(not(unix))]
        let _ = source;
        Ok(self)
    }

    /// A file in `folder` that never appears, and is gone when it is closed.
    pub(crate) fn unnamed(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io("create a file in", folder))?;
        let (named, path) = (folder.to_owned(), folder.to_owned());
        Ok(Self { named, path, sink: Sink::Unnamed(BufWriter::new(file)) })
    }

    /// The open file, with everything written to it.
    pub(crate) fn into_file(self) -> Result<File> {
        let fail = Error::io("write", &self.named);
        match self.sink {
            Sink::Replaced(file, _) | Sink::Straight(file) | Sink::Unnamed(file) => {
                file.into_inner().map_err(|e| fail(e.into_error()))
            }
        }
    }

    /// Brings everything to the disk and puts the file in place.
    ///
    /// # Errors
    /// [`Error::Io`]; whatever stood at the path before is then untouched.
    pub fn finish(self) -> Result<()> {
        let fail = || Error::io("write", &self.named);
        match self.sink {
            Sink::Straight(mut file) | Sink::Unnamed(mut file) => file.flush().map_err(fail()),
            Sink::Replaced(file, temporary) => {
                let file = file.into_inner().map_err(|e| fail()(e.into_error()))?;
                file.sync_all().map_err(fail())?;
                temporary.persist(&self.path).map_err(|e| fail()(e.error))?;
                sync_folder(&self.path);
                Ok(())
            }
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.file().flush()
    }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// [`Error::Io`]; whatever stood at the path before is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.finish()
}

/// The end of the names of files under construction.
pub(crate) const TEMPORARY: &str = ".llfm-tmp";

/// Random characters before it.
const RANDOM: usize = 6;

/// Hidden, and known by the output: `.NAME` and what is added.
fn hidden(output: &Path, end: &str) -> OsString {
    let mut name = OsString::from(".");
    name.push(output.file_name().unwrap_or_default());
    name.push(end);
    name
}

/// Removes what killed runs left of an output half written. Nobody else may be writing it.
fn remove_litter(output: &Path) {
    let start = hidden(output, "-");
    // Without the length, `a` would take what `a-b` is writing for its own.
    let length = start.len() + RANDOM + TEMPORARY.len();
    for entry in fs::read_dir(folder_of(output)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let begins = name.starts_with(start.as_encoded_bytes());
        if begins && name.ends_with(TEMPORARY.as_bytes()) && name.len() == length {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn temporary_beside(path: &Path) -> io::Result<(File, TempPath)> {
    let mut builder = tempfile::Builder::new();
    let start = hidden(path, "-");
    builder.prefix(&start).suffix(TEMPORARY).rand_bytes(RANDOM);
    // Opened here for the rights of an ordinary new file, not the private ones of a temporary.
    let open = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
    let (file, temporary) = builder.make_in(folder_of(path), open)?.into_parts();
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.retain(|path| path.exists());
    unfinished.push(temporary.to_path_buf());
    Ok((file, temporary))
}

/// Temporary files that may still be there; finished ones have another name.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes what is under construction anywhere in this process, which is about to end at once.
pub fn remove_unfinished() {
    remove_unfinished_if(|_| true);
}

fn remove_unfinished_if(chosen: impl Fn(&Path) -> bool) {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.iter().filter(|path| chosen(path)).for_each(|path| drop(fs::remove_file(path)));
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the rename survive a power cut; systems that cannot open folders do it by themselves.
pub(crate) fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

/// The right to write one output, held until dropped or the process ends, however it ends.
///
/// It is a system lock on an empty hidden file beside the output, removed when the lock is dropped.
/// After `kill -9` the file stays, but no longer counts: the next run takes it over and removes it.
#[derive(Debug)]
pub struct OutputLock {
    path: PathBuf,
    _file: File,
}

impl OutputLock {
    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock of `output`.
    ///
    /// # Errors
    /// [`Error::Io`] when another process holds it, or the folder cannot be written.
    pub fn acquire(output: &Path) -> Result<Self> {
        let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
        let path = folder_of(&output).join(hidden(&output, ".lock"));
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(Error::io("create", &path))?;
            match file.try_lock() {
                // The holder may have removed the file between our opening and locking it.
                Ok(()) if still_at(&file, &path) => {
                    remove_litter(&output);
                    return Ok(Self { path, _file: file });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(output)),
                // A file system without locks: better no protection than no training.
                Err(TryLockError::Error(e)) if has_no_locks(&e) => {
                    return Ok(Self { path, _file: file });
                }
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
            }
        }
    }
}

/// Whether there are no locks to be had, as on a network file system without a lock daemon.
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = if cfg!(target_os = "linux") { 37 } else { 77 };
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(unix) && error.raw_os_error() == Some(ENOLCK))
}

impl Drop for OutputLock {
    fn drop(&mut self) {
        // Removed while still held, so that nobody can lock a file that is about to vanish unseen.
        let _ = fs::remove_file(&self.path);
    }
}

fn busy(path: PathBuf) -> Error {
    let source = io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another llfm is writing it: wait for that run, or choose another output",
    );
    Error::Io { action: "write", path, source }
}

#[cfg(unix)]
fn still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn still_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_one_on_the_same_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, ab] = ["a", "a-b"].map(|name| folder.path().join(name));
        for path in [&a, &ab] {
            std::mem::forget(AtomicFile::create(path).expect("a file"));
        }
        let there = || fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(there(), 2);
        drop(OutputLock::acquire(&ab).expect("a lock"));
        assert_eq!(there(), 1, "that of another output stays");
        drop(OutputLock::acquire(&a).expect("a lock"));
        assert_eq!(there(), 0);
    }

    #[test]
    fn what_the_system_says_is_told_without_the_name_of_a_temporary_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let file = AtomicFile::create(&path).expect("a file");
        fs::create_dir(&path).expect("a folder where the file is to be");
        let missing = folder.path().join("none").join("a");
        let failed = [file.finish(), AtomicFile::create(&missing).map(drop)];
        for error in failed.map(|done| done.expect_err("there is no room for a file").to_string()) {
            assert!(error.contains("(os error ") && !error.contains(TEMPORARY), "{error}");
        }
    }

    #[test]
    fn what_is_unfinished_is_removed_when_the_process_ends_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = || fs::read_dir(folder.path()).expect("a folder").count();
        write_atomic(&folder.path().join("a"), b"whole").expect("a file");
        let mut file = AtomicFile::create(&folder.path().join("b")).expect("a file");
        file.write_all(b"half").expect("written");
        assert_eq!(there(), 2);
        remove_unfinished_if(|path| path.starts_with(folder.path()));
        assert_eq!(fs::read(folder.path().join("a")).expect("the first file"), b"whole");
        assert_eq!(there(), 1);
    }
}

//! A file of finished work, a JSON object a line, so that a run that was killed goes on where it was.
//!
//! The first line is the header: what the run is (settings, a fingerprint of the data). Every further
//! line is one piece of finished work. A line is written at once and brought to the disk before the
//! next piece begins: whatever ends the process, a piece stands in the file wholly, or was not done.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use crate::difference::difference;
use crate::error::{Error, Place, Result};
use crate::output::{OutputLock, write_atomic};

/// A journal open for writing; nobody else can write it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    _lock: OutputLock,
}

impl Journal {
    /// Starts a journal.
    ///
    /// # Errors
    /// [`Error::Usage`] where a file stands at `path` and `force` is off, [`Error::Io`] where it
    /// cannot be written or another process is writing it.
    pub fn create(path: &Path, header: &impl Serialize, force: bool) -> Result<Self> {
        let lock = OutputLock::acquire(path)?;
        if path.exists() && !force {
            return Err(Error::Usage(format!(
                "{} exists: go on with it by --resume, replace it by --force, or choose another name",
                path.display()
            )));
        }
        Self::start(path, header, lock)
    }

    /// Goes on with a journal: opens it behind its last whole line, and returns its entries in the
    /// order they were written. A file that is missing is started.
    ///
    /// A last line that was not written to its end is cut off: that piece of work was not finished.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file's header is another one, with what differs; [`Error::Data`]
    /// for a line that is no entry; [`Error::Io`] as [`create`](Self::create).
    pub fn resume<T: DeserializeOwned>(
        path: &Path,
        header: &impl Serialize,
    ) -> Result<(Self, Vec<T>)> {
        Self::resume_without(path, header, |_| false)
    }

    /// Goes on with a journal as [`resume`](Self::resume) does, and first takes out the entries of
    /// work that is to be done again. The other lines stay as they are.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub fn resume_without<T: DeserializeOwned>(
        path: &Path,
        header: &impl Serialize,
        mut again: impl FnMut(&T) -> bool,
    ) -> Result<(Self, Vec<T>)> {
        let lock = OutputLock::acquire(path)?;
        let Some(found) = load::<T>(path, header)? else {
            return Ok((Self::start(path, header, lock)?, Vec::new()));
        };
        let (mut entries, mut kept) = (Vec::new(), found.header);
        let mut all = true;
        for (entry, line) in found.entries {
            if again(&entry) {
                all = false;
                continue;
            }
            kept.extend(line);
            entries.push(entry);
        }
        if !all {
            write_atomic(path, &kept)?;
        }
        let length = kept.len() as u64;
        let file = File::options().append(true).open(path).map_err(Error::io("write", path))?;
        file.set_len(length).map_err(Error::io("write", path))?;
        Ok((Self { path: path.to_owned(), file, length, _lock: lock }, entries))
    }

    /// Writes an entry and brings it to the disk.
    ///
    /// # Errors
    /// [`Error::Io`]; the file then ends with the entry before.
    pub fn append(&mut self, entry: &impl Serialize) -> Result<()> {
        let line = line_of(&self.path, entry)?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line in the middle would make the file unreadable.
            let _ = self.file.set_len(self.length);
            return Err(Error::io("write", &self.path)(error));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    fn start(path: &Path, header: &impl Serialize, lock: OutputLock) -> Result<Self> {
        let line = line_of(path, header)?;
        write_atomic(path, &line)?;
        let file = File::options().append(true).open(path).map_err(Error::io("write", path))?;
        Ok(Self { path: path.to_owned(), file, length: line.len() as u64, _lock: lock })
    }
}

/// The whole lines of a file.
struct Lines<T> {
    header: Vec<u8>,
    /// Each with its line as written.
    entries: Vec<(T, Vec<u8>)>,
}

/// What a file has; `None` where there is nothing to go on with.
fn load<T: DeserializeOwned>(path: &Path, header: &impl Serialize) -> Result<Option<Lines<T>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let expected = line_of(path, header)?;
    // A header appears whole; only an accident outside cuts it.
    if expected.starts_with(&bytes) && bytes.len() < expected.len() {
        return Ok(None);
    }
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut lines = bytes[..whole].split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let Ok(found @ Value::Object(_)) = serde_json::from_slice::<Value>(first) else {
        return Err(Error::Usage(format!(
            "{} is no journal of llfm: choose another name, or add --force to replace it",
            path.display()
        )));
    };
    same_header(path, &found, &expected)?;
    let mut entries = Vec::new();
    for (i, line) in lines.enumerate() {
        let entry = serde_json::from_slice(line).map_err(|error| {
            let message = format!(
                "expected an entry of the journal: {error}; take the line out to have that work done \
                 again"
            );
            Error::data(Place::line(path, i as u64 + 2), message)
        })?;
        entries.push((entry, line.to_vec()));
    }
    Ok(Some(Lines { header: first.to_vec(), entries }))
}

/// Refuses to mix the work of two runs.
fn same_header(path: &Path, found: &Value, expected: &[u8]) -> Result<()> {
    let expected: Value = serde_json::from_slice(expected).map_err(|e| unwritable(path, e))?;
    let Some(differences) = difference(path, found, &expected)? else { return Ok(()) };
    Err(Error::Usage(format!(
        "{} is the journal of another run: {differences}. Give the settings and data it was made \
         with, choose another name, or replace it by --force",
        path.display(),
    )))
}

fn line_of(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(|e| unwritable(path, e))?;
    line.push(b'\n');
    Ok(line)
}

pub(crate) fn unwritable(path: &Path, error: serde_json::Error) -> Error {
    Error::io("write", path)(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Entry {
        trial: usize,
        loss: f64,
        note: String,
    }

    fn entry(trial: usize) -> Entry {
        Entry { trial, loss: 0.1 + trial as f64 / 3.0, note: "ü \n \"q\"".into() }
    }

    fn header() -> Value {
        json!({"command": "search", "settings": {"epochs": 3, "clip": 0.1_f32}})
    }

    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        Bench { _folder: folder, path }
    }

    fn filled(bench: &Bench, entries: usize) -> Vec<u8> {
        let mut journal = Journal::create(&bench.path, &header(), true).expect("starts");
        for trial in 0..entries {
            journal.append(&entry(trial)).expect("writes");
        }
        fs::read(&bench.path).expect("is there")
    }

    fn resume(bench: &Bench) -> Result<(Journal, Vec<Entry>)> {
        Journal::resume(&bench.path, &header())
    }

    fn message(done: Result<impl std::fmt::Debug>) -> String {
        let error = done.expect_err("is refused");
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let bench = bench();
        filled(&bench, 3);
        let (mut journal, entries) = resume(&bench).expect("goes on");
        assert_eq!(entries, [entry(0), entry(1), entry(2)]);
        journal.append(&entry(3)).expect("writes");
        drop(journal);
        assert_eq!(resume(&bench).expect("goes on").1.len(), 4);
    }

    #[test]
    fn a_file_cut_anywhere_in_its_last_line_goes_on_to_the_same_bytes() {
        let bench = bench();
        let before = filled(&bench, 1).len();
        let whole = filled(&bench, 2);
        for cut in before..whole.len() {
            fs::write(&bench.path, &whole[..cut]).expect("is written");
            let (mut journal, entries) = resume(&bench).expect("goes on");
            assert_eq!(entries, [entry(0)], "cut at {cut}");
            journal.append(&entry(1)).expect("writes");
            drop(journal);
            assert_eq!(fs::read(&bench.path).expect("is there"), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_in_its_header_starts_afresh() {
        let bench = bench();
        let whole = filled(&bench, 0);
        for cut in 0..whole.len() {
            fs::write(&bench.path, &whole[..cut]).expect("is written");
            let (journal, entries) = resume(&bench).expect("starts");
            drop(journal);
            assert_eq!(entries, []);
            assert_eq!(fs::read(&bench.path).expect("is there"), whole, "cut at {cut}");
        }
    }

    #[test]
    fn entries_to_be_made_again_are_taken_out_and_the_others_stay_as_written() {
        let bench = bench();
        let whole = filled(&bench, 4);
        let lines: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
        let again = |entry: &Entry| entry.trial == 1;
        let (mut journal, entries) =
            Journal::resume_without(&bench.path, &header(), again).expect("goes on");
        assert_eq!(entries, [entry(0), entry(2), entry(3)]);
        let kept = [lines[0], lines[1], lines[3], lines[4]].concat();
        assert_eq!(fs::read(&bench.path).expect("is there"), kept);
        journal.append(&entry(1)).expect("writes");
        let written = [&kept, lines[2]].concat();
        assert_eq!(fs::read(&bench.path).expect("is there"), written);
    }

    #[test]
    fn a_missing_file_is_started() {
        let bench = bench();
        assert!(!bench.path.exists());
        let (journal, entries) = resume(&bench).expect("starts");
        assert_eq!(entries, []);
        drop(journal);
        assert!(bench.path.exists());
    }

    #[test]
    fn an_existing_file_is_replaced_only_by_force() {
        let bench = bench();
        let whole = filled(&bench, 2);
        let refused = message(Journal::create(&bench.path, &header(), false));
        assert!(refused.contains("--resume") && refused.contains("--force"), "{refused}");
        assert_eq!(fs::read(&bench.path).expect("is there"), whole);
        drop(Journal::create(&bench.path, &header(), true).expect("starts"));
        assert_eq!(resume(&bench).expect("goes on").1, []);
    }

    #[test]
    fn another_header_is_refused_with_what_differs() {
        let bench = bench();
        let whole = filled(&bench, 1);
        let other = json!({"command": "search", "settings": {"epochs": 4, "l2": 0.5}});
        let refused = message(Journal::resume::<Entry>(&bench.path, &other));
        for part in ["settings.epochs is 3 there and 4 now", "settings.l2 is nothing there", "clip"]
        {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(!refused.contains("command"), "{refused}");
        assert_eq!(fs::read(&bench.path).expect("is there"), whole);
    }

    #[test]
    fn a_file_that_is_no_journal_stays_as_it_is() {
        let bench = bench();
        for text in ["a,b\n1,2\n", "no line", "\n"] {
            fs::write(&bench.path, text).expect("is written");
            assert!(message(resume(&bench)).contains("no journal"), "{text}");
            assert_eq!(fs::read_to_string(&bench.path).expect("is there"), text);
        }
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let bench = bench();
        let mut bytes = filled(&bench, 1);
        bytes.extend(b"{\"trial\":true}\n");
        fs::write(&bench.path, &bytes).expect("is written");
        let error = resume(&bench).expect_err("is refused");
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("a.jsonl:3"), "{error}");
    }

    #[test]
    fn two_writers_do_not_share_a_file() {
        let bench = bench();
        let first = Journal::create(&bench.path, &header(), false).expect("starts");
        assert_eq!(resume(&bench).expect_err("is refused").exit_code(), 6);
        let second = Journal::create(&bench.path, &header(), true);
        assert_eq!(second.expect_err("is refused").exit_code(), 6);
        drop(first);
        resume(&bench).expect("goes on");
    }
}

//! The rows of a text file as they were read, kept beside it: the next run need not parse the text.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::chunk_file::{ChunkFile, ChunkWriter};
use super::format::Format;
use super::notes::Notes;
use super::raw::{Cells, RawRows};
use super::reader::Request;
use super::source::{Input, check_memory};
use crate::error::{Error, Result};

/// What a file's name gets.
const ENDING: &str = ".llfm-cache";

/// What the readers make of a file. Every change of it (other kinds of columns, other words for a
/// missing cell, other notes) has to count this up, or caches would go on giving the rows of before.
const READER: u32 = 1;

/// About the bytes of a chunk.
const CHUNK_BYTES: usize = 1 << 24;

/// Where the rows of a file are kept, and what they have to be made from.
pub(crate) struct Cache<'a> {
    request: Request<'a>,
    path: PathBuf,
    key: String,
}

/// Refuses to keep the rows of what is no file: pipes can be read only once.
///
/// # Errors
/// [`Error::Usage`] for standard input, pipes and devices; [`Error::Io`] for no file at all.
pub fn check_cacheable(path: &Path) -> Result<()> {
    let stdin = super::source::is_stdin(path);
    let special =
        || std::fs::metadata(path).map(|meta| !meta.is_file()).map_err(Error::io("read", path));
    if !stdin && !special()? {
        return Ok(());
    }
    let what = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    Err(Error::Usage(format!(
        "--cache keeps rows beside their file, and {what} is none: leave the flag out"
    )))
}

impl<'a> Cache<'a> {
    /// The cache of a file; `None` for arrays, which are binary anyway.
    ///
    /// # Errors
    /// Those of [`check_cacheable`], and files that cannot be read.
    pub(crate) fn of(request: &Request<'a>, notes: &mut Notes) -> Result<Option<Self>> {
        let source = request.path;
        check_cacheable(source)?;
        let mut input = Input::open(source, request.options.max_memory)?;
        // What it says is said again when the file is read, or was when it was kept.
        let format = Format::decide(request.options.format, &mut input, &mut Notes::new())?;
        if matches!(format, Format::Idx | Format::Npy) {
            let (file, format) = (source.display(), format.name());
            notes.detail(format!("{file}: {format} is binary, --cache would gain nothing"));
            return Ok(None);
        }
        let mut name = OsString::from(source.as_os_str());
        name.push(ENDING);
        let key = key(request, READER)?;
        Ok(Some(Self { request: *request, path: PathBuf::from(name), key }))
    }

    /// The rows kept, with the notes of when they were read; `None` where they have to be read.
    ///
    /// # Errors
    /// [`Error::Data`] where they need more memory than allowed.
    pub(crate) fn rows(&self, notes: &mut Notes) -> Result<Option<RawRows>> {
        let (file, path) = (self.request.path, self.path.display());
        let source = file.display();
        if !self.path.exists() {
            return Ok(None);
        }
        let found = ChunkFile::open(&self.path).and_then(|file| {
            if file.key() != self.key {
                return Ok(None);
            }
            check_memory(file.row_bytes(), self.request.options.max_memory, self.request.path)?;
            Ok(Some((file.read_all()?, file.notes().clone())))
        });
        match found {
            Ok(Some((rows, mut said))) => {
                notes.absorb(&mut said);
                notes.detail(format!("{source}: rows taken from {path}"));
                return Ok(Some(rows));
            }
            Err(error @ Error::Data { .. }) if error.is_about(file) => return Err(error),
            Ok(None) => notes.detail(format!("{path}: of another file or other flags")),
            Err(error) => notes.detail(error.to_string()),
        }
        Ok(None)
    }

    /// Keeps rows for the next time. Where that fails a warning says so.
    pub(crate) fn keep(&self, rows: &RawRows, said: &Notes, notes: &mut Notes) {
        let (source, path) = (self.request.path.display(), self.path.display());
        match self.write(rows, said) {
            Ok(true) => notes.detail(format!("{source}: rows kept in {path}")),
            Ok(false) => notes.warn(format!(
                "{source} has changed while it was read: --cache keeps nothing of it"
            )),
            Err(error) => {
                notes.warn(format!("{error}; the run goes on, but --cache keeps nothing of it"));
            }
        }
    }

    /// False where the rows may not be those of the key.
    fn write(&self, rows: &RawRows, said: &Notes) -> Result<bool> {
        // The file was read twice, for the key and for the rows.
        if key(&self.request, READER)? != self.key {
            return Ok(false);
        }
        if !ChunkFile::may_replace(&self.path) {
            let foreign = "something else stands there; move it away".into();
            return Err(Error::io("write", &self.path)(std::io::Error::other::<String>(foreign)));
        }
        let n = rows.n_rows();
        let cells = match &rows.cells {
            Cells::Table(cells) => 4 * cells.len(),
            Cells::Sparse(csr) => 8 * csr.values.len() + 4 * n,
        };
        let at_once = (CHUNK_BYTES / (cells / n.max(1) + 12)).max(1);
        let mut writer = ChunkWriter::create(&self.path, self.request.path)?;
        for start in (0..n).step_by(at_once) {
            writer.push_part(rows, start..(start + at_once).min(n))?;
        }
        writer.finish(&self.key, said).map(|()| true)
    }
}

/// All that the rows of a file depend on, and its name, which notes speak of.
fn key(request: &Request<'_>, reader: u32) -> Result<String> {
    let mut options = request.options.clone();
    options.max_memory = 0;
    let mut hasher = Sha256::new();
    let schema = request.schema.map(serde_json::to_string).transpose();
    let schema = schema.map_err(|e| Error::io("write", request.path)(e.into()))?;
    let schema = schema.unwrap_or_default();
    let (path, need_labels) = (request.path, request.need_labels);
    let version = env!("CARGO_PKG_VERSION");
    let said = format!("{version} {reader}\n{path:?}\n{options:?}\n{need_labels}\n{schema}\n");
    hasher.update(said.as_bytes());
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    std::io::copy(&mut file, &mut hasher).map_err(Error::io("read", path))?;
    Ok(format!("{:x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ReadOptions;

    #[test]
    fn rows_of_a_file_that_changed_meanwhile_or_of_another_reader_are_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        let options = ReadOptions::default();
        let write = |text: &str| std::fs::write(&path, text).expect("is written");
        write("1,2,0\n3,4,1\n");
        let request = Request { path: &path, options: &options, schema: None, need_labels: true };
        let other = key(&request, READER + 1).expect("a key");
        assert_ne!(key(&request, READER).expect("a key"), other);

        let mut notes = Notes::new();
        let cache = Cache::of(&request, &mut notes).expect("a file").expect("text");
        write("1,2,0\n3,5,1\n");
        let rows = crate::data::read(&path, &options, &mut notes).expect("rows");
        cache.keep(&rows, &Notes::new(), &mut notes);
        assert!(!cache.path.exists(), "{notes:?}");
        assert!(notes.iter().any(|note| note.text.contains("has changed while")), "{notes:?}");

        let cache = Cache::of(&request, &mut notes).expect("a file").expect("text");
        cache.keep(&rows, &Notes::new(), &mut notes);
        assert!(cache.path.exists());
    }
}

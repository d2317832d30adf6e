//! Which format a file is in: by its name, else by its first lines.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chunk_file::MARK;
use super::notes::Notes;
use super::number::{self, Token};
use super::source::{Input, unpacked_name};
use crate::container::{DIGITS, LENGTH_BYTES};
use crate::error::{Error, Place, Result};

/// The file formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `label index:value …`, only the non-zero features.
    Libsvm,
    /// `label field:index:value …`; the field is ignored.
    Libffm,
    /// Comma- or semicolon-separated columns, one of them the label.
    Csv,
    /// Tab-separated columns.
    Tsv,
    /// The MNIST format: big-endian arrays, labels in a file of their own.
    Idx,
    /// `user item rating`, one-hot encoded.
    Ratings,
    /// NumPy arrays, labels in a file of their own.
    Npy,
}

/// How much of the file is looked at to guess its format, and whether it is text, in bytes.
const GLANCE: usize = 1 << 16;

impl Format {
    /// The format a file's name stands for, if it stands for one.
    pub fn from_name(path: &Path) -> Option<Self> {
        let name = unpacked_name(path);
        // Every meaningful part of a name is ASCII, so bytes that are not UTF-8 do no harm.
        let name = name.file_name()?.to_string_lossy().to_ascii_lowercase();
        if is_ratings_name(&name) {
            return Some(Self::Ratings);
        }
        if is_idx_name(&name) {
            return Some(Self::Idx);
        }
        match name.rsplit_once('.')?.1 {
            "libsvm" | "svm" | "svmlight" => Some(Self::Libsvm),
            "ffm" | "libffm" => Some(Self::Libffm),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "npy" => Some(Self::Npy),
            _ => None,
        }
    }

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Libsvm => "libsvm",
            Self::Libffm => "libffm",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Idx => "idx",
            Self::Ratings => "ratings",
            Self::Npy => "npy",
        }
    }

    /// The format asked for, else by name, else by content, which is noted.
    ///
    /// # Errors
    /// Those of [`check_text`] where the format is one of text.
    pub(crate) fn decide(
        asked: Option<Self>,
        input: &mut Input,
        notes: &mut Notes,
    ) -> Result<Self> {
        let known = asked.or_else(|| Self::from_name(input.path()));
        let format = match known {
            Some(format) => format,
            None => Self::from_content(input.peek(GLANCE)?),
        };
        if !matches!(format, Self::Idx | Self::Npy) {
            check_text(input)?;
        }
        if known.is_some() {
            return Ok(format);
        }
        notes.info(format!(
            "{}: read as {} by its first lines (--format overrides)",
            input.path().display(),
            format.name()
        ));
        Ok(format)
    }

    fn from_content(head: &[u8]) -> Self {
        match head {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => return Self::Npy,
            [0, 0, 0x08..=0x0e, 1..=8, ..] => return Self::Idx,
            _ => {}
        }
        let lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> =
            lines.filter(|line| !line.is_empty() && line[0] != b'#').take(20).collect();
        if let Some(format) = lines.iter().find_map(|line| colon_format(line)) {
            return format;
        }
        match lines.first() {
            Some(line) if line.contains(&b'\t') && !line.contains(&b',') => Self::Tsv,
            _ => Self::Csv,
        }
    }
}

/// Refuses what begins as no text does, with a zero byte in it, before anything is made of it; a file
/// of zeros would be one line.
///
/// # Errors
/// Says what it is where that is known.
pub(crate) fn check_text(input: &mut Input) -> Result<()> {
    let head = input.peek(GLANCE)?;
    let Some(zero) = memchr::memchr(0, head) else { return Ok(()) };
    let known = known_binary(head);
    let above = memchr::memchr_iter(b'\n', &head[..zero]).count();
    let start = memchr::memrchr(b'\n', &head[..zero]).map_or(0, |end| end + 1);
    let (line, column) = (above as u64 + 1, (zero - start) as u64 + 1);
    let path = input.path();
    Err(match known {
        Some(what) => Error::data(Place::file(path), format!("expected rows, found {what}")),
        None => Error::data(
            Place::column(path, line, column),
            "expected UTF-8 text, found a zero byte: is the file binary, or UTF-16?",
        ),
    })
}

/// What a file that is no text is, and what to do with it.
fn known_binary(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PK\x03\x04") {
        return Some("a zip archive: unpack it; save a spreadsheet as csv");
    }
    if head.starts_with(&MARK[..MARK.len() - 1]) {
        return Some("a cache of llfm: name the file it was made from");
    }
    // As `crate::container` begins files: a length, and the metadata in the order of their names.
    let header = head.get(LENGTH_BYTES..)?.strip_prefix(br#"{"__metadata__":{"checksum":""#)?;
    match header.get(DIGITS..)? {
        rest if rest.starts_with(br#"","config":"#) => Some(
            "a model of llfm: predict and evaluate take it before DATA, train goes on from it by \
             --init-model",
        ),
        rest if rest.starts_with(br#"","format_version":"#) => {
            Some("a checkpoint of llfm: train goes on from its folder by --checkpoint and --resume")
        }
        _ => None,
    }
}

/// MovieLens' names: `u.data`, `u1.base`, `ua.test`.
fn is_ratings_name(name: &str) -> bool {
    let split = name.as_bytes();
    name == "u.data"
        || (split.len() == 7 && split[0] == b'u' && matches!(&split[2..], b".base" | b".test"))
}

/// `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, `digits.idx`.
fn is_idx_name(name: &str) -> bool {
    name.ends_with(".idx")
        || ["-idx", ".idx"].iter().any(|mark| {
            name.find(mark)
                .is_some_and(|at| matches!(name.as_bytes().get(at + mark.len()), Some(b'1'..=b'9')))
        })
}

/// Recognises `[label] index:value …` and `[label] field:index:value …`.
fn colon_format(line: &[u8]) -> Option<Format> {
    let line = line.split(|&byte| byte == b'#').next().unwrap_or(line);
    let mut tokens = line
        .split(u8::is_ascii_whitespace)
        .filter(|token| !token.is_empty() && !token.starts_with(b"qid:"))
        .peekable();
    if !tokens.peek()?.contains(&b':') {
        tokens.next();
    }
    // The last token may be cut off by the end of the glance: the first pair decides.
    let mut parts = tokens.next()?.split(|&byte| byte == b':');
    let whole = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    if !whole(parts.next()) {
        return None;
    }
    let number = |part: &[u8]| matches!(number::token(part), Token::Number(_));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(value), None, None) if number(value) => Some(Format::Libsvm),
        (index, Some(value), None) if whole(index) && number(value) => Some(Format::Libffm),
        _ => None,
    }
}

//! Which format a file is in: by its name, else by its first lines.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::notes::Notes;
use super::number::{self, Token};
use super::source::{Input, unpacked_name};
use crate::error::Result;

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

/// How much of the file is looked at to guess its format, in bytes.
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
    pub(crate) fn decide(
        asked: Option<Self>,
        input: &mut Input,
        notes: &mut Notes,
    ) -> Result<Self> {
        if let Some(format) = asked.or_else(|| Self::from_name(input.path())) {
            return Ok(format);
        }
        let format = Self::from_content(input.peek(GLANCE)?);
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

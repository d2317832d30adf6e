//! Gathers the label of each row while a file is read.

use std::path::Path;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::build::WORD_BYTES;
use super::number::{self, Token};
use super::raw::RawLabels;
use crate::error::{Error, Place, Result};

/// The labels so far: numbers until the first word, from then on names.
#[derive(Debug, Default)]
pub(crate) struct LabelColumn {
    numbers: Vec<f64>,
    words: Option<Words>,
    /// First line of the chunk's numbers, told when they have to become names.
    first_line: u64,
}

/// The labels of some rows, of which nobody knows yet whether words stand above them.
#[derive(Debug, Default)]
pub(crate) struct LabelBlock {
    /// Of every row, whatever it is where there is a word.
    numbers: Vec<f64>,
    /// Row and label.
    words: Vec<(usize, String)>,
}

/// What a label is.
enum Label {
    Number(f64),
    Word(String),
}

impl Label {
    /// Reads the label that `field` spells; it may not be missing or infinite.
    #[inline]
    fn read(field: &[u8], place: impl Fn() -> Place) -> Result<Self> {
        match number::token(field) {
            Token::Number(value) if value.is_finite() => Ok(Self::Number(value)),
            Token::Word => Ok(Self::Word(number::word(field, place)?.to_owned())),
            Token::Number(_) => {
                let found = number::shown(field);
                Err(Error::data(place(), format!("expected a finite label, found `{found}`")))
            }
            Token::Missing => Err(missing(place())),
        }
    }
}

impl LabelBlock {
    /// Adds the label that `field` spells; it may not be missing or infinite.
    #[inline]
    pub(crate) fn push(&mut self, field: &[u8], place: impl Fn() -> Place) -> Result<()> {
        let number = match Label::read(field, place)? {
            Label::Number(value) => value,
            Label::Word(word) => {
                self.words.push((self.numbers.len(), word));
                0.0
            }
        };
        self.numbers.push(number);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Words {
    /// Name to the line it was first seen on; the place is its code.
    names: IndexMap<String, u64>,
    codes: Vec<u32>,
    /// What the names take, in bytes.
    bytes: usize,
}

impl Words {
    fn push(&mut self, name: String, line: u64) {
        let length = name.len() + WORD_BYTES;
        let entry = self.names.entry(name);
        if matches!(entry, Entry::Vacant(_)) {
            self.bytes += length;
        }
        #[expect(clippy::cast_possible_truncation, reason = "fewer names than rows in memory")]
        self.codes.push(entry.index() as u32);
        entry.or_insert(line);
    }
}

impl LabelColumn {
    /// Adds the label that `field` spells; it may not be missing or infinite.
    #[inline]
    pub(crate) fn push(&mut self, field: &[u8], place: impl Fn() -> Place) -> Result<()> {
        let label = Label::read(field, &place)?;
        self.add(label, || place().line);
        Ok(())
    }

    /// Adds the labels of rows, the line of each of which is known.
    pub(crate) fn append(&mut self, block: LabelBlock, line_of: impl Fn(usize) -> u64) {
        if self.words.is_none() && !self.numbers.is_empty() && block.words.is_empty() {
            self.numbers.extend(block.numbers);
            return;
        }
        let mut words = block.words.into_iter().peekable();
        for (row, number) in block.numbers.into_iter().enumerate() {
            let word = words.next_if(|&(at, _)| at == row);
            let label = word.map_or(Label::Number(number), |(_, word)| Label::Word(word));
            self.add(label, || line_of(row));
        }
    }

    #[inline]
    fn add(&mut self, label: Label, line: impl Fn() -> u64) {
        match (label, &mut self.words) {
            (Label::Number(value), None) => {
                if self.numbers.is_empty() {
                    self.first_line = line();
                }
                self.numbers.push(value);
            }
            (Label::Number(value), Some(words)) => words.push(number::shortest(value), line()),
            (Label::Word(word), Some(words)) => words.push(word, line()),
            (Label::Word(word), None) => {
                let mut words = Words::default();
                for value in self.numbers.drain(..) {
                    words.push(number::shortest(value), self.first_line);
                }
                words.push(word, line());
                self.words = Some(words);
            }
        }
    }

    /// Bytes the labels take.
    pub(crate) fn bytes(&self) -> u64 {
        let codes = self.words.as_ref().map_or(0, |words| words.codes.len() * 4 + words.bytes);
        (self.numbers.len() * 8 + codes) as u64
    }

    /// Hands over the labels gathered since the last call.
    pub(crate) fn take(&mut self) -> RawLabels {
        match std::mem::take(self) {
            Self { numbers, words: None, .. } => {
                let mut numbers = numbers;
                numbers.shrink_to_fit();
                RawLabels::Numbers(numbers)
            }
            Self { words: Some(words), .. } => {
                let (names, lines) = words.names.into_iter().unzip();
                RawLabels::Words { names, lines, codes: words.codes }
            }
        }
    }
}

/// The error for a row without label where one is needed.
pub(crate) fn missing(place: Place) -> Error {
    Error::data(place, "the label is missing; every row needs one")
}

/// The error for a file whose labels are nowhere to be found.
pub(crate) fn absent(path: &Path, fix: &str) -> Error {
    Error::data(Place::file(path), format!("the rows have no labels; {fix}"))
}

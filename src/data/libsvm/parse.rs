//! Parses a block of lines by itself.

use std::path::PathBuf;

use super::Base;
use crate::data::blocks::Block;
use crate::data::csv::checked;
use crate::data::label_column::{self, LabelBlock};
use crate::data::number;
use crate::error::{Error, Place, Result};

/// The largest index accepted: libsvm's are C ints.
const MAX_INDEX: u64 = 1 << 31;

/// What every line is parsed by.
pub(super) struct Rules {
    pub(super) path: PathBuf,
    /// Whether a field stands in front of each index.
    pub(super) fields: bool,
    pub(super) need_labels: bool,
}

/// The rows of a block.
pub(super) struct Part {
    pub(super) labels: LabelBlock,
    /// Where each row ends.
    pub(super) ends: Vec<usize>,
    /// As the file has them, the base not taken off.
    pub(super) indices: Vec<u32>,
    pub(super) values: Vec<f32>,
    /// One more than the largest index, zeros included.
    pub(super) end_index: u64,
    /// Whether the index 0 occurs where the base is a guess.
    pub(super) zero: bool,
    pub(super) first_unsorted: Option<u64>,
    /// What is wrong with the row behind the last whole one.
    pub(super) fault: Option<Error>,
}

impl Rules {
    /// Parses a block, whose lines are not blank, up to its first fault.
    pub(super) fn parse(&self, block: &Block, base: Base) -> Part {
        let part = Part {
            labels: LabelBlock::default(),
            ends: Vec::new(),
            indices: Vec::new(),
            values: Vec::new(),
            end_index: 0,
            zero: false,
            first_unsorted: None,
            fault: None,
        };
        let mut parser = Parser { rules: self, base, part, scratch: Vec::new() };
        let fault = block.iter().try_for_each(|(text, line)| parser.row(text, line));
        let mut part = parser.part;
        part.values.truncate(part.ends.last().copied().unwrap_or(0));
        part.indices.truncate(part.values.len());
        part.fault = fault.err();
        part
    }
}

struct Parser<'a> {
    rules: &'a Rules,
    base: Base,
    part: Part,
    /// For rows out of order: index, value, byte column.
    scratch: Vec<(u32, f32, usize)>,
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The end of the token that begins at `at`.
fn token_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| is_space(byte)).map_or(text.len(), |length| at + length)
}

fn skip_spaces(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// The error for a row of a multi-label set, which would else be a class of its own.
#[cold]
fn several_labels(label: &[u8], place: Place) -> Error {
    let found = number::shown(label);
    let message = format!("several labels a row are not supported, found `{found}`; keep one");
    Error::data(place, message)
}

impl Parser<'_> {
    /// Parses a line into a new row.
    fn row(&mut self, text: &[u8], line: u64) -> Result<()> {
        let mut at = skip_spaces(text, 0);
        let end = token_end(text, at);
        let place = |column: usize| Place::column(&self.rules.path, line, column as u64 + 1);
        if memchr::memchr(b':', &text[at..end]).is_none() {
            if self.rules.need_labels {
                let label = &text[at..end];
                if memchr::memchr(b',', label).is_some() {
                    return Err(several_labels(label, place(at)));
                }
                self.part.labels.push(label, || place(at))?;
            }
            at = end;
        } else if self.rules.need_labels {
            return Err(label_column::missing(place(at)));
        }
        if !self.pairs(text, at, line)? {
            self.part.values.truncate(self.part.ends.last().copied().unwrap_or(0));
            self.part.indices.truncate(self.part.values.len());
            self.unsorted(text, at, line)?;
        }
        self.part.ends.push(self.part.values.len());
        Ok(())
    }

    /// Stores pairs in ascending order; false where they are not, with part of the row stored.
    fn pairs(&mut self, text: &[u8], mut at: usize, line: u64) -> Result<bool> {
        let mut least = 0;
        loop {
            at = skip_spaces(text, at);
            if at == text.len() {
                break;
            }
            if text[at] == b'q' && text[at..].starts_with(b"qid:") {
                at = token_end(text, at);
                continue;
            }
            let (index, value, end) = self.pair(text, at, line)?;
            if u64::from(index) < least {
                return Ok(false);
            }
            least = u64::from(index) + 1;
            if value != 0.0 {
                self.part.indices.push(index);
                self.part.values.push(value);
            }
            at = end;
        }
        self.part.end_index = self.part.end_index.max(least);
        Ok(true)
    }

    /// Sorts a row whose pairs are out of order, and makes sure none is there twice.
    #[cold]
    fn unsorted(&mut self, text: &[u8], mut at: usize, line: u64) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        loop {
            at = skip_spaces(text, at);
            if at == text.len() {
                break;
            }
            if text[at..].starts_with(b"qid:") {
                at = token_end(text, at);
                continue;
            }
            let (index, value, end) = self.pair(text, at, line)?;
            scratch.push((index, value, at));
            at = end;
        }
        let ordered = scratch.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        scratch.sort_by_key(|&(index, _, column)| (index, column));
        if let Some(twice) = scratch.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let place = Place::column(&self.rules.path, line, twice[1].2 as u64 + 1);
            let message = format!("feature {} stands twice in the row; keep one", twice[0].0);
            return Err(Error::data(place, message));
        }
        if !ordered {
            self.part.first_unsorted.get_or_insert(line);
        }
        for &(index, value, _) in scratch.iter().filter(|pair| pair.1 != 0.0) {
            self.part.indices.push(index);
            self.part.values.push(value);
        }
        self.part.end_index =
            self.part.end_index.max(scratch.last().map_or(0, |p| u64::from(p.0) + 1));
        self.scratch = scratch;
        Ok(())
    }

    /// Parses the pair at `at`: index as in the file, value, and where it ends.
    #[inline]
    fn pair(&mut self, text: &[u8], at: usize, line: u64) -> Result<(u32, f32, usize)> {
        let mut begin = at;
        if self.rules.fields {
            let Some(length) = memchr::memchr(b':', &text[at..token_end(text, at)]) else {
                return Err(self.bad_pair(text, at, line));
            };
            begin = at + length + 1;
        }
        let mut colon = begin;
        let mut index = 0_u64;
        while let Some(digit) = text.get(colon).map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
        {
            index = index.saturating_mul(10).saturating_add(u64::from(digit));
            colon += 1;
        }
        if colon == begin || text.get(colon) != Some(&b':') {
            return Err(self.bad_pair(text, at, line));
        }
        if index == 0 || index > MAX_INDEX {
            self.odd_index(index, line, begin)?;
        }
        let begin = colon + 1;
        let Some((value, length)) = number::prefix(&text[begin..]) else {
            return Err(self.bad_pair(text, at, line));
        };
        let end = begin + length;
        if text.get(end).is_some_and(|&byte| !is_space(byte)) {
            return Err(self.bad_pair(text, at, line));
        }
        let place = || Place::column(&self.rules.path, line, begin as u64 + 1);
        let value = checked(value, &text[begin..end], place)?;
        #[expect(clippy::cast_possible_truncation, reason = "checked against MAX_INDEX")]
        Ok((index as u32, value, end))
    }

    /// An index of 0 tells the base, or contradicts it; one beyond the bound is refused.
    fn odd_index(&mut self, index: u64, line: u64, column: usize) -> Result<()> {
        let place = Place::column(&self.rules.path, line, column as u64 + 1);
        match self.base {
            _ if index > MAX_INDEX => {
                let message = format!("feature index above the largest possible, {MAX_INDEX}");
                Err(Error::data(place, message))
            }
            Base::Known(0) | Base::Guess => {
                self.part.zero = true;
                Ok(())
            }
            Base::Known(_) => {
                let message = "feature index 0 where indices begin at 1; see --index-base";
                Err(Error::data(place, message))
            }
        }
    }

    #[cold]
    fn bad_pair(&self, text: &[u8], at: usize, line: u64) -> Error {
        let token = &text[at..token_end(text, at)];
        let place = Place::column(&self.rules.path, line, at as u64 + 1);
        let found = number::shown(token);
        let index = token.rsplit(|&byte| byte == b':').nth(1).unwrap_or_default();
        let negative = index.strip_prefix(b"-").is_some_and(|i| i.iter().all(u8::is_ascii_digit));
        let message = if negative {
            format!("expected an index from 0 or 1 on, found a negative one in `{found}`")
        } else {
            let form = if self.rules.fields { "field:index:value" } else { "index:value" };
            format!("expected {form} with a finite number, found `{found}`")
        };
        Error::data(place, message)
    }
}

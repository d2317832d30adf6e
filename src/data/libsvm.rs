//! `label index:value …` (libsvm, svmlight) and `label field:index:value …` (libffm).

use std::path::PathBuf;

use super::Csr;
use super::csv::checked;
use super::label_column::{self, LabelColumn};
use super::notes::Notes;
use super::number;
use super::raw::{Cells, RawRows};
use super::reader::{Request, Rows};
use super::schema::Schema;
use super::source::{Input, check_memory};
use crate::error::{Error, Place, Result};

/// The largest index accepted: libsvm's are C ints.
const MAX_INDEX: u64 = 1 << 31;

/// The rows of a libsvm or libffm file.
pub(crate) struct LibsvmRows {
    input: Input,
    sink: Sink,
}

struct Sink {
    path: PathBuf,
    max_memory: u64,
    /// Whether a field stands in front of each index.
    fields: bool,
    need_labels: bool,
    base: Base,
    /// Features the schema knows; `None`: as many as there are.
    known: Option<usize>,
    hash_bits: Option<u8>,
    labels: LabelColumn,
    offsets: Vec<usize>,
    /// As the file has them, the base not taken off.
    indices: Vec<u32>,
    values: Vec<f32>,
    /// One more than the largest index so far, zeros included.
    end_index: u64,
    first_unsorted: Option<u64>,
    /// For rows out of order: index, value, byte column.
    scratch: Vec<(u32, f32, usize)>,
}

/// What the first feature is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Known(u8),
    /// 0 if that index occurs, which is kept here, else 1.
    Guess(bool),
}

impl LibsvmRows {
    /// Prepares to read pairs, or with `fields` triples.
    pub(crate) fn open(
        input: Input,
        request: Request,
        fields: bool,
        notes: &mut Notes,
    ) -> Result<Self> {
        let asked = request.options.index_base;
        let base = match (request.schema, asked) {
            (_, Some(base)) => Base::Known(base),
            (None, None) => Base::Guess(false),
            (Some(Schema::Sparse { index_base, .. }), None) => Base::Known(*index_base),
            (Some(schema @ Schema::Table(_)), None) => {
                if !schema.is_numeric() {
                    let message =
                        "the model has categorical columns, which this format cannot hold";
                    return Err(Error::data(Place::file(request.path), message));
                }
                let file = request.path.display();
                notes.info(format!("{file}: indices taken to begin at 1 (--index-base overrides)"));
                Base::Known(1)
            }
        };
        let hash_bits = request.hash_bits();
        let sink = Sink {
            path: request.path.to_owned(),
            max_memory: request.options.max_memory,
            fields,
            need_labels: request.need_labels,
            base,
            // A hash knows every index.
            known: request.schema.filter(|_| hash_bits.is_none()).map(Schema::n_columns),
            hash_bits,
            labels: LabelColumn::default(),
            offsets: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
            end_index: 0,
            first_unsorted: None,
            scratch: Vec::new(),
        };
        Ok(Self { input, sink })
    }
}

impl Rows for LibsvmRows {
    fn next(&mut self, max_rows: usize, notes: &mut Notes) -> Result<Option<RawRows>> {
        let Self { input, sink } = self;
        let mut n_rows = 0;
        while n_rows < max_rows && input.advance()? {
            let line = input.line();
            let text = memchr::memchr(b'#', line).map_or(line, |comment| &line[..comment]);
            if sink.row(text, input.line_number())? {
                n_rows += 1;
            }
        }
        if n_rows == 0 { Ok(None) } else { sink.take(notes).map(Some) }
    }
}

fn is_space(byte: u8) -> bool {
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

impl Sink {
    /// Parses a line; false if nothing stands on it.
    fn row(&mut self, text: &[u8], line: u64) -> Result<bool> {
        let mut at = skip_spaces(text, 0);
        if at == text.len() {
            return Ok(false);
        }
        let end = token_end(text, at);
        let place = |column: usize| Place::column(&self.path, line, column as u64 + 1);
        if memchr::memchr(b':', &text[at..end]).is_none() {
            if self.need_labels {
                let label = &text[at..end];
                if memchr::memchr(b',', label).is_some() {
                    return Err(several_labels(label, place(at)));
                }
                self.labels.push(label, || place(at))?;
            }
            at = end;
        } else if self.need_labels {
            return Err(label_column::missing(place(at)));
        }
        let bytes = self.values.len() * 8 + self.offsets.len() * 8 + text.len() * 4;
        check_memory(bytes as u64 + self.labels.bytes(), self.max_memory, &self.path)?;
        if !self.pairs(text, at, line)? {
            self.values.truncate(*self.offsets.last().unwrap_or(&0));
            self.indices.truncate(self.values.len());
            self.unsorted(text, at, line)?;
        }
        self.offsets.push(self.values.len());
        Ok(true)
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
                self.indices.push(index);
                self.values.push(value);
            }
            at = end;
        }
        self.end_index = self.end_index.max(least);
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
            let place = Place::column(&self.path, line, twice[1].2 as u64 + 1);
            let message = format!("feature {} stands twice in the row; keep one", twice[0].0);
            return Err(Error::data(place, message));
        }
        if !ordered {
            self.first_unsorted.get_or_insert(line);
        }
        for &(index, value, _) in scratch.iter().filter(|pair| pair.1 != 0.0) {
            self.indices.push(index);
            self.values.push(value);
        }
        self.end_index = self.end_index.max(scratch.last().map_or(0, |p| u64::from(p.0) + 1));
        self.scratch = scratch;
        Ok(())
    }

    /// Parses the pair at `at`: index as in the file, value, and where it ends.
    #[inline]
    fn pair(&mut self, text: &[u8], at: usize, line: u64) -> Result<(u32, f32, usize)> {
        let mut begin = at;
        if self.fields {
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
        let place = || Place::column(&self.path, line, begin as u64 + 1);
        let value = checked(value, &text[begin..end], place)?;
        #[expect(clippy::cast_possible_truncation, reason = "checked against MAX_INDEX")]
        Ok((index as u32, value, end))
    }

    /// An index of 0 tells the base, or contradicts it; one beyond the bound is refused.
    fn odd_index(&mut self, index: u64, line: u64, column: usize) -> Result<()> {
        let place = Place::column(&self.path, line, column as u64 + 1);
        match self.base {
            _ if index > MAX_INDEX => {
                let message = format!("feature index above the largest possible, {MAX_INDEX}");
                Err(Error::data(place, message))
            }
            Base::Known(0) => Ok(()),
            Base::Guess(_) => {
                self.base = Base::Guess(true);
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
        let place = Place::column(&self.path, line, at as u64 + 1);
        let found = number::shown(token);
        let index = token.rsplit(|&byte| byte == b':').nth(1).unwrap_or_default();
        let negative = index.strip_prefix(b"-").is_some_and(|i| i.iter().all(u8::is_ascii_digit));
        let message = if negative {
            format!("expected an index from 0 or 1 on, found a negative one in `{found}`")
        } else {
            let form = if self.fields { "field:index:value" } else { "index:value" };
            format!("expected {form} with a finite number, found `{found}`")
        };
        Error::data(place, message)
    }

    /// Hands over the rows gathered since the last call, indices from 0.
    fn take(&mut self, notes: &mut Notes) -> Result<RawRows> {
        let base = match self.base {
            Base::Known(base) => base,
            Base::Guess(zero) => u8::from(!zero),
        };
        self.base = Base::Known(base);
        let path = self.path.display();
        if let Some(line) = self.first_unsorted.take() {
            notes.warn(format!("{path}: indices out of order are sorted (first on line {line})"));
        }
        for index in &mut self.indices {
            *index -= u32::from(base);
        }
        let seen = usize::try_from(self.end_index.saturating_sub(u64::from(base)));
        let n_cols = self.known.unwrap_or(seen.unwrap_or(usize::MAX));
        let mut rows = Csr {
            n_cols,
            offsets: std::mem::replace(&mut self.offsets, vec![0]),
            indices: std::mem::take(&mut self.indices),
            values: std::mem::take(&mut self.values),
        };
        if self.known.is_some() {
            let ignored = super::encode::drop_beyond(&mut rows, n_cols);
            notes.warn_count(
                ignored,
                format!("values of features unknown to the model ignored in {path}"),
            );
        }
        rows.offsets.shrink_to_fit();
        rows.indices.shrink_to_fit();
        rows.values.shrink_to_fit();
        Ok(RawRows {
            schema: Schema::Sparse {
                n_features: n_cols,
                index_base: base,
                hash_bits: self.hash_bits,
            },
            cells: Cells::Sparse(rows),
            labels: self.need_labels.then(|| self.labels.take()),
            weights: None,
            first_missing: None,
        })
    }
}

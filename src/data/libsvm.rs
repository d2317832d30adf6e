//! `label index:value …` (libsvm, svmlight) and `label field:index:value …` (libffm).

mod parse;

use self::parse::{Part, Rules, is_space};
use super::Csr;
use super::blocks::{self, Block};
use super::label_column::LabelColumn;
use super::notes::Notes;
use super::raw::{Cells, RawRows};
use super::reader::{Request, Rows};
use super::schema::Schema;
use super::source::{Input, check_memory};
use crate::error::{Error, Place, Result};

/// The rows of a libsvm or libffm file.
pub(crate) struct LibsvmRows {
    input: Input,
    rules: Rules,
    sink: Sink,
}

/// Where parsed blocks go, in order.
struct Sink {
    max_memory: u64,
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
    /// Whether any index is 0, be its value 0 or not.
    zero: bool,
    first_unsorted: Option<u64>,
    /// Whether it was told.
    told_unsorted: bool,
}

/// What the first feature is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Known(u8),
    /// 0 if that index occurs, else 1.
    Guess,
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
            (None, None) => Base::Guess,
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
        let path = request.path.to_owned();
        let sink = Sink {
            max_memory: request.options.max_memory,
            base,
            // A hash knows every index.
            known: request.schema.filter(|_| hash_bits.is_none()).map(Schema::n_columns),
            hash_bits,
            labels: LabelColumn::default(),
            offsets: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
            end_index: 0,
            zero: false,
            first_unsorted: None,
            told_unsorted: false,
        };
        let rules = Rules { path, fields, need_labels: request.need_labels };
        Ok(Self { input, rules, sink })
    }
}

impl Rows for LibsvmRows {
    fn next(&mut self, max_rows: usize, notes: &mut Notes) -> Result<Option<RawRows>> {
        let Self { input, rules, sink } = self;
        let base = sink.base;
        let done = blocks::parse(
            max_rows,
            sink.max_memory,
            |block| cut(input, block),
            |block| rules.parse(block, base),
            |part, block| sink.merge(part, block, rules),
        )?;
        if done.n == 0 { Ok(None) } else { sink.take(rules, notes).map(Some) }
    }

    fn has_index_0(&self) -> bool {
        self.sink.zero
    }
}

/// Appends the next line on which something stands, without its comment.
fn cut(input: &mut Input, block: &mut Block) -> Result<bool> {
    while input.advance()? {
        let line = input.line();
        let text = memchr::memchr(b'#', line).map_or(line, |comment| &line[..comment]);
        if !text.iter().all(|&byte| is_space(byte)) {
            block.push(text, input.line_number());
            return Ok(true);
        }
    }
    Ok(false)
}

impl Sink {
    /// Appends the rows of a block, and fails where they end in a fault.
    fn merge(&mut self, part: Part, block: &Block, rules: &Rules) -> Result<()> {
        let entries = self.values.len() + part.values.len();
        let bytes = 8 * (entries + self.offsets.len() + part.ends.len()) as u64;
        check_memory(bytes + self.labels.bytes(), self.max_memory, &rules.path)?;
        let end = self.values.len();
        self.offsets.extend(part.ends.iter().map(|row| end + row));
        self.indices.extend(part.indices);
        self.values.extend(part.values);
        self.labels.append(part.labels, |row| block.line(row));
        self.end_index = self.end_index.max(part.end_index);
        self.first_unsorted = self.first_unsorted.or(part.first_unsorted);
        self.zero |= part.zero;
        part.fault.map_or(Ok(()), Err)
    }

    /// Hands over the rows gathered since the last call, indices from 0.
    fn take(&mut self, rules: &Rules, notes: &mut Notes) -> Result<RawRows> {
        let base = match self.base {
            Base::Known(base) => base,
            Base::Guess => u8::from(!self.zero),
        };
        self.base = Base::Known(base);
        let path = rules.path.display();
        if let (Some(line), false) = (self.first_unsorted, self.told_unsorted) {
            self.told_unsorted = true;
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
            labels: rules.need_labels.then(|| self.labels.take()),
            weights: None,
            first_missing: None,
        })
    }
}

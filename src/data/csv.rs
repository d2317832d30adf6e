//! Comma-, semicolon-, tab- and space-separated columns, with or without header; KEEL files too.

mod fields;
mod follow;
mod parse;
mod plan;
mod records;
mod sniff;

use std::collections::HashSet;

use self::parse::{Part, Rules};
use self::plan::Plan;
use self::records::Records;
use self::sniff::Hint;
use super::blocks::{self, Block, Done};
use super::build::{Category, TableBuilder};
use super::label_column::LabelColumn;
use super::notes::Notes;
use super::number;
use super::raw::RawRows;
use super::reader::{Request, Rows};
use super::schema::{ColumnKind, Schema, TableSchema};
use super::source::{Input, check_memory};
use super::weight_column::WeightColumn;
use crate::error::{Error, Place, Result};

/// Records looked at before it is decided which is the header, and what the columns are. No fewer where a
/// schema says what they are: a file that trained has to be read alike afterwards.
const WINDOW: usize = 10_000;

/// The rows of a csv.
pub(crate) struct CsvRows {
    records: Records,
    rules: Rules,
    sink: Sink,
}

/// Where parsed blocks go, in order.
struct Sink {
    max_memory: u64,
    /// Whether words are listed afresh with each chunk, as a hash needs no list.
    forget: bool,
    table: TableBuilder,
    labels: LabelColumn,
    need_labels: bool,
    /// Where the rows train and have weights.
    weights: Option<WeightColumn>,
    /// One for each column, used where it is categorical and its words are learned.
    categories: Vec<Category>,
}

impl CsvRows {
    /// Looks at the first records and decides what the columns are.
    pub(crate) fn open(
        input: Input,
        request: Request,
        delimiter: Option<u8>,
        notes: &mut Notes,
    ) -> Result<Self> {
        let mut records = Records::new(input);
        let hint = request.schema.map_or(Hint::Nothing, known_names);
        let header = request.options.header;
        let layout = sniff::sniff(&mut records, WINDOW, delimiter, header, &hint)?;
        let empty = records.ahead().next().is_none();
        let Plan { roles, schema } = match request.schema {
            // Without rows there is nothing to plan for; the reader then reports just that.
            _ if empty => Plan { roles: Vec::new(), schema: TableSchema::default() },
            Some(schema) => Plan::following(&layout, schema, request, notes)?,
            None => Plan::training(&layout, request, notes)?,
        };
        let (path, max_memory) = (request.path.to_owned(), request.options.max_memory);
        let follows = request.schema.is_some();
        let forget = follows && schema.hash_bits.is_some();
        let given = schema.columns.iter().map(|column| match &column.kind {
            ColumnKind::Categorical { levels } if follows && !forget => {
                Some(Category::following(levels))
            }
            _ => None,
        });
        let given = given.collect();
        let weights = schema.weights.as_ref().filter(|_| !follows || request.options.weigh);
        let weights =
            weights.map(|column| WeightColumn::new(column.name.as_deref(), column.position));
        let sink = Sink {
            max_memory,
            forget,
            table: TableBuilder::new(schema.columns.len(), max_memory),
            labels: LabelColumn::default(),
            need_labels: request.need_labels,
            weights: weights.as_ref().map(WeightColumn::block),
            categories: schema.columns.iter().map(|_| Category::growing(max_memory)).collect(),
        };
        let delimiter = layout.delimiter;
        let rules = Rules { path, delimiter, roles, schema, follows, given, weights };
        Ok(Self { records, rules, sink })
    }
}

/// The column names a header would hold, if the schema has any.
fn known_names(schema: &Schema) -> Hint<'_> {
    let Schema::Table(table) = schema else {
        return Hint::Unnamed;
    };
    let names = table.columns.iter().filter_map(|column| column.name.as_deref());
    let names: HashSet<&str> = names.filter(|name| !name.is_empty()).collect();
    if names.is_empty() { Hint::Unnamed } else { Hint::Names(names) }
}

impl Sink {
    /// Appends the rows of a block, and fails where they end in a fault.
    fn merge(&mut self, mut part: Part, block: &Block, rules: &Rules) -> Result<()> {
        let width = rules.schema.columns.len();
        for (j, words) in part.words.into_iter().enumerate() {
            let Some(codes) = self.categories[j].adopt(words, &rules.path)? else { continue };
            for cell in part.cells[j..].iter_mut().step_by(width).filter(|cell| !cell.is_nan()) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a code of the block"
                )]
                let code = *cell as usize;
                *cell = codes[code];
            }
        }
        self.table.append(&part.cells, self.other_bytes(), &rules.path)?;
        self.table.first_missing = self.table.first_missing.or(part.first_missing);
        self.labels.append(part.labels, |row| block.line(row));
        if let (Some(weights), Some(part)) = (&mut self.weights, part.weights) {
            weights.append(part);
        }
        part.fault.map_or(Ok(()), Err)
    }

    /// Bytes taken beside the cells.
    fn other_bytes(&self) -> u64 {
        self.labels.bytes() + self.weights.as_ref().map_or(0, WeightColumn::bytes)
    }

    /// Hands over the rows gathered; `last`: the file has ended.
    fn take(&mut self, last: bool, rules: &Rules) -> RawRows {
        let mut schema = rules.schema.clone();
        let learned = self.categories.iter_mut().zip(&rules.given);
        for (column, (category, given)) in schema.columns.iter_mut().zip(learned) {
            if let (ColumnKind::Categorical { levels }, None) = (&mut column.kind, given) {
                *levels = category.levels(last || self.forget);
            }
        }
        RawRows {
            schema: Schema::Table(schema),
            cells: self.table.take(),
            labels: self.need_labels.then(|| self.labels.take()),
            weights: self.weights.as_mut().map(WeightColumn::take),
            first_missing: self.table.first_missing,
        }
    }
}

/// The value as f32, or the reason why it is none.
pub(super) fn checked(value: f64, field: &[u8], place: impl Fn() -> Place) -> Result<f32> {
    let cell = number::narrow(value);
    if cell.is_finite() {
        return Ok(cell);
    }
    let found = number::shown(field);
    Err(Error::data(
        place(),
        format!("expected a finite number of single precision (up to 3.4e38), found `{found}`"),
    ))
}

impl Rows for CsvRows {
    fn next(&mut self, max_rows: usize, notes: &mut Notes) -> Result<Option<RawRows>> {
        let Self { records, rules, sink } = self;
        let Done { n, ended } = blocks::parse(
            max_rows,
            sink.max_memory,
            |block| {
                let more = records.advance()?;
                if more {
                    block.push(records.record(), records.line());
                }
                Ok(more)
            },
            |block| rules.parse(block),
            |part, block| sink.merge(part, block, rules),
        )?;
        let file = rules.path.display();
        let skipped = format!("lines of {file} between rows begin with # and are skipped");
        notes.warn_count(records.take_comments(), skipped);
        if let Some(weights) = sink.weights.as_ref().filter(|_| ended) {
            weights.finish(&rules.path)?;
        }
        check_memory(sink.table.bytes() + sink.other_bytes(), sink.max_memory, &rules.path)?;
        Ok((n > 0).then(|| sink.take(ended, rules)))
    }
}

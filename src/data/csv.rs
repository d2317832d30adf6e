//! Comma-, semicolon-, tab- and space-separated columns, with or without header; KEEL files too.

mod fields;
mod follow;
mod plan;
mod records;
mod sniff;

use std::collections::HashSet;
use std::path::PathBuf;

use self::fields::Fields;
use self::plan::{Plan, Role};
use self::records::Records;
use self::sniff::Hint;
use super::build::{Category, TableBuilder};
use super::label_column::LabelColumn;
use super::notes::Notes;
use super::number::{self, Token};
use super::raw::RawRows;
use super::reader::{Request, Rows};
use super::schema::{ColumnKind, Schema, TableSchema};
use super::source::{Input, check_memory};
use super::weight_column::WeightColumn;
use crate::error::{Error, Place, Result};

/// Records looked at before the kinds of the columns are fixed.
const WINDOW: usize = 10_000;
/// Records looked at where a schema fixes the kinds and only a header has to be recognised.
const SHORT_WINDOW: usize = 100;

/// The rows of a csv.
pub(crate) struct CsvRows {
    records: Records,
    fields: Fields,
    delimiter: u8,
    roles: Vec<Role>,
    sink: Sink,
}

/// Where parsed fields go.
struct Sink {
    path: PathBuf,
    max_memory: u64,
    schema: TableSchema,
    follows: bool,
    /// Whether words are listed afresh with each chunk, as a hash needs no list.
    forget: bool,
    table: TableBuilder,
    labels: LabelColumn,
    need_labels: bool,
    /// Where the rows train and have weights.
    weights: Option<WeightColumn>,
    /// One for each column, used where it is categorical.
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
        let window = if request.schema.is_some() { SHORT_WINDOW } else { WINDOW };
        let header = request.options.header;
        let layout = sniff::sniff(&mut records, window, delimiter, header, &hint)?;
        let empty = records.ahead().next().is_none();
        let Plan { roles, schema } = match request.schema {
            // Without rows there is nothing to plan for; the reader then reports just that.
            _ if empty => Plan { roles: Vec::new(), schema: TableSchema::default() },
            Some(schema) => Plan::following(&layout, schema, request, notes)?,
            None => Plan::training(&layout, request, notes)?,
        };
        let forget = request.schema.is_some() && schema.hash_bits.is_some();
        let categories = schema.columns.iter().map(|column| match &column.kind {
            ColumnKind::Categorical { levels } if request.schema.is_some() && !forget => {
                Category::following(levels)
            }
            _ => Category::growing(request.options.max_memory),
        });
        let trains = request.schema.is_none() || request.options.weigh;
        let weights = schema.weights.as_ref().filter(|_| trains);
        let weights =
            weights.map(|column| WeightColumn::new(column.name.as_deref(), column.position));
        let sink = Sink {
            weights,
            path: request.path.to_owned(),
            max_memory: request.options.max_memory,
            follows: request.schema.is_some(),
            forget,
            table: TableBuilder::new(schema.columns.len(), request.options.max_memory),
            labels: LabelColumn::default(),
            need_labels: request.need_labels,
            categories: categories.collect(),
            schema,
        };
        Ok(Self { records, fields: Fields::default(), delimiter: layout.delimiter, roles, sink })
    }

    /// Parses the current record into a new row.
    fn parse(&mut self) -> Result<()> {
        let Self { records, fields, delimiter, roles, sink } = self;
        let (record, line) = (records.record(), records.line());
        sink.table.add_row(sink.other_bytes(), &sink.path)?;
        if *delimiter == b' ' || memchr::memchr(b'"', record).is_some() {
            fields.split(record, *delimiter);
            if fields.len() != roles.len() {
                return Err(sink.ragged(roles.len(), fields.len(), line));
            }
            for (i, &role) in roles.iter().enumerate() {
                sink.put(role, fields.get(i), (line, fields.column(i)))?;
            }
            return Ok(());
        }
        sink.plain(record, line, *delimiter, roles)
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
    /// Parses a record without quotes: numbers straight from the bytes.
    fn plain(&mut self, record: &[u8], line: u64, delimiter: u8, roles: &[Role]) -> Result<()> {
        let mut at = 0;
        for &role in roles {
            if at > record.len() {
                return Err(self.ragged_plain(roles.len(), record, delimiter, line));
            }
            if record.get(at) == Some(&b' ') {
                at += record[at..].iter().take_while(|&&byte| byte == b' ').count();
            }
            if let Role::Number(j) = role
                && let Some((value, length)) = number::prefix(&record[at..])
            {
                let value = number::narrow(value);
                let next = record.get(at + length);
                if (next.is_none() || next == Some(&delimiter)) && value.is_finite() {
                    self.table.last_row()[j] = value;
                    at += length + 1;
                    continue;
                }
            }
            let length = memchr::memchr(delimiter, &record[at..]);
            let end = length.map_or(record.len(), |length| at + length);
            self.put(role, number::trim(&record[at..end]), (line, at as u64 + 1))?;
            at = end + 1;
        }
        if at == record.len() + 1 {
            return Ok(());
        }
        Err(self.ragged_plain(roles.len(), record, delimiter, line))
    }

    /// Stores one field, whatever it is; `at` is its line and byte column.
    fn put(&mut self, role: Role, field: &[u8], at: (u64, u64)) -> Result<()> {
        let place = || Place::column(&self.path, at.0, at.1);
        let (j, cell) = match role {
            Role::Skip => return Ok(()),
            Role::Label => return self.labels.push(field, place),
            Role::Weight => {
                return self.weights.as_mut().map_or(Ok(()), |weights| weights.push(field, place));
            }
            Role::Number(j) => match number::token(field) {
                Token::Number(value) => (j, checked(value, field, place)?),
                Token::Missing => (j, f32::NAN),
                Token::Word => return Err(self.word(j, field, place())),
            },
            Role::Category(j) => match number::token(field) {
                Token::Missing => (j, f32::NAN),
                _ => (j, self.categories[j].code(field, place)?),
            },
        };
        if cell.is_nan() {
            self.table.first_missing.get_or_insert(at);
        }
        self.table.last_row()[j] = cell;
        Ok(())
    }

    /// Bytes taken beside the cells.
    fn other_bytes(&self) -> u64 {
        self.labels.bytes() + self.weights.as_ref().map_or(0, WeightColumn::bytes)
    }

    fn word(&self, j: usize, field: &[u8], place: Place) -> Error {
        let column = Schema::Table(self.schema.clone()).shown_name(j);
        let seen = if self.follows {
            "in training the column held only numbers".to_owned()
        } else {
            format!("the first {WINDOW} rows of the column hold no word")
        };
        let found = number::shown(field);
        let message = format!("column `{column}`: expected a number, found `{found}`; {seen}");
        Error::data(place, message)
    }

    fn ragged(&self, expected: usize, found: usize, line: u64) -> Error {
        let place = Place::line(&self.path, line);
        Error::data(place, format!("expected {expected} fields, found {found}"))
    }

    #[cold]
    fn ragged_plain(&self, expected: usize, record: &[u8], delimiter: u8, line: u64) -> Error {
        let found = memchr::memchr_iter(delimiter, record).count() + 1;
        self.ragged(expected, found, line)
    }

    /// Hands over the rows gathered; `last`: the file has ended.
    fn take(&mut self, last: bool) -> RawRows {
        let mut schema = self.schema.clone();
        for (column, category) in schema.columns.iter_mut().zip(&mut self.categories) {
            if let ColumnKind::Categorical { levels } = &mut column.kind {
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
        let mut n_rows = 0;
        let mut last = false;
        while n_rows < max_rows {
            if !self.records.advance()? {
                last = true;
                break;
            }
            self.parse()?;
            n_rows += 1;
        }
        let file = self.sink.path.display();
        let skipped = format!("lines of {file} between rows begin with # and are skipped");
        notes.warn_count(self.records.take_comments(), skipped);
        if let Some(weights) = self.sink.weights.as_ref().filter(|_| last) {
            weights.finish(&self.sink.path)?;
        }
        check_memory(self.sink.other_bytes(), self.sink.max_memory, &self.sink.path)?;
        Ok((n_rows > 0).then(|| self.sink.take(last)))
    }
}

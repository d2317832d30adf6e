//! `user item rating`: a table of two categorical columns whose label is the rating.

use std::path::PathBuf;

use super::build::{Category, TableBuilder};
use super::label_column::{self, LabelColumn};
use super::notes::Notes;
use super::number::{self, Token};
use super::raw::{RawLabels, RawRows};
use super::reader::{Request, Rows};
use super::schema::{Column, ColumnKind, Levels, Schema, TableSchema};
use super::source::Input;
use crate::error::{Error, Place, Result};

/// The rows of a ratings file.
pub(crate) struct RatingRows {
    input: Input,
    path: PathBuf,
    separator: Option<Separator>,
    categories: [Category; 2],
    table: TableBuilder,
    labels: LabelColumn,
    need_labels: bool,
    hash_bits: Option<u8>,
    /// Whether users and items are listed afresh with each chunk, as a hash needs no list.
    forget: bool,
}

/// What stands between the fields; the first line decides.
#[derive(Debug, Clone, Copy)]
enum Separator {
    Colons,
    Byte(u8),
    Spaces,
}

impl Separator {
    fn of(line: &[u8]) -> Self {
        if memchr::memmem::find(line, b"::").is_some() {
            Self::Colons
        } else if let Some(&byte) = [b'\t', b',', b';'].iter().find(|byte| line.contains(byte)) {
            Self::Byte(byte)
        } else {
            Self::Spaces
        }
    }

    /// Up to three fields and the byte column of each, from 1; the rest is not looked at.
    fn fields(self, line: &[u8]) -> Fields<'_> {
        let mut found = Fields { fields: [(b"".as_slice(), 0); 3], count: 0 };
        let mut at = 0;
        while found.count < 3 && at <= line.len() {
            if matches!(self, Self::Spaces) {
                at += line[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                if at == line.len() {
                    break;
                }
            }
            let rest = &line[at..];
            let (length, width) = match self {
                Self::Colons => (memchr::memmem::find(rest, b"::"), 2),
                Self::Byte(byte) => (memchr::memchr(byte, rest), 1),
                Self::Spaces => (rest.iter().position(u8::is_ascii_whitespace), 1),
            };
            let length = length.unwrap_or(rest.len());
            found.fields[found.count] = (unquoted(&rest[..length]), at as u64 + 1);
            found.count += 1;
            at += length + width;
        }
        found
    }
}

struct Fields<'a> {
    fields: [(&'a [u8], u64); 3],
    count: usize,
}

fn unquoted(field: &[u8]) -> &[u8] {
    let field = number::trim(field);
    field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field)
}

impl RatingRows {
    /// Prepares to read; a schema's users and items keep their codes.
    pub(crate) fn open(input: Input, request: Request) -> Result<Self> {
        let path = request.path.to_owned();
        let hash_bits = request.hash_bits();
        let forget = hash_bits.is_some() && request.schema.is_some();
        let categories = match request.schema {
            schema if schema.is_none() || forget => {
                let bound = request.options.max_memory;
                [Category::growing(bound), Category::growing(bound)]
            }
            Some(Schema::Table(TableSchema { columns, ratings: true, .. })) => {
                let follow = |column: &Column| match &column.kind {
                    ColumnKind::Categorical { levels } => Category::following(levels),
                    ColumnKind::Numeric => Category::following(&Levels::default()),
                };
                match &columns[..] {
                    [user, item] => [follow(user), follow(item)],
                    _ => return Err(not_ratings(&path)),
                }
            }
            _ => return Err(not_ratings(&path)),
        };
        let need_labels = request.need_labels;
        let table = TableBuilder::new(2, request.options.max_memory);
        let labels = LabelColumn::default();
        let separator = None;
        Ok(Self {
            input,
            path,
            separator,
            categories,
            table,
            labels,
            need_labels,
            hash_bits,
            forget,
        })
    }

    /// Parses the current line; false if it holds no rating.
    fn parse(&mut self) -> Result<bool> {
        let Self { input, path, separator, categories, table, labels, need_labels, .. } = self;
        let line = input.line();
        if line.trim_ascii().is_empty() || line[0] == b'#' {
            return Ok(false);
        }
        let first = separator.is_none();
        let separator = *separator.get_or_insert_with(|| Separator::of(line));
        let Fields { fields, count } = separator.fields(line);
        let place = |i: usize| Place::column(path, input.line_number(), fields[i].1);
        if first && count == 3 && number::token(fields[2].0) == Token::Word {
            return Ok(false);
        }
        if count < 2 || (*need_labels && count < 3) {
            let message = format!("expected user, item and rating, found {count} fields");
            return Err(Error::data(Place::line(path, input.line_number()), message));
        }
        table.add_row(labels.bytes(), path)?;
        for (i, category) in categories.iter_mut().enumerate() {
            if fields[i].0.is_empty() {
                let message = "expected a user and an item, found an empty field";
                return Err(Error::data(place(i), message));
            }
            table.last_row()[i] = category.code(fields[i].0, || place(i))?;
        }
        if *need_labels {
            match number::token(fields[2].0) {
                Token::Number(_) => labels.push(fields[2].0, || place(2))?,
                Token::Missing => return Err(label_column::missing(place(2))),
                Token::Word => {
                    let found = number::shown(fields[2].0);
                    let message = format!("expected a number as rating, found `{found}`");
                    return Err(Error::data(place(2), message));
                }
            }
        }
        Ok(true)
    }

    fn schema(&mut self, last: bool) -> Schema {
        let forget = self.forget;
        let names = ["user", "item"].into_iter();
        let columns = names.zip(&mut self.categories).map(|(name, category)| Column {
            name: Some(name.to_owned()),
            kind: ColumnKind::Categorical { levels: category.levels(last || forget) },
        });
        let columns = columns.collect();
        let hash_bits = self.hash_bits;
        Schema::Table(TableSchema { columns, ratings: true, hash_bits, ..TableSchema::default() })
    }
}

fn not_ratings(path: &std::path::Path) -> Error {
    Error::data(Place::file(path), "ratings, but the model was not trained on ratings")
}

impl Rows for RatingRows {
    fn next(&mut self, max_rows: usize, _notes: &mut Notes) -> Result<Option<RawRows>> {
        let mut n_rows = 0;
        let mut last = false;
        while n_rows < max_rows {
            if !self.input.advance()? {
                last = true;
                break;
            }
            n_rows += usize::from(self.parse()?);
        }
        if n_rows == 0 {
            return Ok(None);
        }
        let labels = self.need_labels.then(|| match self.labels.take() {
            RawLabels::Numbers(values) => RawLabels::Ratings(values),
            other => other,
        });
        let schema = self.schema(last);
        let cells = self.table.take();
        Ok(Some(RawRows { schema, cells, labels, weights: None, first_missing: None }))
    }
}

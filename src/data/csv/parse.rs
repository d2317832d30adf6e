//! Parses a block of records by itself.

use std::path::PathBuf;

use super::fields::Fields;
use super::plan::Role;
use super::{WINDOW, checked};
use crate::data::blocks::Block;
use crate::data::build::{Category, WordBlock};
use crate::data::label_column::LabelBlock;
use crate::data::number::{self, Token};
use crate::data::schema::{Schema, TableSchema};
use crate::data::weight_column::WeightColumn;
use crate::error::{Error, Place, Result};

/// What every record is parsed by.
pub(super) struct Rules {
    pub(super) path: PathBuf,
    pub(super) delimiter: u8,
    pub(super) roles: Vec<Role>,
    pub(super) schema: TableSchema,
    pub(super) follows: bool,
    /// For each column the words to keep to, where there are any.
    pub(super) given: Vec<Option<Category>>,
    /// Without weights, where the rows train and have them.
    pub(super) weights: Option<WeightColumn>,
}

/// The rows of a block.
pub(super) struct Part {
    /// Row after row.
    pub(super) cells: Vec<f32>,
    /// Line and byte column of the first missing cell.
    pub(super) first_missing: Option<(u64, u64)>,
    pub(super) labels: LabelBlock,
    pub(super) weights: Option<WeightColumn>,
    /// One for each column, used where it is categorical and its words are learned.
    pub(super) words: Vec<WordBlock>,
    /// What is wrong with the row behind the last whole one.
    pub(super) fault: Option<Error>,
}

impl Rules {
    /// Parses a block up to its first fault.
    pub(super) fn parse(&self, block: &Block) -> Part {
        let width = self.schema.columns.len();
        let part = Part {
            cells: Vec::new(),
            first_missing: None,
            labels: LabelBlock::default(),
            weights: self.weights.as_ref().map(WeightColumn::block),
            words: self.schema.columns.iter().map(|_| WordBlock::default()).collect(),
            fault: None,
        };
        let mut parser = Parser { rules: self, width, part, fields: Fields::default() };
        let fault = block.iter().try_for_each(|(record, line)| parser.row(record, line));
        parser.part.fault = fault.err();
        parser.part
    }
}

struct Parser<'a> {
    rules: &'a Rules,
    width: usize,
    part: Part,
    fields: Fields,
}

impl Parser<'_> {
    /// Parses a record into a new row.
    fn row(&mut self, record: &[u8], line: u64) -> Result<()> {
        let rules = self.rules;
        self.part.cells.resize(self.part.cells.len() + self.width, 0.0);
        if rules.delimiter != b' ' && memchr::memchr(b'"', record).is_none() {
            return self.plain(record, line);
        }
        let mut fields = std::mem::take(&mut self.fields);
        fields.split(record, rules.delimiter);
        if fields.len() != rules.roles.len() {
            return Err(self.ragged(fields.len(), line));
        }
        for (i, &role) in rules.roles.iter().enumerate() {
            self.put(role, fields.get(i), (line, fields.column(i)))?;
        }
        self.fields = fields;
        Ok(())
    }

    /// Parses a record without quotes: numbers straight from the bytes.
    fn plain(&mut self, record: &[u8], line: u64) -> Result<()> {
        let rules = self.rules;
        let delimiter = rules.delimiter;
        let mut at = 0;
        for &role in &rules.roles {
            if at > record.len() {
                return Err(self.ragged_plain(record, line));
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
                    self.last_row()[j] = value;
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
        Err(self.ragged_plain(record, line))
    }

    #[inline]
    fn last_row(&mut self) -> &mut [f32] {
        let start = self.part.cells.len() - self.width;
        &mut self.part.cells[start..]
    }

    /// Stores one field, whatever it is; `at` is its line and byte column.
    fn put(&mut self, role: Role, field: &[u8], at: (u64, u64)) -> Result<()> {
        let (rules, part) = (self.rules, &mut self.part);
        let place = || Place::column(&rules.path, at.0, at.1);
        let (j, cell) = match role {
            Role::Skip => return Ok(()),
            Role::Label => return part.labels.push(field, place),
            Role::Weight => {
                return part.weights.as_mut().map_or(Ok(()), |weights| weights.push(field, place));
            }
            Role::Number(j) => match number::token(field) {
                Token::Number(value) => (j, checked(value, field, place)?),
                Token::Missing => (j, f32::NAN),
                Token::Word => return Err(self.word(j, field, place())),
            },
            Role::Category(j) => match (number::token(field), &rules.given[j]) {
                (Token::Missing, _) => (j, f32::NAN),
                (_, Some(given)) => (j, given.given_code(number::word(field, place)?)),
                (_, None) => (j, part.words[j].code(number::word(field, place)?, at)),
            },
        };
        if cell.is_nan() {
            part.first_missing.get_or_insert(at);
        }
        self.last_row()[j] = cell;
        Ok(())
    }

    fn word(&self, j: usize, field: &[u8], place: Place) -> Error {
        let column = Schema::Table(self.rules.schema.clone()).shown_name(j);
        let seen = if self.rules.follows {
            "in training the column held only numbers".to_owned()
        } else {
            format!("the first {WINDOW} rows of the column hold no word")
        };
        let found = number::shown(field);
        let message = format!("column `{column}`: expected a number, found `{found}`; {seen}");
        Error::data(place, message)
    }

    fn ragged(&self, found: usize, line: u64) -> Error {
        let place = Place::line(&self.rules.path, line);
        let expected = self.rules.roles.len();
        Error::data(place, format!("expected {expected} fields, found {found}"))
    }

    #[cold]
    fn ragged_plain(&self, record: &[u8], line: u64) -> Error {
        self.ragged(memchr::memchr_iter(self.rules.delimiter, record).count() + 1, line)
    }
}

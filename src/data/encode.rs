//! From columns to features: numbers pass, each level of a categorical column becomes a feature.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Csr;
use super::chunks::Chunks;
use super::fill::Fills;
use super::hash::{self, RowBuilder};
use super::levels::used_levels;
use super::raw::{Cells, RawRows};
use super::schema::{Column, ColumnKind, Levels, Schema, TableSchema};
use crate::error::{Error, Place, Result};

/// How columns become features; fitted on the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    /// The columns, categorical ones with the levels that occur in training.
    pub(crate) schema: Schema,
    /// First feature of each column of a table; empty for sparse rows.
    first: Vec<usize>,
    /// Per categorical column whether a missing cell is a level of its own.
    missing_level: Vec<bool>,
    pub(crate) fills: Fills,
    pub(crate) n_features: usize,
}

impl Encoder {
    /// Takes the levels from the training rows, and what to put in missing numeric cells from
    /// `fills`.
    pub(crate) fn fit(train: &dyn Chunks, fills: Fills) -> Result<Self> {
        let schema = train.schema();
        if let Some(bits) = schema.hash_bits() {
            return Ok(Self::hashing(schema.clone(), bits, fills));
        }
        let Schema::Table(table) = schema else {
            let n_features = schema.n_columns();
            let (first, missing_level) = (Vec::new(), Vec::new());
            let schema = schema.clone();
            return Ok(Self { schema, first, missing_level, fills, n_features });
        };
        let mut used = used_levels(train, table)?.into_iter();
        let mut encoder = Self {
            schema: Schema::Table(TableSchema::default()),
            first: Vec::with_capacity(table.columns.len()),
            missing_level: Vec::with_capacity(table.columns.len()),
            fills,
            n_features: 0,
        };
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            encoder.first.push(encoder.n_features);
            let mut missing_level = false;
            let (kind, width) = match &column.kind {
                ColumnKind::Numeric => (ColumnKind::Numeric, 1),
                ColumnKind::Categorical { levels } => {
                    let used = used.next().unwrap_or_default();
                    missing_level = used.missing;
                    let levels = used.levels(levels);
                    // One more for words training does not have.
                    let width = levels.len() + usize::from(missing_level) + 1;
                    (ColumnKind::Categorical { levels }, width)
                }
            };
            encoder.missing_level.push(missing_level);
            encoder.n_features += width;
            columns.push(Column { name: column.name.clone(), kind });
        }
        encoder.schema = Schema::Table(TableSchema { columns, ..table.clone() });
        Ok(encoder)
    }

    /// What hashes needs no levels.
    fn hashing(mut schema: Schema, bits: u8, fills: Fills) -> Self {
        if let Schema::Table(table) = &mut schema {
            for column in &mut table.columns {
                if let ColumnKind::Categorical { levels } = &mut column.kind {
                    *levels = Levels::default();
                }
            }
        }
        let (first, missing_level) = (Vec::new(), Vec::new());
        Self { schema, first, missing_level, fills, n_features: 1 << bits }
    }

    /// The rows with their features hashed by [`Encoder::steps`], and how many missing cells were
    /// filled; `None` where nothing is hashed.
    pub(crate) fn hash(&self, rows: &RawRows, steps: &[Step]) -> Option<(RawRows, u64)> {
        let bits = self.schema.hash_bits()?;
        let numbered = matches!(rows.cells, Cells::Sparse(_));
        let mut builder = RowBuilder::new(bits);
        let met = visit(rows, steps, |i, j, value| {
            #[expect(clippy::cast_possible_truncation, reason = "at most 2^30 features")]
            let column = if numbered { hash::index(j, bits) } else { j as u32 };
            builder.push(i, column, value);
        });
        let hashed = RawRows {
            schema: self.schema.clone(),
            cells: Cells::Sparse(builder.finish(rows.n_rows())),
            labels: None,
            weights: None,
            first_missing: None,
        };
        Some((hashed, met.missing))
    }

    /// Whether the parts fit each other, as they may not in a forged model file.
    pub(crate) fn is_consistent(&self) -> bool {
        if let Some(bits) = self.schema.hash_bits() {
            let columns =
                if let Schema::Table(table) = &self.schema { table.columns.len() } else { 0 };
            return (1..=hash::MAX_BITS).contains(&bits)
                && self.n_features == 1 << bits
                && self.fills.fit_columns(columns);
        }
        let Schema::Table(table) = &self.schema else {
            return self.n_features == self.schema.n_columns();
        };
        let n = table.columns.len();
        if self.first.len() != n || self.missing_level.len() != n || !self.fills.fit_columns(n) {
            return false;
        }
        let mut next = 0;
        for ((column, &first), &missing) in
            table.columns.iter().zip(&self.first).zip(&self.missing_level)
        {
            if first != next {
                return false;
            }
            next += match &column.kind {
                ColumnKind::Numeric => 1,
                ColumnKind::Categorical { levels } => levels.len() + usize::from(missing) + 1,
            };
        }
        self.n_features == next
    }

    /// What feature `j` is called.
    pub(crate) fn feature_name(&self, j: usize) -> String {
        if self.schema.hash_bits().is_some() {
            return format!("#{j}");
        }
        let Schema::Table(table) = &self.schema else {
            return self.schema.column_name(j);
        };
        let column = self.first.partition_point(|&first| first <= j).saturating_sub(1);
        let name = self.schema.column_name(column);
        match &table.columns[column].kind {
            ColumnKind::Numeric => name,
            ColumnKind::Categorical { levels } => match levels
                .as_slice()
                .get(j - self.first[column])
            {
                Some(level) => format!("{name}={level}"),
                None if self.missing_level[column] && j - self.first[column] == levels.len() => {
                    format!("{name}=<missing>")
                }
                None => format!("{name}=<unseen>"),
            },
        }
    }

    /// Prepares to encode rows as a reader made them, which have to have the columns of the training
    /// rows.
    pub(crate) fn steps(&self, rows: &Schema, place: &Path) -> Result<Vec<Step>> {
        let fail = |message: String| Err(Error::data(Place::file(place), message));
        let (table, given) = match (&self.schema, rows) {
            (schema, Schema::Sparse { .. })
                if schema.is_numeric() || schema.hash_bits().is_some() =>
            {
                return Ok(Vec::new());
            }
            (_, Schema::Sparse { .. }) => {
                return fail("the model has categorical columns, sparse rows have none".to_owned());
            }
            (schema, given) if given.n_columns() != schema.n_columns() => {
                let (expected, found) = (schema.n_columns(), given.n_columns());
                return fail(format!("expected {expected} columns, as in training, found {found}"));
            }
            (Schema::Table(table), Schema::Table(given)) => (table, given),
            (schema, given) if given.is_numeric() && schema.hash_bits().is_none() => {
                return Ok((0..self.n_features).map(|j| Step::Number(j, 0.0)).collect());
            }
            _ => return fail("the model has numeric columns only".to_owned()),
        };
        let mut steps = Vec::with_capacity(table.columns.len());
        for (j, (column, given)) in table.columns.iter().zip(&given.columns).enumerate() {
            steps.push(match (&column.kind, &given.kind) {
                (ColumnKind::Numeric, ColumnKind::Numeric) => {
                    Step::Number(self.number(j), self.fills.value(j))
                }
                (ColumnKind::Categorical { levels }, ColumnKind::Categorical { levels: given }) => {
                    Step::Category(self.category(j, levels, given))
                }
                _ => {
                    let name = self.schema.shown_name(j);
                    return fail(format!("column `{name}` is of another kind than in training"));
                }
            });
        }
        Ok(steps)
    }

    /// The feature of numeric column `j`.
    fn number(&self, j: usize) -> usize {
        match self.schema.hash_bits() {
            Some(bits) => hash::number(&self.schema.column_name(j), bits) as usize,
            None => self.first[j],
        }
    }

    fn category(&self, j: usize, levels: &Levels, given: &Levels) -> Category {
        if let Some(bits) = self.schema.hash_bits() {
            let name = self.schema.column_name(j);
            let feature = |level| hash::category(&name, level, bits) as usize;
            let features = given.as_slice().iter().map(|level| feature(Some(level))).collect();
            return Category { features, missing: feature(None), unseen: feature(None) };
        }
        let first = self.first[j];
        let missing = first + levels.len();
        let unseen = missing + usize::from(self.missing_level[j]);
        let features = if levels.is(given) {
            (first..missing).collect()
        } else {
            let known: HashMap<&str, usize> =
                levels.as_slice().iter().map(String::as_str).zip(first..).collect();
            let feature = |level: &String| known.get(level.as_str()).copied().unwrap_or(unseen);
            given.as_slice().iter().map(feature).collect()
        };
        Category { features, missing, unseen }
    }
}

/// What happens to one cell of every row.
#[derive(Debug)]
pub(crate) enum Step {
    /// The value of this feature, or the second number where it is missing.
    Number(usize, f32),
    /// One of several features.
    Category(Category),
}

/// The features of a categorical column.
#[derive(Debug)]
pub(crate) struct Category {
    /// Feature of each code.
    features: Vec<usize>,
    /// Feature of a missing cell; the same as `unseen` where training had none.
    missing: usize,
    unseen: usize,
}

impl Category {
    /// The feature of a cell, and whether training never saw its like.
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a code")]
    fn feature(&self, cell: f32) -> (usize, bool) {
        let feature = if cell.is_nan() {
            self.missing
        } else {
            self.features.get(cell as usize).copied().unwrap_or(self.unseen)
        };
        (feature, feature == self.unseen)
    }
}

/// What was met while encoding.
#[derive(Debug, Default, Clone)]
pub(crate) struct Met {
    /// Missing numeric cells.
    pub(crate) missing: u64,
    /// Per column the cells whose category training never saw.
    pub(crate) unseen: Vec<u64>,
}

/// Calls `each` with row, feature and value of everything that is not zero, in order.
pub(crate) fn visit(
    rows: &RawRows,
    steps: &[Step],
    mut each: impl FnMut(usize, usize, f32),
) -> Met {
    let mut met = Met { missing: 0, unseen: vec![0; steps.len()] };
    match &rows.cells {
        Cells::Sparse(rows) => {
            for i in 0..rows.n_rows() {
                let (indices, values) = rows.row(i);
                for (&j, &value) in indices.iter().zip(values) {
                    each(i, j as usize, value);
                }
            }
        }
        Cells::Table(cells) => {
            for (i, row) in cells.outer_iter().enumerate() {
                for (j, (step, &cell)) in steps.iter().zip(row).enumerate() {
                    let (feature, value) = match step {
                        Step::Number(feature, fill) if cell.is_nan() => {
                            met.missing += 1;
                            (*feature, *fill)
                        }
                        Step::Number(feature, _) => (*feature, cell),
                        Step::Category(category) => {
                            let (feature, unseen) = category.feature(cell);
                            met.unseen[j] += u64::from(unseen);
                            (feature, 1.0)
                        }
                    };
                    if value != 0.0 {
                        each(i, feature, value);
                    }
                }
            }
        }
    }
    met
}

/// Drops the entries of columns from `n_cols` on; returns how many there were.
pub(crate) fn drop_beyond(rows: &mut Csr, n_cols: usize) -> u64 {
    rows.n_cols = n_cols;
    let before = rows.values.len();
    if rows.indices.iter().all(|&j| (j as usize) < n_cols) {
        return 0;
    }
    retain(rows, |j, _| (j as usize) < n_cols);
    (before - rows.values.len()) as u64
}

/// Keeps the entries `keep` says yes to, in place.
pub(crate) fn retain(rows: &mut Csr, keep: impl Fn(u32, f32) -> bool) {
    let mut end = 0;
    let mut at = 0;
    for row in 1..rows.offsets.len() {
        while at < rows.offsets[row] {
            if keep(rows.indices[at], rows.values[at]) {
                rows.indices[end] = rows.indices[at];
                rows.values[end] = rows.values[at];
                end += 1;
            }
            at += 1;
        }
        rows.offsets[row] = end;
    }
    rows.indices.truncate(end);
    rows.values.truncate(end);
}

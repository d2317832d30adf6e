//! What takes the place of missing numeric cells.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chunks::Chunks;
use super::notes::Notes;
use super::raw::Cells;
use super::schema::{ColumnKind, Schema};
use crate::error::{Error, Place, Result};

/// What to do about missing numeric cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Refuse them.
    Error,
    /// Put the column's mean over the training rows.
    #[default]
    Mean,
    /// Put zero.
    Zero,
}

/// The value for missing cells of each column; fitted on the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fills {
    pub(crate) missing: Missing,
    /// `[columns]`, empty where zero is put everywhere.
    values: Vec<f32>,
}

impl Fills {
    /// Whether there is a finite value for each of `n` columns, or none at all.
    pub(crate) fn fit_columns(&self, n: usize) -> bool {
        (self.values.is_empty() || self.values.len() == n)
            && self.values.iter().all(|value| value.is_finite())
    }

    /// Takes the means of the numeric columns.
    pub(crate) fn fit(
        train: &dyn Chunks,
        missing: Missing,
        place: &Path,
        notes: &mut Notes,
    ) -> Result<Self> {
        let (Missing::Mean, Schema::Table(table)) = (missing, train.schema()) else {
            return Ok(Self { missing, values: Vec::new() });
        };
        let mut columns = vec![Sum::default(); table.columns.len()];
        train.visit(&mut |chunk| {
            if let Cells::Table(cells) = &chunk.cells {
                for row in cells.outer_iter() {
                    for (column, &cell) in columns.iter_mut().zip(row) {
                        column.add(cell);
                    }
                }
            }
            Ok(())
        })?;
        let mut values = Vec::with_capacity(columns.len());
        for (j, column) in table.columns.iter().enumerate() {
            let numeric = column.kind == ColumnKind::Numeric;
            if numeric && columns[j].count == 0 {
                let name = train.schema().shown_name(j);
                let file = place.display();
                notes.warn(format!("{file}: column `{name}` is missing in every training row"));
            }
            values.push(if numeric { columns[j].mean() } else { 0.0 });
        }
        Ok(Self { missing, values })
    }

    /// What column `j` gets.
    pub(crate) fn value(&self, j: usize) -> f32 {
        self.values.get(j).copied().unwrap_or(0.0)
    }

    /// Fails or warns, as asked for, where `count` cells are missing, the first of them at `first`.
    pub(crate) fn judge(&self, count: u64, first: &Place, notes: &mut Notes) -> Result<()> {
        let file = first.file.display();
        let put = match self.missing {
            Missing::Error if count > 0 => {
                let message = format!("{count} missing cells; --missing mean or zero fills them");
                return Err(Error::data(first.clone(), message));
            }
            Missing::Error => return Ok(()),
            Missing::Mean => "the column's training mean",
            Missing::Zero => "zero",
        };
        notes.warn_count(count, format!("missing cells of {file} replaced by {put}"));
        Ok(())
    }
}

/// Sum of the cells that are there.
#[derive(Debug, Clone, Copy)]
struct Sum {
    total: f64,
    count: u64,
    least: f32,
    greatest: f32,
}

impl Default for Sum {
    fn default() -> Self {
        Self { total: 0.0, count: 0, least: f32::INFINITY, greatest: f32::NEG_INFINITY }
    }
}

impl Sum {
    fn add(&mut self, cell: f32) {
        if !cell.is_nan() {
            self.total += f64::from(cell);
            self.count += 1;
            self.least = self.least.min(cell);
            self.greatest = self.greatest.max(cell);
        }
    }

    /// The mean, which rounding must not take out of the range: a constant column stays constant.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    fn mean(&self) -> f32 {
        if self.count == 0 {
            return 0.0;
        }
        super::number::narrow(self.total / self.count as f64).clamp(self.least, self.greatest)
    }
}

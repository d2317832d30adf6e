//! Which levels of the categorical columns occur among the training rows.

use super::chunks::Chunks;
use super::raw::Cells;
use super::schema::{ColumnKind, Levels, TableSchema};
use crate::error::Result;

/// What occurs in a categorical column.
#[derive(Debug, Default, Clone)]
pub(crate) struct Used {
    /// Per code.
    codes: Vec<bool>,
    /// Whether a cell is missing.
    pub(crate) missing: bool,
}

impl Used {
    fn add(&mut self, cell: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a code")]
        match self.codes.get_mut(cell as usize) {
            _ if cell.is_nan() => self.missing = true,
            Some(used) => *used = true,
            None => {}
        }
    }

    /// The levels that occur, by size if all are numbers, else as text.
    pub(crate) fn levels(self, levels: &Levels) -> Levels {
        let occurring = levels.as_slice().iter().zip(self.codes).filter(|(_, used)| *used);
        let mut words: Vec<(f64, String)> =
            occurring.map(|(word, _)| (word.parse().unwrap_or(f64::NAN), word.clone())).collect();
        if words.iter().all(|(value, _)| value.is_finite()) {
            words.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        } else {
            words.sort_by(|a, b| a.1.cmp(&b.1));
        }
        Levels::from(words.into_iter().map(|(_, word)| word).collect::<Vec<_>>())
    }
}

/// What occurs in each categorical column.
pub(crate) fn used_levels(train: &dyn Chunks, table: &TableSchema) -> Result<Vec<Used>> {
    let mut used = Vec::new();
    let mut columns = Vec::new();
    for (j, column) in table.columns.iter().enumerate() {
        if let ColumnKind::Categorical { levels } = &column.kind {
            used.push(Used { codes: vec![false; levels.len()], missing: false });
            columns.push(j);
        }
    }
    if columns.is_empty() {
        return Ok(used);
    }
    train.visit(&mut |chunk| {
        if let Cells::Table(cells) = &chunk.cells {
            for row in cells.outer_iter() {
                for (used, &j) in used.iter_mut().zip(&columns) {
                    used.add(row[j]);
                }
            }
        }
        Ok(())
    })?;
    Ok(used)
}

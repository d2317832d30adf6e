//! Gathers the weight of each training row while a csv is read.

use std::path::Path;

use super::number::{self, Token, printable};
use crate::error::{Error, Place, Result};

/// The weights of the rows so far.
#[derive(Debug)]
pub(crate) struct WeightColumn {
    /// What messages call the column.
    name: String,
    weights: Vec<f32>,
    /// Whether any weight of the file is above 0.
    positive: bool,
}

impl WeightColumn {
    /// No weights yet, of the column at `position` from 0.
    pub(crate) fn new(name: Option<&str>, position: usize) -> Self {
        let name = name.map_or_else(|| (position + 1).to_string(), printable);
        Self { name, weights: Vec::new(), positive: false }
    }

    /// None of the weights, for other rows of the same file.
    pub(crate) fn block(&self) -> Self {
        Self { name: self.name.clone(), weights: Vec::new(), positive: false }
    }

    /// Adds the weights of the next rows.
    pub(crate) fn append(&mut self, block: Self) {
        self.weights.extend(block.weights);
        self.positive |= block.positive;
    }

    /// Adds the weight that `field` spells.
    pub(crate) fn push(&mut self, field: &[u8], place: impl Fn() -> Place) -> Result<()> {
        let weight = match number::token(field) {
            Token::Number(value) => number::narrow(value),
            Token::Missing | Token::Word => f32::NAN,
        };
        if !(weight >= 0.0 && weight.is_finite()) {
            let (name, found) = (&self.name, number::shown(field));
            let message = format!(
                "weights column `{name}`: expected a finite number from 0, found `{found}`"
            );
            return Err(Error::data(place(), message));
        }
        self.positive |= weight > 0.0;
        self.weights.push(weight);
        Ok(())
    }

    /// Bytes the weights take.
    pub(crate) fn bytes(&self) -> u64 {
        self.weights.len() as u64 * 4
    }

    /// Hands over the weights gathered since the last call.
    pub(crate) fn take(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.weights)
    }

    /// Fails, at the end of the file, where no row counts.
    pub(crate) fn finish(&self, path: &Path) -> Result<()> {
        if self.positive {
            return Ok(());
        }
        let message =
            format!("weights column `{}`: every weight is 0, expected one above 0", self.name);
        Err(Error::data(Place::file(path), message))
    }
}

//! Training rows as features, before they are scaled.

use std::path::Path;

use super::chunks::Chunks;
use super::encode::{self, Encoder, Step};
use crate::error::{Place, Result};

/// Training rows, encoded chunk by chunk.
pub(crate) struct Encoded<'a> {
    rows: &'a dyn Chunks,
    encoder: &'a Encoder,
    place: &'a Path,
    steps: Vec<Step>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn new(rows: &'a dyn Chunks, encoder: &'a Encoder, place: &'a Path) -> Result<Self> {
        Ok(Self { rows, encoder, place, steps: encoder.steps(rows.schema(), place)? })
    }

    /// Calls `each` with feature and value of everything that is not zero, in order; returns how many
    /// cells were missing, and where the first one stands.
    pub(crate) fn visit(&self, mut each: impl FnMut(usize, f32)) -> Result<(u64, Place)> {
        let (mut missing, mut first) = (0, Place::file(self.place));
        self.rows.visit(&mut |chunk| {
            let found = match self.encoder.hash(chunk, &self.steps) {
                None => encode::visit(chunk, &self.steps, |_, j, value| each(j, value)).missing,
                Some((hashed, missing)) => {
                    encode::visit(&hashed, &[], |_, j, value| each(j, value));
                    missing
                }
            };
            if missing == 0 && found > 0 {
                first = chunk.missing_place(self.place);
            }
            missing += found;
            Ok(())
        })?;
        Ok((missing, first))
    }
}

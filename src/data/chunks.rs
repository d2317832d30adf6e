//! Rows that are gone over several times, whole or a chunk at a time.

use super::raw::RawRows;
use super::schema::Schema;
use crate::error::Result;

/// Rows in one chunk or several. What is learned from them is the same however they are cut: sums run
/// over the rows in file order.
pub trait Chunks {
    /// Columns and levels, the same for every chunk.
    fn schema(&self) -> &Schema;

    /// Rows of all chunks.
    fn n_rows(&self) -> usize;

    /// Calls `each` with every chunk, in file order.
    ///
    /// # Errors
    /// Those of `each`, and of reading.
    fn visit(&self, each: &mut dyn FnMut(&RawRows) -> Result<()>) -> Result<()>;
}

impl Chunks for RawRows {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn n_rows(&self) -> usize {
        self.n_rows()
    }

    fn visit(&self, each: &mut dyn FnMut(&RawRows) -> Result<()>) -> Result<()> {
        each(self)
    }
}

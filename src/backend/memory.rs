//! What a backend remembers from step to step, as bytes, so that another one can go on from there.

use super::Totals;
use crate::error::{Error, Result};

/// What the steps to come depend on beside the parameters: the optimizer's moments, sums that are only
/// followed from step to step, and what the epoch has counted so far.
///
/// The bytes are those of one kind of device, as it has them: nothing is rounded on the way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Little-endian numbers, by name.
    pub tensors: Vec<(String, Vec<u8>)>,
    /// What the steps since the last [`take_totals`](super::Backend::take_totals) measured.
    pub totals: Totals,
}

impl Memory {
    /// The bytes of that name, of which there have to be so many.
    pub(crate) fn bytes(&self, name: &str, length: usize) -> Result<&[u8]> {
        let found = self.tensors.iter().find(|(other, _)| other == name);
        let bytes = found.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        if bytes.len() == length {
            return Ok(bytes);
        }
        Err(Error::Usage(format!(
            "what the run before kept of `{name}` has {} bytes where {length} are needed: it was made by \
             another version of llfm or on another kind of device",
            bytes.len()
        )))
    }

    /// Refuses counts of other anchors.
    pub(crate) fn check_anchors(&self, anchors: usize) -> Result<()> {
        let counted = self.totals.pairs.len();
        if counted == anchors || counted == 0 {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "what the run before counted is of {counted} anchors, expected {anchors}"
        )))
    }
}

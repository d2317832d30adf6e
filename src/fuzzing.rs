//! What fuzzing looks at and users of the library do not: no part of its interface.

use crate::config::Coding;
use crate::kernel::local_coding::{Coder, Scratch};

/// The active anchors of a row and their weights γ, nearest first, from its distances to all anchors
/// and L of each.
pub fn code(
    coding: Coding,
    neighbors: usize,
    distance: &[f32],
    multipliers: &[f32],
) -> Vec<(usize, f32)> {
    let (coder, mut pairs) = (Coder { coding, neighbors }, Vec::new());
    coder.code(distance, multipliers, &mut Scratch::default(), &mut pairs);
    pairs.iter().map(|pair| (pair.anchor as usize, pair.gamma)).collect()
}

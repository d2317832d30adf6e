//! Anchor dropout: which anchors a training step hides from each row before it is coded.
//!
//! Dropout (Srivastava et al., JMLR 2014) on the anchors: a row's local models learn to do without
//! one another. The coding of a row sees the anchors that are left alone, so its gradient is exact and
//! nothing else changes; weights γ sum to 1 over those left, so scoring, which sees every anchor,
//! needs no correction.
//!
//! A hash of u32 words decides, the same on the GPU (`shaders/shared/anchor_dropout.wgsl`): both
//! backends hide the same anchors.

use crate::kernel::local_coding::{Coder, Pair, Scratch};

/// What a step hides; the default hides nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnchorDropout {
    /// Anchors whose hash is below are hidden: q·2³².
    pub(crate) threshold: u32,
    /// What sets the step apart from others.
    pub(crate) key: u32,
}

/// Memory for the anchors that are left, and for their coding.
#[derive(Debug, Default)]
pub(crate) struct Left {
    anchors: Vec<u32>,
    distance: Vec<f32>,
    multipliers: Vec<f32>,
    coding: Scratch,
}

impl AnchorDropout {
    /// Hides an anchor with probability `share`, 0 to below 1. Steps of different `key` hide others.
    pub fn new(share: f64, key: u32) -> Self {
        Self { threshold: (share * 2.0_f64.powi(32)) as u32, key }
    }

    /// Whether it hides anchors at all.
    pub(crate) fn hides_any(self) -> bool {
        self.threshold > 0
    }

    /// The anchors of `0..n_anchors` that are left to row `row` of the batch, rising: all where none
    /// would be.
    pub(crate) fn leave(self, row: u32, n_anchors: usize, left: &mut Vec<u32>) {
        let row_key = mixed(self.key ^ row);
        let is_left = |anchor: &u32| mixed(row_key ^ anchor) >= self.threshold;
        left.clear();
        left.extend((0..n_anchors as u32).filter(is_left));
        if left.is_empty() {
            left.extend(0..n_anchors as u32);
        }
    }

    /// [`Coder::code`] of row `row` of the batch with the anchors that are left to it.
    pub(crate) fn code(
        self,
        coder: &Coder,
        row: u32,
        distance: &[f32],
        multipliers: &[f32],
        left: &mut Left,
        pairs: &mut Vec<Pair>,
    ) -> f32 {
        if !self.hides_any() {
            return coder.code(distance, multipliers, &mut left.coding, pairs);
        }
        let Left { anchors, distance: near, multipliers: own, coding } = left;
        self.leave(row, distance.len(), anchors);
        pick(distance, anchors, near);
        pick(multipliers, anchors, own);
        let first = pairs.len();
        let normalizer = coder.code(near, own, coding, pairs);
        for pair in &mut pairs[first..] {
            pair.anchor = anchors[pair.anchor as usize];
        }
        normalizer
    }
}

fn pick(all: &[f32], anchors: &[u32], picked: &mut Vec<f32>) {
    picked.clear();
    picked.extend(anchors.iter().map(|&i| all[i as usize]));
}

/// Hash of a word in which every input bit flips every output bit half of the time: `lowbias32` of
/// Wellons' hash-prospector.
fn mixed(word: u32) -> u32 {
    let mut x = word;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Coding;

    const ANCHORS: usize = 50;

    fn left(dropout: AnchorDropout, row: u32, n_anchors: usize) -> Vec<u32> {
        let mut left = Vec::new();
        dropout.leave(row, n_anchors, &mut left);
        left
    }

    #[test]
    fn each_anchor_is_left_to_its_share_of_the_rows() {
        for share in [0.0, 0.1, 0.5, 0.9] {
            let mut counts = [0_u32; ANCHORS];
            for step in 0..100 {
                let dropout = AnchorDropout::new(share, mixed(step));
                for row in 0..100 {
                    left(dropout, row, ANCHORS).iter().for_each(|&i| counts[i as usize] += 1);
                }
            }
            // Four deviations and a half; all 50 anchors are hidden from one row in 200 at 0.9.
            let slack = 4.5 * (share * (1.0 - share) / 1e4).sqrt() + share.powi(ANCHORS as i32);
            for count in counts {
                let found = f64::from(count) / 1e4;
                assert!((found - (1.0 - share)).abs() <= slack, "{share}: {found} are left");
            }
        }
    }

    #[test]
    fn rows_hide_anchors_independently() {
        // Of two anchors, or two rows, both are hidden q² of the time.
        let (share, rows) = (0.3, 20_000);
        let dropout = AnchorDropout::new(share, 7);
        let is_hidden = |row, anchor: u32| !left(dropout, row, ANCHORS).contains(&anchor);
        let pairs = [((0, 3), (0, 4)), ((0, 0), (0, 32)), ((0, 5), (1, 5)), ((0, 1), (1, 0))];
        for ((row, anchor), (other_row, other)) in pairs {
            let both = (0..rows)
                .filter(|r| is_hidden(2 * r + row, anchor) && is_hidden(2 * r + other_row, other));
            let found = both.count() as f64 / f64::from(rows);
            assert!((found - share * share).abs() < 0.01, "{anchor} and {other}: {found}");
        }
    }

    #[test]
    fn rows_and_steps_differ_and_a_step_is_the_same_again() {
        let step = AnchorDropout::new(0.5, 1);
        assert_eq!(left(step, 3, ANCHORS), left(step, 3, ANCHORS));
        assert_ne!(left(step, 3, ANCHORS), left(step, 4, ANCHORS));
        assert_ne!(left(step, 3, ANCHORS), left(AnchorDropout::new(0.5, 2), 3, ANCHORS));
    }

    #[test]
    fn a_row_that_would_lose_all_anchors_keeps_them_all() {
        let most = AnchorDropout::new(1.0 - 1e-12, 5);
        for n_anchors in [1, 2, 9] {
            let all: Vec<u32> = (0..n_anchors as u32).collect();
            assert!((0..100).all(|row| left(most, row, n_anchors) == all));
        }
        let half = AnchorDropout::new(0.5, 5);
        assert!((0..1000).all(|row| !left(half, row, 2).is_empty()));
    }

    #[test]
    fn a_row_is_coded_as_if_hidden_anchors_were_not_there() {
        let distance: Vec<f32> = (0..12).map(|i| 0.1 * (i * 5 % 12) as f32).collect();
        let multipliers: Vec<f32> = (0..12).map(|i| 1.0 + 0.01 * i as f32).collect();
        let dropout = AnchorDropout::new(0.6, 9);
        for coding in [Coding::Adaptive, Coding::Soft, Coding::Inverse] {
            let coder = Coder { coding, neighbors: 5 };
            for row in 0..40 {
                let anchors = left(dropout, row, 12);
                let mut found = Vec::new();
                let (mut scratch, near) = (Left::default(), &distance);
                let s = dropout.code(&coder, row, near, &multipliers, &mut scratch, &mut found);
                assert!(found.iter().all(|pair| anchors.contains(&pair.anchor)), "{coding:?}");
                let nearest = if coding == Coding::Adaptive { 1 } else { 5.min(anchors.len()) };
                assert!((nearest..=anchors.len()).contains(&found.len()), "{coding:?}");
                let u = |i: u32| distance[i as usize] * multipliers[i as usize];
                let mut order = anchors.clone();
                order.sort_by(|&a, &b| u(a).total_cmp(&u(b)));
                let taken: Vec<u32> = found.iter().map(|pair| pair.anchor).collect();
                assert_eq!(taken, order[..found.len()], "the nearest of those left, {coding:?}");
                assert!((found.iter().map(|pair| pair.gamma).sum::<f32>() - 1.0).abs() < 1e-5);
                // The same as with the hidden ones far away, where the coding has a reach.
                if coding == Coding::Adaptive {
                    let mut far = vec![1e9; 12];
                    anchors.iter().for_each(|&i| far[i as usize] = distance[i as usize]);
                    let mut expected = Vec::new();
                    let other =
                        coder.code(&far, &multipliers, &mut Scratch::default(), &mut expected);
                    assert_eq!((found, s), (expected, other), "row {row}");
                }
            }
        }
    }
}

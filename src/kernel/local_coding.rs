//! Local coding: which anchors a row uses, and with what weights γ.
//!
//! distance `[m]` of one row, L `[m]` → active anchors, nearest first, with γ (Σγ = 1) and
//! u = L·d. The adaptive coding is the greedy λ solver of the paper (Algorithm 1, eq. 10 and 12,
//! after Anava and Levy, k*-NN, NIPS 2016), computed from distances shifted by the nearest: the
//! form printed in the paper cancels in f32 and picks a wrong k for one row in six at u ≈ 1000.
//! O(m) to find the candidates, O(k log k) after.

use crate::config::Coding;
use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::simd::{LANES, vectorized};

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader = shader!(
    "local_coding",
    "local_coding",
    ["step", "math", "pair", "anchor_dropout"],
    |_, step, _| workgroups(step.rows as usize)
);

/// A (row, anchor) pair: one active anchor of one row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pair {
    /// Anchor i.
    pub(crate) anchor: u32,
    /// Position in the bucketed list, set by [`pair_list`](crate::kernel::pair_list).
    pub(crate) slot: u32,
    /// γᵢ.
    pub(crate) gamma: f32,
    /// uᵢ = Lᵢ·dᵢ.
    pub(crate) u: f32,
    /// dᵢ.
    pub(crate) distance: f32,
}

/// A coding with its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coder {
    pub(crate) coding: Coding,
    /// Neighbours of soft and inverse coding.
    pub(crate) neighbors: usize,
}

/// Keeps 1/u finite for a row that lies on an anchor (Ladicky and Torr 2011 leave it open).
pub(crate) const INVERSE_FLOOR: f32 = 1e-6;

impl Coder {
    /// Codes one row: appends its pairs and returns S, the normaliser its gradient needs.
    ///
    /// `keys` is scratch; `multipliers` are L `[m]`.
    pub(crate) fn code(
        &self,
        distance: &[f32],
        multipliers: &[f32],
        keys: &mut Vec<u64>,
        pairs: &mut Vec<Pair>,
    ) -> f32 {
        let first = pairs.len();
        match self.coding {
            Coding::Single => {
                pairs.push(Pair { gamma: 1.0, ..Pair::default() });
                return 1.0;
            }
            Coding::Adaptive => candidates_within(1.0, distance, multipliers, keys),
            Coding::Soft | Coding::Inverse => {
                nearest(self.neighbors, distance, multipliers, keys);
            }
        }
        let nearest_u = key_anchor(keys[0], distance, multipliers).u;
        pairs.extend(keys.iter().map(|&key| key_anchor(key, distance, multipliers)));
        let row = &mut pairs[first..];
        let (active, normalizer) = match self.coding {
            Coding::Adaptive => adaptive(keys, row),
            Coding::Soft => weigh(row, |u| crate::math::exp(nearest_u - u)),
            _ => weigh(row, |u| 1.0 / (u + INVERSE_FLOOR)),
        };
        pairs.truncate(first + active);
        normalizer
    }
}

/// Greedy λ solver over shifted distances t in rising order; returns k and S = Σ(μ − t).
///
/// t₍ₖ₊₁₎ is taken as long as k(t − mean)² + M₂ < 1, which is λₖ > u₍ₖ₊₁₎ without a root.
fn adaptive(keys: &[u64], row: &mut [Pair]) -> (usize, f32) {
    let (mut k, mut mean, mut m2) = (1.0_f32, 0.0_f32, 0.0_f32);
    for &key in &keys[1..] {
        let t = shifted_distance(key);
        let ahead = t - mean;
        if k * ahead * ahead + m2 >= 1.0 {
            break;
        }
        k += 1.0;
        mean += ahead / k;
        m2 += ahead * (t - mean);
    }
    let root = ((1.0 - m2).max(0.0) / k).sqrt();
    let (mu, active) = (mean + root, k as usize);
    let normalizer = k * root;
    for (pair, &key) in row[..active].iter_mut().zip(keys) {
        pair.gamma = (mu - shifted_distance(key)).max(0.0) / normalizer;
    }
    (active, normalizer)
}

/// γ proportional to `weight(u)`; returns k and Σ weights.
fn weigh(row: &mut [Pair], weight: impl Fn(f32) -> f32) -> (usize, f32) {
    let mut sum = 0.0;
    for pair in row.iter_mut() {
        pair.gamma = weight(pair.u);
        sum += pair.gamma;
    }
    if sum > 0.0 {
        row.iter_mut().for_each(|pair| pair.gamma /= sum);
    } else {
        // Every distance overflowed: nothing tells the anchors apart.
        let share = 1.0 / row.len() as f32;
        row.iter_mut().for_each(|pair| pair.gamma = share);
        sum = 1.0;
    }
    (row.len(), sum)
}

/// A candidate as one sortable number: t = u − min u ≥ 0 above, the anchor below, so that equal
/// distances keep the order of the anchors.
#[inline(always)]
fn key(t: f32, anchor: usize) -> u64 {
    u64::from(t.to_bits()) << 32 | anchor as u64
}

fn shifted_distance(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}

fn key_anchor(key: u64, distance: &[f32], multipliers: &[f32]) -> Pair {
    let anchor = (key & 0xffff_ffff) as u32;
    let d = distance[anchor as usize];
    Pair { anchor, u: d * multipliers[anchor as usize], distance: d, ..Pair::default() }
}

/// Every anchor's key, and nothing else, in `keys`.
///
/// t is not a number where all distances overflowed, and then counts as 0.
fn shift(distance: &[f32], multipliers: &[f32], keys: &mut Vec<u64>) {
    keys.clear();
    keys.resize(distance.len(), 0);
    vectorized(
        #[inline(always)]
        || {
            let least = smallest(distance, multipliers);
            let anchors = keys.iter_mut().zip(distance.iter().zip(multipliers)).enumerate();
            for (i, (out, (d, l))) in anchors {
                let t = d * l - least;
                *out = key(if t.is_nan() { 0.0 } else { t }, i);
            }
        },
    );
}

/// min Lᵢdᵢ, lane by lane: a minimum does not depend on its order.
#[inline(always)]
fn smallest(distance: &[f32], multipliers: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; LANES];
    let blocks = distance.chunks(LANES).zip(multipliers.chunks(LANES));
    for (distance, multipliers) in blocks {
        for (least, (d, l)) in lanes.iter_mut().zip(distance.iter().zip(multipliers)) {
            let u = d * l;
            *least = if u < *least { u } else { *least };
        }
    }
    lanes.into_iter().fold(f32::INFINITY, f32::min)
}

/// Anchors with t < `limit`, nearest first. Only these can be active (Σ(μ − t)² = 1 keeps μ ≤ 1).
fn candidates_within(limit: f32, distance: &[f32], multipliers: &[f32], keys: &mut Vec<u64>) {
    shift(distance, multipliers, keys);
    let end = key(limit, 0);
    // Written whether kept or not: the branch would be a coin toss for each anchor.
    let mut kept = 0;
    for i in 0..keys.len() {
        let candidate = keys[i];
        keys[kept] = candidate;
        kept += usize::from(candidate < end);
    }
    keys.truncate(kept);
    keys.sort_unstable();
}

/// The `count` nearest anchors, nearest first.
fn nearest(count: usize, distance: &[f32], multipliers: &[f32], keys: &mut Vec<u64>) {
    shift(distance, multipliers, keys);
    if count < keys.len() {
        keys.select_nth_unstable(count - 1);
        keys.truncate(count);
    }
    keys.sort_unstable();
}

#[cfg(test)]
mod tests;

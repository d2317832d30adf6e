//! Local coding: which anchors a row uses, and with what weights γ.
//!
//! distance `[m]` of one row, L `[m]` → active anchors, nearest first, with γ (Σγ = 1) and
//! u = L·d. The adaptive coding is the greedy λ solver of the paper (Algorithm 1, eq. 10 and 12,
//! after Anava and Levy, k*-NN, NIPS 2016), computed from distances shifted by the nearest: the
//! form printed in the paper cancels in f32 and picks a wrong k for one row in six at u ≈ 1000.
//! O(m) to find the candidates, O(k log k) after.

use crate::config::Coding;
use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::simd::{LANES, dispatch, fold_lanes, padded, vectorized};
use pulp::{Simd, WithSimd};

/// The shader, and its workgroups: an invocation a row.
pub(crate) const SHADER: Shader = shader!(
    "local_coding",
    "local_coding",
    ["step", "math", "pair", "anchor_dropout", "coding", "scan_lane"],
    |_, step, _| workgroups(step.rows as usize)
);

/// The same by subgroups.
pub(crate) const SUBGROUP_SHADER: Shader = shader!(
    "local_coding",
    "local_coding_subgroup",
    ["step", "math", "pair", "anchor_dropout", "coding", "scan_subgroup"],
    |_, step, _| (step.rows as usize).div_ceil(32)
);

/// The same by workgroups that sort the anchors.
pub(crate) const SORTED_SHADER: Shader = shader!(
    "local_coding",
    "local_coding_sorted",
    ["step", "math", "pair", "anchor_dropout", "coding", "scan_sorted"],
    |_, step, _| (step.rows as usize).div_ceil(32)
);

/// Distances of dense rows and their coding in one, an invocation a row.
pub(crate) const FUSED_SHADER: Shader = shader!(
    "anchor_coding",
    "anchor_coding",
    ["step", "math", "pair", "anchor_dropout", "rows", "lens", "measure", "coding", "scan_lane"],
    |_, step, _| (step.rows as usize).div_ceil(32)
);

/// The same by subgroups.
pub(crate) const FUSED_SUBGROUP_SHADER: Shader = shader!(
    "anchor_coding",
    "anchor_coding_subgroup",
    [
        "step",
        "math",
        "pair",
        "anchor_dropout",
        "rows",
        "lens",
        "measure",
        "coding",
        "scan_subgroup"
    ],
    |_, step, _| (step.rows as usize).div_ceil(32)
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
    /// `multipliers` are L `[m]`.
    pub(crate) fn code(
        &self,
        distance: &[f32],
        multipliers: &[f32],
        scratch: &mut Scratch,
        pairs: &mut Vec<Pair>,
    ) -> f32 {
        let first = pairs.len();
        match self.coding {
            Coding::Single => {
                pairs.push(Pair { gamma: 1.0, ..Pair::default() });
                return 1.0;
            }
            Coding::Adaptive => candidates(distance, multipliers, scratch),
            Coding::Soft | Coding::Inverse => {
                nearest(self.neighbors, distance, multipliers, scratch);
            }
        }
        let keys = &scratch.keys;
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

/// Scratch of one row's coding.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// t of every anchor, then infinity up to whole vectors.
    shifted: Vec<f32>,
    /// Candidates.
    keys: Vec<u64>,
}

/// t of every anchor; 0 where it is not a number, as all distances overflowed.
#[inline(always)]
fn shift(distance: &[f32], multipliers: &[f32], shifted: &mut Vec<f32>) {
    let m = distance.len();
    shifted.clear();
    shifted.resize(padded(m), f32::INFINITY);
    for ((out, d), l) in shifted.iter_mut().zip(distance).zip(multipliers) {
        *out = d * l;
    }
    let least = smallest(&nearest_of_groups(shifted));
    for out in &mut shifted[..m] {
        let t = *out - least;
        *out = if t.is_nan() { 0.0 } else { t };
    }
}

/// 64 numbers in vectors.
pub(crate) type Numbers64 = [[f32; LANES]; 4];

/// The smallest of each of 64 groups, anchor i in group i mod 64; infinite where it has none.
#[inline(always)]
fn nearest_of_groups(all: &[f32]) -> Numbers64 {
    let mut groups = [[f32::INFINITY; LANES]; 4];
    let (quads, rest) = all.as_chunks::<LANES>().0.as_chunks::<4>();
    for quad in quads {
        for (group, block) in groups.iter_mut().zip(quad) {
            lower(group, block);
        }
    }
    for (group, block) in groups.iter_mut().zip(rest) {
        lower(group, block);
    }
    groups
}

#[inline(always)]
fn lower(least: &mut [f32; LANES], block: &[f32; LANES]) {
    for l in 0..LANES {
        least[l] = if block[l] < least[l] { block[l] } else { least[l] };
    }
}

/// The smallest of all: a minimum does not depend on its order.
#[inline(always)]
fn smallest(groups: &Numbers64) -> f32 {
    let mut lanes = groups[0];
    for group in &groups[1..] {
        lower(&mut lanes, group);
    }
    fold_lanes(
        lanes,
        #[inline(always)]
        |a, b| if b < a { b } else { a },
    )
}

/// Anchors that may be active, t below a [`bound`](Near::bound), nearest first.
fn candidates(distance: &[f32], multipliers: &[f32], scratch: &mut Scratch) {
    let Scratch { shifted, keys } = scratch;
    let groups = vectorized(
        #[inline(always)]
        || {
            shift(distance, multipliers, shifted);
            nearest_of_groups(shifted)
        },
    );
    keys.clear();
    dispatch(Near { shifted, groups, keys });
    keys.sort_unstable();
}

/// Steps of Newton's method that bound μ.
const BOUND_STEPS: usize = 2;

/// The keys of the anchors that may be active.
struct Near<'a> {
    shifted: &'a [f32],
    /// Smallest t of each group.
    groups: Numbers64,
    keys: &'a mut Vec<u64>,
}

impl Near<'_> {
    /// At least μ, for which Σ(μ − t)₊² = 1 over all anchors.
    ///
    /// Over the nearest of each group alone the sum is smaller, and its root larger. It is convex in
    /// μ, so Newton's method comes down to the root from μ = 1, where it is at least 1, and never
    /// passes it: each step is a bound, and the rest is for rounding.
    #[inline(always)]
    fn bound<S: Simd>(simd: S, groups: &[[f32; LANES]]) -> f32 {
        let vectors = LANES / S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        let mut mu = 1.0_f32;
        for _ in 0..BOUND_STEPS {
            let (mut sum, mut squares) = ([zero; LANES], [zero; LANES]);
            for t in groups {
                let t = S::as_simd_f32s(t).0;
                for v in 0..vectors {
                    let below = simd.max_f32s(simd.sub_f32s(simd.splat_f32s(mu), t[v]), zero);
                    sum[v] = simd.add_f32s(sum[v], below);
                    squares[v] = simd.mul_add_f32s(below, below, squares[v]);
                }
            }
            mu -= (total::<S>(&squares[..vectors]) - 1.0) / (2.0 * total::<S>(&sum[..vectors]));
        }
        mu * 1.0001
    }
}

/// How far anchors may be to be active, by some of all anchors: the others only lower λ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// Least u of those some.
    least: f32,
    /// At least μ, the λ of u − least.
    mu: f32,
}

impl Reach {
    /// By the u of up to 64 anchors, infinite where there is none; one that is no number only makes it
    /// longer.
    #[inline(always)]
    pub(crate) fn new<S: Simd>(simd: S, u: &Numbers64) -> Self {
        let least = smallest(u);
        let shifted = u.map(|block| block.map(|u| u - least));
        Self { least, mu: Near::bound(simd, &shifted) }
    }

    /// Whether an anchor whose u is at least `bound` cannot be active; not where any of the numbers is
    /// none.
    #[inline(always)]
    pub(crate) fn is_short_of(&self, bound: f32) -> bool {
        bound - self.least >= self.mu
    }
}

/// The sum of sixteen lanes, whatever the width of a vector.
#[inline(always)]
fn total<S: Simd>(sums: &[S::f32s]) -> f32 {
    let mut lanes = [0.0; LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(sums);
    fold_lanes(lanes, |a, b| a + b)
}

impl WithSimd for Near<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = S::as_simd_f32s(self.shifted).0;
        let blocks = (self.shifted.len() / LANES).min(self.groups.len());
        let bounds = simd.splat_f32s(Self::bound(simd, &self.groups[..blocks]));
        // 2^l in lane l: the sum over the near lanes is a set of bits, without a branch for each.
        let weights: [f32; LANES] = std::array::from_fn(|l| (1_u32 << l) as f32);
        let weights = S::as_simd_f32s(&weights).0[0];
        for (v, t) in vectors.iter().enumerate() {
            let near = simd.less_than_f32s(*t, bounds);
            if simd.first_true_m32s(near) == S::F32_LANES {
                continue;
            }
            let zero = simd.splat_f32s(0.0);
            let mut bits = simd.reduce_sum_f32s(simd.select_f32s(near, weights, zero)) as u32;
            while bits != 0 {
                let i = v * S::F32_LANES + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                self.keys.push(key(self.shifted[i], i));
            }
        }
    }
}

/// The `count` nearest anchors, nearest first.
fn nearest(count: usize, distance: &[f32], multipliers: &[f32], scratch: &mut Scratch) {
    let Scratch { shifted, keys } = scratch;
    vectorized(
        #[inline(always)]
        || shift(distance, multipliers, shifted),
    );
    keys.clear();
    let anchors = shifted[..distance.len()].iter().enumerate();
    keys.extend(anchors.map(|(i, &t)| key(t, i)));
    if count < keys.len() {
        keys.select_nth_unstable(count - 1);
        keys.truncate(count);
    }
    keys.sort_unstable();
}

#[cfg(test)]
mod tests;

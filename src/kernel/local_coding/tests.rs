//! The coding by worked values, by properties of the mathematics, and against f64.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::random::Generator;

/// Rounding of γ in f32: u has 24 bits, and up to 40 anchors are summed.
const TOLERANCE: f64 = 2e-6;
const CODINGS: [Coding; 3] = [Coding::Adaptive, Coding::Soft, Coding::Inverse];

fn code_as(coding: Coding, neighbors: usize, u: &[f32]) -> (Vec<Pair>, f32) {
    let mut pairs = Vec::new();
    let coder = Coder { coding, neighbors };
    let s = coder.code(u, &vec![1.0; u.len()], &mut Scratch::default(), &mut pairs);
    (pairs, s)
}

fn code(u: &[f32]) -> (Vec<Pair>, f32) {
    code_as(Coding::Adaptive, 0, u)
}

/// γ of every anchor, 0 where it is not active.
fn gammas(coding: Coding, u: &[f32]) -> Vec<f64> {
    let mut dense = vec![0.0; u.len()];
    for pair in code_as(coding, 3, u).0 {
        dense[pair.anchor as usize] = f64::from(pair.gamma);
    }
    dense
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance)
}

/// k, S and γ in f64, from the definition: μ with Σ max(0, μ − t)² = 1, by bisection.
fn reference(u: &[f32]) -> (usize, f64, Vec<f64>) {
    let least = u.iter().copied().fold(f32::INFINITY, f32::min);
    let t: Vec<f64> = u.iter().map(|&u| f64::from(u) - f64::from(least)).collect();
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..80 {
        let mu = 0.5 * (low + high);
        let norm: f64 = t.iter().map(|t| (mu - t).max(0.0).powi(2)).sum();
        if norm < 1.0 { low = mu } else { high = mu }
    }
    let closeness: Vec<f64> = t.iter().map(|t| (high - t).max(0.0)).collect();
    let s: f64 = closeness.iter().sum();
    let gamma: Vec<f64> = closeness.iter().map(|c| c / s).collect();
    (gamma.iter().filter(|g| **g > 0.0).count(), s, gamma)
}

#[test]
fn the_golden_rows_of_the_solver_come_out() {
    let (pairs, s) = code(&[0.0, 0.5, 2.0]);
    assert_eq!(pairs.len(), 2);
    assert!((s - 1.322_875_6).abs() < 1e-6);
    assert!((pairs[0].gamma - 0.688_982_2).abs() < 1e-6);
    let (pairs, s) = code(&[0.3, 0.1, 0.2, 0.9, 0.15]);
    let order: Vec<u32> = pairs.iter().map(|p| p.anchor).collect();
    assert_eq!(order, [1, 4, 2, 0]);
    assert!((s - 1.978_004_1).abs() < 1e-6);
    let (pairs, s) = code(&[5.0; 4]);
    assert!(pairs.iter().all(|p| p.gamma == 0.25) && s == 2.0);
}

#[test]
fn a_row_with_overflowed_distances_still_has_an_anchor() {
    for coding in CODINGS {
        let (pairs, _) = code_as(coding, 3, &[f32::INFINITY, f32::INFINITY]);
        assert!(!pairs.is_empty() && pairs.iter().all(|p| p.gamma.is_finite()), "{coding:?}");
        let gamma = gammas(coding, &[f32::INFINITY, 3.0, f32::INFINITY, f32::INFINITY]);
        assert_eq!(gamma, [0.0, 1.0, 0.0, 0.0], "{coding:?}");
    }
}

#[test]
fn twenty_thousand_rows_of_large_distances_have_the_neighbours_of_f64() {
    let mut random = Generator::seed_from_u64(1);
    let mut counts = [0_u32; 21];
    for row in 0..20_000 {
        let spread = 10.0_f32.powf(random.random_range(-1.5..0.5));
        let u: Vec<f32> =
            (0..20).map(|_| 1000.0 + spread * random.random_range(0.0..4.0)).collect();
        let (k, s, gamma) = reference(&u);
        let (pairs, found_s) = code(&u);
        assert_eq!(pairs.len(), k, "row {row}: {u:?}");
        assert!((f64::from(found_s) - s).abs() < 2e-6 * s, "row {row}: {found_s} for {s}");
        assert!(near(&gammas(Coding::Adaptive, &u), &gamma, TOLERANCE), "row {row}: {u:?}");
        counts[k] += 1;
    }
    // The rows must have put the solver to every kind of question.
    assert!(counts[1..].iter().all(|&rows| rows > 20), "{counts:?}");
}

#[test]
fn looking_at_near_anchors_alone_gives_the_bits_of_looking_at_all() {
    let mut random = Generator::seed_from_u64(2);
    for row in 0..20_000 {
        let m = match row % 20 {
            0 => [63, 64, 65, 128, 129, 200, 1000][row / 20 % 7],
            _ => random.random_range(1..100),
        };
        let spread = 10.0_f32.powf(random.random_range(-2.5..1.5));
        let distance = |random: &mut Generator, i: usize| {
            let far = spread * random.random_range(0.0..1.0);
            match row % 3 {
                0 => 3.0 + far,
                // Ties.
                1 => 3.0 + (far * 8.0).round() / 8.0,
                // The near ones all in a group.
                _ => 3.0 + far + if i % 64 == 7 { 0.0 } else { 0.1 },
            }
        };
        let u: Vec<f32> = (0..m).map(|i| distance(&mut random, i)).collect();
        let (mut scratch, ones) = (Scratch::default(), vec![1.0; m]);
        nearest(m, &u, &ones, &mut scratch);
        let keys = scratch.keys;
        let mut all: Vec<Pair> = keys.iter().map(|&key| key_anchor(key, &u, &ones)).collect();
        let (k, s) = adaptive(&keys, &mut all);
        all.truncate(k);
        assert_eq!(code(&u), (all, s), "row {row}: {u:?}");
    }
}

#[test]
fn a_large_multiplier_leaves_the_nearest_and_a_small_one_all() {
    let distance = [0.7_f32, 0.2, 0.9, 0.4, 0.21];
    let coder = Coder { coding: Coding::Adaptive, neighbors: 0 };
    let code = |l: f32| {
        let mut pairs = Vec::new();
        coder.code(&distance, &[l; 5], &mut Scratch::default(), &mut pairs);
        pairs
    };
    let one = code(1e4);
    assert_eq!((one.len(), one[0].anchor, one[0].gamma), (1, 1, 1.0));
    let all = code(1e-6);
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|p| (p.gamma - 0.2).abs() < 1e-6), "{all:?}");
    let counts: Vec<usize> = (-12..12).map(|e| code(2.0_f32.powi(e)).len()).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
}

#[test]
fn the_nearest_are_chosen_by_soft_and_inverse_coding() {
    let u = [4.0_f32, 1.0, 3.0, 0.5, 2.0];
    let sum: f64 = [0.0_f64, -0.5, -1.5].iter().map(|x| x.exp()).sum();
    let soft = [0.0, (-0.5_f64).exp() / sum, 0.0, 1.0 / sum, (-1.5_f64).exp() / sum];
    assert!(near(&gammas(Coding::Soft, &u), &soft, 1e-6));
    let inverse = [0.0, 1.0 / 3.5, 0.0, 2.0 / 3.5, 0.5 / 3.5];
    assert!(near(&gammas(Coding::Inverse, &u), &inverse, 1e-6));
    for coding in CODINGS {
        let (pairs, _) = code_as(coding, 99, &u[..2]);
        assert!(pairs.len() <= 2, "no more anchors than there are");
    }
}

/// Distances of one row: near each other or far, ties among them.
fn distances() -> impl Strategy<Value = Vec<f32>> {
    let near = prop::collection::vec(0.0..1.5_f32, 1..40);
    let far = prop::collection::vec(0.0..500.0_f32, 1..40);
    let tied = prop::collection::vec((0..4_i16).prop_map(|i| 0.25 * f32::from(i)), 1..40);
    prop_oneof![near, far, tied]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn weights_sum_to_one_nearest_first_for_every_coding(u in distances()) {
        for coding in CODINGS {
            let (pairs, _) = code_as(coding, 3, &u);
            let sum: f64 = pairs.iter().map(|p| f64::from(p.gamma)).sum();
            prop_assert!((sum - 1.0).abs() < TOLERANCE, "{coding:?}: {sum}");
            prop_assert!(pairs.iter().all(|p| p.gamma >= 0.0 && p.u == u[p.anchor as usize]));
            prop_assert!(pairs.is_sorted_by(|a, b| a.u <= b.u && a.gamma >= b.gamma));
            let mut anchors: Vec<u32> = pairs.iter().map(|p| p.anchor).collect();
            anchors.sort_unstable();
            anchors.dedup();
            prop_assert_eq!(anchors.len(), pairs.len(), "an anchor twice");
        }
    }

    /// γ is the projection: λ − u = Sγ on the active set with norm 1, and u ≥ λ outside.
    #[test]
    fn adaptive_weights_satisfy_the_kkt_conditions(u in distances()) {
        let (pairs, s) = code(&u);
        let s = f64::from(s);
        let lambda = |p: &Pair| f64::from(p.u) + s * f64::from(p.gamma);
        let first = lambda(&pairs[0]);
        let scale = 1e-6 * (1.0 + f64::from(pairs[0].u));
        let norm: f64 = pairs.iter().map(|p| (s * f64::from(p.gamma)).powi(2)).sum();
        prop_assert!((norm - 1.0).abs() < 1e-5, "norm {norm}");
        for pair in &pairs {
            prop_assert!((lambda(pair) - first).abs() < 2.0 * scale);
        }
        for (i, &u) in u.iter().enumerate() {
            let active = pairs.iter().any(|p| p.anchor as usize == i);
            prop_assert!(active || f64::from(u) >= first - scale, "anchor {i} is left out");
        }
    }

    #[test]
    fn adaptive_weights_equal_those_of_f64(u in distances()) {
        let (_, s, gamma) = reference(&u);
        prop_assert!(near(&gammas(Coding::Adaptive, &u), &gamma, TOLERANCE), "{u:?}");
        prop_assert!((f64::from(code(&u).1) - s).abs() < 1e-5);
    }

    #[test]
    fn the_order_of_the_anchors_does_not_matter(u in distances(), turn in 0..40_usize) {
        let turn = turn % u.len();
        let mut turned = u.clone();
        turned.rotate_left(turn);
        // Ties at the last of a fixed number of neighbours go to the lowest anchor.
        let mut sorted = u.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let tied = sorted.len() > 3 && sorted[2] == sorted[3];
        for coding in CODINGS {
            if tied && coding != Coding::Adaptive {
                continue;
            }
            let mut expected = gammas(coding, &u);
            expected.rotate_left(turn);
            prop_assert!(near(&gammas(coding, &turned), &expected, TOLERANCE), "{coding:?}");
        }
    }

    /// Adaptive and soft coding look at differences alone. Sixteenths add to 1000 without rounding.
    #[test]
    fn a_shift_of_all_distances_changes_nothing(
        sixteenths in prop::collection::vec(0..64_u16, 1..40),
        shift in prop_oneof![Just(1000.0_f32), (0..4000_u16).prop_map(f32::from)],
    ) {
        let u: Vec<f32> = sixteenths.iter().map(|&i| f32::from(i) / 16.0).collect();
        let shifted: Vec<f32> = u.iter().map(|u| u + shift).collect();
        for coding in [Coding::Adaptive, Coding::Soft] {
            prop_assert_eq!(gammas(coding, &u), gammas(coding, &shifted));
        }
    }

    #[test]
    fn ties_share(u in distances(), copies in 2..5_usize) {
        let doubled: Vec<f32> = u.iter().flat_map(|&u| vec![u; copies]).collect();
        for share in gammas(Coding::Adaptive, &doubled).chunks(copies) {
            prop_assert!(share.iter().all(|g| *g == share[0]), "{share:?}");
        }
    }
}

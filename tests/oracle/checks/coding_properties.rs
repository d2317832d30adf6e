//! What must hold for the weights of any row.

use proptest::prelude::*;

use crate::oracle::Coding;
use crate::oracle::coding::{Coded, code, distance_slopes};

fn adaptive(u: &[f64]) -> Coded {
    code(Coding::Adaptive, u)
}

/// Distances at several scales, so that one, some and all anchors come out active; some tied.
fn distances() -> impl Strategy<Value = Vec<f64>> {
    let values = prop::collection::vec(0.0..1.0_f64, 1..20);
    let scale = prop::sample::select(vec![0.1, 1.0, 10.0, 100.0]);
    (values, scale, any::<bool>()).prop_map(|(values, scale, tied)| {
        let round = |v: f64| if tied { (v * 8.0).round() / 8.0 } else { v };
        values.into_iter().map(|v| round(v) * scale).collect()
    })
}

fn any_coding() -> impl Strategy<Value = Coding> {
    prop_oneof![
        Just(Coding::Adaptive),
        (1..8_usize).prop_map(|neighbors| Coding::Soft { neighbors }),
        (1..8_usize).prop_map(|neighbors| Coding::Inverse { neighbors }),
    ]
}

fn assert_all_near(left: &[f64], right: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.len(), right.len());
    for (l, r) in left.iter().zip(right) {
        prop_assert!((l - r).abs() <= tolerance, "{:?} against {:?}", left, right);
    }
    Ok(())
}

/// Σ max(0, μ − t)² = 1 by Newton's method from μ = 1, on u less its minimum.
fn newton_gamma(u: &[f64]) -> Vec<f64> {
    let nearest = u.iter().copied().fold(f64::INFINITY, f64::min);
    let mut mu = 1.0;
    for _ in 0..100 {
        let reach: Vec<f64> = u.iter().map(|v| (mu - (v - nearest)).max(0.0)).collect();
        let excess = reach.iter().map(|r| r * r).sum::<f64>() - 1.0;
        mu -= excess / (2.0 * reach.iter().sum::<f64>());
    }
    let reach: Vec<f64> = u.iter().map(|v| (mu - (v - nearest)).max(0.0)).collect();
    let total: f64 = reach.iter().sum();
    reach.iter().map(|r| r / total).collect()
}

/// What the adaptive coding minimises: ‖γ‖ + γ·u.
fn objective(gamma: &[f64], u: &[f64]) -> f64 {
    let norm = gamma.iter().map(|g| g * g).sum::<f64>().sqrt();
    norm + gamma.iter().zip(u).map(|(g, v)| g * v).sum::<f64>()
}

proptest! {
    #[test]
    fn weights_are_a_distribution_over_the_active_anchors(u in distances(), coding in any_coding()) {
        let coded = code(coding, &u);
        prop_assert!((coded.gamma.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for i in 0..u.len() {
            prop_assert!(coded.gamma[i] >= 0.0);
            prop_assert!(coded.gamma[i] == 0.0 || coded.active.contains(&i));
        }
        if let Coding::Soft { neighbors } | Coding::Inverse { neighbors } = coding {
            prop_assert_eq!(coded.active.len(), neighbors.min(u.len()));
        }
    }

    #[test]
    fn a_nearer_anchor_never_weighs_less(u in distances(), coding in any_coding()) {
        let gamma = code(coding, &u).gamma;
        for i in 0..u.len() {
            for j in 0..u.len() {
                prop_assert!(u[i] >= u[j] || gamma[i] >= gamma[j]);
            }
        }
    }

    #[test]
    fn the_kkt_conditions_hold(u in distances()) {
        let Coded { gamma, active, lambda, .. } = adaptive(&u);
        let lambda = lambda.unwrap();
        let norm = gamma.iter().map(|g| g * g).sum::<f64>().sqrt();
        for i in 0..u.len() {
            if active.contains(&i) {
                prop_assert!((gamma[i] / norm + u[i] - lambda).abs() < 1e-9);
            } else {
                prop_assert!(u[i] >= lambda - 1e-9);
            }
        }
    }

    #[test]
    fn no_other_weights_have_a_lower_objective(
        u in distances(),
        other in prop::collection::vec(0.0..1.0_f64, 20),
        mix in 0.0..1.0_f64,
    ) {
        let gamma = adaptive(&u).gamma;
        let total: f64 = other[..u.len()].iter().sum::<f64>() + 1e-9 * u.len() as f64;
        let toward = |i: usize| (1.0 - mix) * gamma[i] + mix * (other[i] + 1e-9) / total;
        let rival: Vec<f64> = (0..u.len()).map(toward).collect();
        prop_assert!(objective(&rival, &u) >= objective(&gamma, &u) - 1e-9);
    }

    #[test]
    fn newtons_method_finds_the_same_weights(u in distances()) {
        assert_all_near(&adaptive(&u).gamma, &newton_gamma(&u), 1e-9)?;
    }

    #[test]
    fn lambda_is_the_threshold_of_entmax(u in distances()) {
        let coded = adaptive(&u);
        let reach: Vec<f64> = u.iter().map(|v| (coded.lambda.unwrap() - v).max(0.0)).collect();
        prop_assert!((reach.iter().map(|r| r * r).sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!((reach.iter().sum::<f64>() - coded.normalizer).abs() < 1e-9);
        let n_active = coded.active.len() as f64;
        prop_assert!(coded.normalizer >= 1.0 - 1e-12);
        prop_assert!(coded.normalizer <= n_active.sqrt() + 1e-12);
    }

    #[test]
    fn permuted_anchors_permute_the_weights(
        (u, order) in distances().prop_flat_map(|u| {
            let order: Vec<usize> = (0..u.len()).collect();
            (Just(u), Just(order).prop_shuffle())
        }),
    ) {
        let gamma = adaptive(&u).gamma;
        let permuted: Vec<f64> = order.iter().map(|&i| u[i]).collect();
        let expected: Vec<f64> = order.iter().map(|&i| gamma[i]).collect();
        assert_all_near(&adaptive(&permuted).gamma, &expected, 1e-12)?;
    }

    #[test]
    fn a_common_distance_changes_nothing(
        u in distances(),
        shift in 0.0..1000.0_f64,
        neighbors in 1..8_usize,
    ) {
        // Quarters: the shift rounds nothing away, so no tie breaks.
        let u: Vec<f64> = u.iter().map(|v| (v * 4.0).round() / 4.0).collect();
        let shift = (shift * 4.0).round() / 4.0;
        let shifted: Vec<f64> = u.iter().map(|v| v + shift).collect();
        for coding in [Coding::Adaptive, Coding::Soft { neighbors }] {
            let (near, far) = (code(coding, &u), code(coding, &shifted));
            prop_assert_eq!(near.active, far.active);
            assert_all_near(&near.gamma, &far.gamma, 1e-12)?;
        }
    }

    #[test]
    fn tied_anchors_share(u in distances(), copies in 2..6_usize) {
        let tied: Vec<f64> = u.iter().flat_map(|&v| vec![v; copies]).collect();
        let gamma = adaptive(&tied).gamma;
        for group in gamma.chunks(copies) {
            assert_all_near(group, &vec![group[0]; copies], 1e-12)?;
        }
    }

    #[test]
    fn equal_distances_give_equal_weights(u in 0.0..1000.0_f64, n_anchors in 1..50_usize) {
        let coded = adaptive(&vec![u; n_anchors]);
        prop_assert_eq!(coded.active.len(), n_anchors);
        assert_all_near(&coded.gamma, &vec![1.0 / n_anchors as f64; n_anchors], 1e-12)?;
    }

    #[test]
    fn a_large_lipschitz_constant_leaves_the_nearest_and_its_ties(u in distances()) {
        let nearest = u.iter().copied().fold(f64::INFINITY, f64::min);
        let active = adaptive(&u.iter().map(|v| v * 1e7).collect::<Vec<_>>()).active;
        for (i, v) in u.iter().enumerate() {
            // Only within 1/L of the nearest can an anchor be active.
            prop_assert!(!active.contains(&i) || v - nearest < 1.001e-7);
            prop_assert!(active.contains(&i) || *v > nearest);
        }
    }

    #[test]
    fn a_small_lipschitz_constant_uses_all_anchors(u in distances()) {
        let coded = adaptive(&u.iter().map(|v| v * 1e-9).collect::<Vec<_>>());
        prop_assert_eq!(coded.active.len(), u.len());
        assert_all_near(&coded.gamma, &vec![1.0 / u.len() as f64; u.len()], 1e-6)?;
    }

    #[test]
    fn slopes_of_the_distances_sum_to_zero(
        u in distances(),
        a in prop::collection::vec(-5.0..5.0_f64, 20),
        neighbors in 1..8_usize,
    ) {
        for coding in [Coding::Adaptive, Coding::Soft { neighbors }] {
            let slopes = distance_slopes(coding, &code(coding, &u), &u, &a[..u.len()]);
            prop_assert!(slopes.iter().sum::<f64>().abs() < 1e-9);
        }
    }
}

#[test]
fn a_large_common_distance_does_not_swallow_lambda() {
    let golden = adaptive(&[0.0, 0.5, 2.0]);
    let far = adaptive(&[1e6, 1e6 + 0.5, 1e6 + 2.0]);
    assert_eq!(far.active, golden.active);
    assert_eq!(far.gamma, golden.gamma);
}

#[test]
fn a_row_on_an_anchor_has_finite_inverse_weights() {
    let coded = code(Coding::Inverse { neighbors: 2 }, &[0.0, 1.0, 2.0]);
    assert!(coded.gamma[0] > 0.999_99 && coded.gamma[0] < 1.0);
}

#[test]
fn one_neighbor_gets_all_the_weight_and_no_slope() {
    for coding in [Coding::Soft { neighbors: 1 }, Coding::Inverse { neighbors: 1 }] {
        let u = [3.0, 1.0, 2.0];
        let coded = code(coding, &u);
        assert_eq!(coded.gamma, [0.0, 1.0, 0.0]);
        let slopes = distance_slopes(coding, &coded, &u, &[1.0, 2.0, 3.0]);
        assert_eq!(slopes, [0.0; 3]);
    }
}

//! Losses and slopes at points known without code.

use proptest::prelude::*;

use crate::oracle::loss::{loss, slopes};
use crate::oracle::{Loss, Target};

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-12 * (1.0 + right.abs())
}

#[test]
fn the_hinge_has_slope_minus_y_inside_the_margin_and_none_beyond() {
    for (class, y) in [(0, -1.0), (1, 1.0)] {
        let target = Target::Class(class);
        assert_eq!(loss(Loss::Hinge, &[y * 0.25], target), 0.75);
        assert_eq!(slopes(Loss::Hinge, &[y * 0.25], target), [-y]);
        assert_eq!(loss(Loss::Hinge, &[-y * 2.0], target), 3.0);
        assert_eq!(slopes(Loss::Hinge, &[-y * 2.0], target), [-y]);
        assert_eq!(loss(Loss::Hinge, &[y * 1.5], target), 0.0);
        assert_eq!(slopes(Loss::Hinge, &[y * 1.5], target), [0.0]);
    }
}

#[test]
fn an_undecided_logistic_row_costs_ln_2() {
    assert!(near(loss(Loss::Logistic, &[0.0], Target::Class(1)), 2.0_f64.ln()));
    assert_eq!(slopes(Loss::Logistic, &[0.0], Target::Class(1)), [-0.5]);
    assert_eq!(slopes(Loss::Logistic, &[0.0], Target::Class(0)), [0.5]);
}

#[test]
fn far_scores_overflow_no_loss() {
    let far = Target::Class(0);
    assert_eq!(loss(Loss::Logistic, &[1e4], far), 1e4);
    assert_eq!(slopes(Loss::Logistic, &[1e4], far), [1.0]);
    assert_eq!(slopes(Loss::Logistic, &[-1e4], far), [0.0]);
    assert_eq!(loss(Loss::Softmax, &[-1e4, 1e4], far), 2e4);
    assert_eq!(slopes(Loss::Softmax, &[-1e4, 1e4], far), [-1.0, 1.0]);
}

#[test]
fn the_squared_loss_is_half_the_squared_residual() {
    assert_eq!(loss(Loss::Squared, &[5.0], Target::Value(2.0)), 4.5);
    assert_eq!(slopes(Loss::Squared, &[5.0], Target::Value(2.0)), [3.0]);
}

#[test]
fn softmax_over_equal_scores_costs_the_log_of_the_classes() {
    let cost = loss(Loss::Softmax, &[0.3; 7], Target::Class(4));
    assert!(near(cost, 7.0_f64.ln()));
}

proptest! {
    #[test]
    fn softmax_ignores_a_common_shift(
        scores in prop::collection::vec(-5.0..5.0_f64, 2..8),
        shift in -100.0..100.0_f64,
        class in 0..2_usize,
    ) {
        let target = Target::Class(class);
        let shifted: Vec<f64> = scores.iter().map(|v| v + shift).collect();
        let (here, there) = (
            loss(Loss::Softmax, &scores, target),
            loss(Loss::Softmax, &shifted, target),
        );
        prop_assert!((here - there).abs() < 1e-11);
        let slopes = slopes(Loss::Softmax, &scores, target);
        prop_assert!(slopes.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn two_class_softmax_is_logistic_in_the_difference(a in -9.0..9.0_f64, b in -9.0..9.0_f64) {
        let softmax = loss(Loss::Softmax, &[a, b], Target::Class(1));
        let logistic = loss(Loss::Logistic, &[b - a], Target::Class(1));
        prop_assert!(near(softmax, logistic));
    }

    #[test]
    fn one_versus_rest_is_the_sum_of_the_binary_losses(
        scores in prop::collection::vec(-5.0..5.0_f64, 2..8),
        class in 0..2_usize,
    ) {
        let mut sum = 0.0;
        let mut expected_slopes = Vec::new();
        for (c, score) in scores.iter().enumerate() {
            let target = Target::Class(usize::from(c == class));
            sum += loss(Loss::Logistic, &[*score], target);
            expected_slopes.extend(slopes(Loss::Logistic, &[*score], target));
        }
        prop_assert!(near(loss(Loss::OneVsRest, &scores, Target::Class(class)), sum));
        prop_assert_eq!(slopes(Loss::OneVsRest, &scores, Target::Class(class)), expected_slopes);
    }
}

//! The adaptive coding on three worked rows.

use crate::oracle::Coding;
use crate::oracle::coding::{code, distance_slopes};

/// Half of the last printed digit.
const PRINTED: f64 = 5.1e-9;

struct Golden {
    u: &'static [f64],
    a: &'static [f64],
    lambda: f64,
    normalizer: f64,
    gamma: &'static [f64],
    blended: f64,
    slopes: &'static [f64],
    active: &'static [usize],
}

fn check(golden: &Golden) {
    let coded = code(Coding::Adaptive, golden.u);
    assert_eq!(coded.active, golden.active);
    assert_near(coded.lambda.unwrap(), golden.lambda);
    assert_near(coded.normalizer, golden.normalizer);
    let blended: f64 = coded.gamma.iter().zip(golden.a).map(|(g, a)| g * a).sum();
    assert_near(blended, golden.blended);
    let slopes = distance_slopes(Coding::Adaptive, &coded, golden.u, golden.a);
    assert_all_near(&coded.gamma, golden.gamma);
    assert_all_near(&slopes, golden.slopes);
}

fn assert_all_near(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_near(*got, *expected);
    }
}

fn assert_near(got: f64, expected: f64) {
    assert!((got - expected).abs() < PRINTED, "{got} for {expected}");
}

#[test]
fn two_of_three_anchors_are_active() {
    check(&Golden {
        u: &[0.0, 0.5, 2.0],
        a: &[1.0, -2.0, 3.0],
        active: &[0, 1],
        lambda: 0.911_437_83,
        normalizer: 1.322_875_66,
        gamma: &[0.688_982_24, 0.311_017_76, 0.0],
        blended: 0.066_946_71,
        slopes: &[-1.295_878_19, 1.295_878_19, 0.0],
    });
}

#[test]
fn four_of_five_unsorted_anchors_are_active() {
    check(&Golden {
        u: &[0.3, 0.1, 0.2, 0.9, 0.15],
        a: &[0.5, -1.0, 2.0, 4.0, -0.25],
        active: &[0, 1, 2, 4],
        lambda: 0.682_001_01,
        normalizer: 1.978_004_04,
        gamma: &[0.193_124_48, 0.294_236_51, 0.243_680_5, 0.0, 0.268_958_51],
        blended: 0.222_447_10,
        slopes: &[-0.105_150_05, 0.671_603_53, -0.854_283_57, 0.0, 0.287_830_09],
    });
}

#[test]
fn four_tied_anchors_share_equally() {
    check(&Golden {
        u: &[5.0; 4],
        a: &[1.0, 2.0, 3.0, 4.0],
        active: &[0, 1, 2, 3],
        lambda: 5.5,
        normalizer: 2.0,
        gamma: &[0.25; 4],
        blended: 2.5,
        slopes: &[0.75, 0.25, -0.25, -0.75],
    });
}

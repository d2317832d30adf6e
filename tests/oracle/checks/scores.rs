//! Scores and distances against another form of the same quantity.

use crate::oracle::forward::{fm_score, forward, squared_distance};
use crate::oracle::params::{Params, Shape};
use crate::oracle::{Coding, Distance, Loss, Spec};

const SHAPE: Shape = Shape { anchors: 4, channels: 2, features: 5, factors: 3 };
const ROW: [f64; 5] = [0.5, -1.25, 0.0, 2.0, -0.75];

fn spec(coding: Coding, distance: Distance) -> Spec {
    Spec {
        coding,
        distance,
        loss: Loss::Softmax,
        smoothing: 0.0,
        learn_anchors: true,
        learn_lipschitz: true,
        learn_metric: true,
        learn_scale: true,
    }
}

#[test]
fn the_pair_loop_equals_the_factored_identity() {
    let params = Params::random(SHAPE, 1);
    let (linear, factors) = (&params.linear[2][1], &params.factors[2][1]);
    let mut expected = params.bias[2][1];
    for f in 0..SHAPE.factors {
        let (mut sum, mut sum_of_squares) = (0.0, 0.0);
        for (x, row) in ROW.iter().zip(factors) {
            sum += x * row[f];
            sum_of_squares += (x * row[f]).powi(2);
        }
        expected += 0.5 * (sum * sum - sum_of_squares);
    }
    expected += ROW.iter().zip(linear).map(|(x, w)| x * w).sum::<f64>();
    let got = fm_score(params.bias[2][1], linear, factors, &ROW);
    assert!((got - expected).abs() < 1e-12);
}

#[test]
fn a_single_anchor_outputs_its_own_score() {
    let params = Params::random(Shape { anchors: 1, ..SHAPE }, 2);
    let pass = forward(&params, &spec(Coding::Single, Distance::SqEuclidean), &ROW);
    assert_eq!(pass.gamma, [1.0]);
    assert_eq!(pass.output, pass.fm[0]);
}

#[test]
fn a_neutral_metric_gives_the_ordinary_distance() {
    let mut params = Params::neutral(SHAPE);
    params.anchors[3] = vec![1.5, -1.25, 1.0, 0.0, 0.25];
    assert_eq!(squared_distance(&params, 3, &ROW), 1.0 + 1.0 + 4.0 + 1.0);
    let plain = forward(&params, &spec(Coding::Adaptive, Distance::Euclidean), &ROW);
    assert_eq!(plain.distance[3], 7.0_f64.sqrt());
    assert_eq!(plain.u, plain.distance);
}

#[test]
fn metric_scale_and_lipschitz_constant_stretch_the_distance() {
    let params = Params::random(SHAPE, 3);
    let mut stretched = params.clone();
    for scale in &mut stretched.anchor_scale[0] {
        *scale *= 3.0; // squared: 9
    }
    for metric in &mut stretched.log_metric {
        *metric += 4.0_f64.ln();
    }
    stretched.log_lipschitz[0] += 2.0_f64.ln();
    let spec = spec(Coding::Adaptive, Distance::SqEuclidean);
    let (before, after) = (forward(&params, &spec, &ROW), forward(&stretched, &spec, &ROW));
    assert!((after.distance[0] / before.distance[0] - 36.0).abs() < 1e-12);
    assert!((after.u[0] / before.u[0] - 72.0).abs() < 1e-12);
    assert!((after.distance[1] / before.distance[1] - 4.0).abs() < 1e-12);
}

//! Every derivative of every coding, loss and distance against central differences of the loss.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::oracle::forward::{Forward, forward};
use crate::oracle::gradient::gradient;
use crate::oracle::loss::{slopes, smoothed_loss};
use crate::oracle::params::{Kind, Params, Shape};
use crate::oracle::{Coding, Distance, Loss, Spec, Target};

const CODINGS: [Coding; 4] = [
    Coding::Single,
    Coding::Adaptive,
    Coding::Soft { neighbors: 3 },
    Coding::Inverse { neighbors: 3 },
];
const DISTANCES: [Distance; 2] = [Distance::SqEuclidean, Distance::Euclidean];
const LOSSES: [Loss; 5] =
    [Loss::Logistic, Loss::Hinge, Loss::Softmax, Loss::OneVsRest, Loss::Squared];
const MODELS: u64 = 6;
const ROWS: usize = 6;

/// Balances the error of the quotient, ~ step², against rounding, ~ 1e-16/step.
const STEP: f64 = 1e-5;
/// Slopes below this are compared absolutely: rounding of the loss drowns them.
const FLOOR: f64 = 1e-3;
const TOLERANCE: f64 = 1e-6;

/// What must stay the same within the step for the loss to be smooth there.
#[derive(PartialEq)]
struct Piece {
    active: Vec<usize>,
    /// Slope of the hinge, which jumps at the margin.
    hinge: Option<Vec<f64>>,
}

#[derive(Default)]
struct Tally {
    compared: usize,
    skipped: usize,
    worst: f64,
    worst_at: String,
    /// How many rows had how many active anchors.
    active: [usize; 7],
}

fn everything(coding: Coding, distance: Distance, loss: Loss) -> Spec {
    Spec {
        coding,
        distance,
        loss,
        // Of labels that are classes, and told as probabilities.
        smoothing: if matches!(loss, Loss::Hinge | Loss::Squared) { 0.0 } else { 0.2 },
        learn_anchors: true,
        learn_lipschitz: true,
        learn_metric: true,
        learn_scale: true,
    }
}

fn shape(coding: Coding, loss: Loss) -> Shape {
    Shape {
        anchors: if coding == Coding::Single { 1 } else { 6 },
        channels: match loss {
            Loss::Softmax | Loss::OneVsRest => 3,
            Loss::Logistic | Loss::Hinge | Loss::Squared => 1,
        },
        features: 4,
        factors: 2,
    }
}

fn examples(loss: Loss, seed: u64) -> Vec<(Vec<f64>, Target)> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1000 + seed);
    let mut examples = Vec::new();
    for _ in 0..ROWS {
        let row = (0..4).map(|_| random.random_range(-1.5..1.5)).collect();
        let target = match loss {
            Loss::Squared => Target::Value(random.random_range(-2.0..2.0)),
            Loss::Logistic | Loss::Hinge => Target::Class(random.random_range(0..2)),
            Loss::Softmax | Loss::OneVsRest => Target::Class(random.random_range(0..3)),
        };
        examples.push((row, target));
    }
    examples
}

fn piece(spec: &Spec, pass: &Forward, target: Target) -> Piece {
    let hinge = (spec.loss == Loss::Hinge).then(|| slopes(spec.loss, &pass.output, target));
    Piece { active: pass.active.clone(), hinge }
}

/// Compares the slopes of one row, number by number.
fn compare(
    tally: &mut Tally,
    params: &Params,
    spec: &Spec,
    (x, target): (&[f64], Target),
    slopes: &Params,
) {
    let here = forward(params, spec, x);
    tally.active[here.active.len()] += 1;
    let smooth = piece(spec, &here, target);
    for (number, (kind, slope)) in slopes.cells().into_iter().enumerate() {
        let moved = |step: f64| {
            let mut copy = params.clone();
            *copy.cells_mut()[number].1 += step;
            let pass = forward(&copy, spec, x);
            let same = piece(spec, &pass, target) == smooth;
            same.then(|| smoothed_loss(spec.loss, spec.smoothing, &pass.output, target))
        };
        let (Some(ahead), Some(behind)) = (moved(STEP), moved(-STEP)) else {
            tally.skipped += 1;
            continue;
        };
        let quotient = (ahead - behind) / (2.0 * STEP);
        let error = (quotient - slope).abs() / slope.abs().max(quotient.abs()).max(FLOOR);
        tally.compared += 1;
        if error > tally.worst || error.is_nan() {
            tally.worst = error;
            tally.worst_at = format!("{spec:?} {kind:?}: {slope} for {quotient}");
        }
    }
}

fn check_coding(coding: Coding) -> Tally {
    let mut tally = Tally::default();
    for distance in DISTANCES {
        for loss in LOSSES {
            let spec = everything(coding, distance, loss);
            for seed in 0..MODELS {
                let mut params = Params::random(shape(coding, loss), seed);
                for log_lipschitz in &mut params.log_lipschitz {
                    *log_lipschitz += 0.5 * seed as f64 - 1.0; // from many active to one
                }
                for (x, target) in examples(loss, seed) {
                    let slopes = gradient(&params, &spec, std::slice::from_ref(&x), &[target]);
                    compare(&mut tally, &params, &spec, (&x, target), &slopes);
                }
            }
        }
    }
    println!(
        "{coding:?}: {} derivatives, {} skipped, worst relative error {:.1e}, rows by active {:?}",
        tally.compared, tally.skipped, tally.worst, tally.active
    );
    assert!(tally.worst < TOLERANCE, "{}", tally.worst_at);
    assert!(tally.skipped * 100 < tally.compared, "too many skipped");
    tally
}

#[test]
fn the_single_coding_has_the_slopes_of_its_loss() {
    check_coding(Coding::Single);
}

#[test]
fn the_adaptive_coding_has_the_slopes_of_its_loss() {
    let tally = check_coding(Coding::Adaptive);
    for n_active in 1..=6 {
        assert!(tally.active[n_active] > 0, "no row with {n_active} active");
    }
}

#[test]
fn soft_assignment_has_the_slopes_of_its_loss() {
    check_coding(CODINGS[2]);
}

#[test]
fn inverse_distance_has_the_slopes_of_its_loss() {
    check_coding(CODINGS[3]);
}

#[test]
fn a_slope_wrong_by_a_thousandth_is_noticed() {
    let spec = everything(Coding::Adaptive, Distance::SqEuclidean, Loss::Squared);
    let params = Params::random(shape(spec.coding, spec.loss), 0);
    let (x, target) = examples(spec.loss, 0).remove(0);
    let slopes = gradient(&params, &spec, std::slice::from_ref(&x), &[target]);
    let mut corrupted = Vec::new();
    for (number, (kind, slope)) in slopes.cells().into_iter().enumerate() {
        if slope.abs() > FLOOR && !corrupted.contains(&kind) {
            corrupted.push(kind);
            let mut wrong = slopes.clone();
            *wrong.cells_mut()[number].1 *= 1.001;
            let mut tally = Tally::default();
            compare(&mut tally, &params, &spec, (&x, target), &wrong);
            assert!(tally.worst > TOLERANCE, "{kind:?}");
        }
    }
    assert_eq!(corrupted.len(), 7, "of each kind one");
}

#[test]
fn quotients_across_a_kink_are_skipped() {
    let line = Shape { anchors: 2, channels: 1, features: 1, factors: 1 };
    // u = [0, 1]: λ = 1, and the second anchor enters as soon as it comes nearer.
    let mut entering = Params::neutral(line);
    entering.anchors[1][0] = 1.0;
    let squared = everything(Coding::Adaptive, Distance::SqEuclidean, Loss::Squared);
    // ŷ = 1 for y = 1: the hinge bends where the score falls.
    let mut margin = Params::neutral(Shape { anchors: 1, ..line });
    margin.bias[0][0] = 1.0;
    let hinge = everything(Coding::Single, Distance::SqEuclidean, Loss::Hinge);
    for (params, spec, target, kinks) in [
        (entering, squared, Target::Value(1.0), 2), // z_2 and l_2 among others
        (margin, hinge, Target::Class(1), 1),       // b
    ] {
        let mut tally = Tally::default();
        let slopes = gradient(&params, &spec, &[vec![0.0]], &[target]);
        compare(&mut tally, &params, &spec, (&[0.0], target), &slopes);
        assert!(tally.skipped >= kinks, "{} skipped", tally.skipped);
        assert!(tally.worst < TOLERANCE);
    }
}

#[test]
fn a_batch_has_the_mean_of_its_rows_slopes() {
    let spec = everything(Coding::Adaptive, Distance::Euclidean, Loss::Softmax);
    let params = Params::random(shape(spec.coding, spec.loss), 5);
    let (rows, targets): (Vec<_>, Vec<_>) = examples(spec.loss, 5).into_iter().unzip();
    let mut mean = vec![0.0; params.cells().len()];
    for (x, target) in rows.iter().zip(&targets) {
        let one = gradient(&params, &spec, std::slice::from_ref(x), &[*target]);
        for (sum, (_, slope)) in mean.iter_mut().zip(one.cells()) {
            *sum += slope / rows.len() as f64;
        }
    }
    let batch = gradient(&params, &spec, &rows, &targets).cells();
    for (expected, (kind, slope)) in mean.iter().zip(batch) {
        assert!((slope - expected).abs() < 1e-14, "{kind:?}");
    }
}

#[test]
fn a_row_on_an_anchor_has_finite_slopes() {
    for coding in CODINGS {
        let spec = everything(coding, Distance::Euclidean, Loss::Squared);
        let params = Params::random(shape(coding, spec.loss), 6);
        let row = params.anchors[0].clone();
        let slopes = gradient(&params, &spec, &[row], &[Target::Value(1.0)]);
        assert_eq!(slopes.anchors[0], [0.0; 4]);
        assert!(slopes.cells().iter().all(|(_, slope)| slope.is_finite()));
    }
}

#[test]
fn what_is_not_learned_has_no_slope() {
    let frozen = Spec {
        learn_anchors: false,
        learn_lipschitz: false,
        learn_metric: false,
        learn_scale: false,
        ..everything(Coding::Adaptive, Distance::SqEuclidean, Loss::Squared)
    };
    let params = Params::random(shape(frozen.coding, frozen.loss), 7);
    let (x, target) = examples(frozen.loss, 7).remove(0);
    for (kind, slope) in gradient(&params, &frozen, &[x], &[target]).cells() {
        let learned = matches!(kind, Kind::Bias | Kind::Linear | Kind::Factor);
        assert!(learned || slope == 0.0, "{kind:?}");
    }
}

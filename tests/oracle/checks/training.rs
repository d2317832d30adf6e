//! Steps by hand, schedules, and the paper's loop.

use crate::oracle::forward::forward;
use crate::oracle::loss::loss;
use crate::oracle::paper_loop::{PaperSettings, paper_loop};
use crate::oracle::params::{Kind, Params, Shape};
use crate::oracle::train::{Optimizer, Rates, Schedule, Trainer, schedule};
use crate::oracle::{Coding, Distance, Loss, Spec, Target};

const SHAPE: Shape = Shape { anchors: 5, channels: 1, features: 3, factors: 2 };
const RATES: Rates = Rates { rate: 0.01, anchor_rate: 0.03, l2: 0.0, weight_decay: 0.0 };

fn spec(learn_all: bool) -> Spec {
    Spec {
        coding: Coding::Adaptive,
        distance: Distance::SqEuclidean,
        loss: Loss::Logistic,
        smoothing: 0.0,
        learn_anchors: true,
        learn_lipschitz: learn_all,
        learn_metric: learn_all,
        learn_scale: learn_all,
    }
}

fn rows(count: usize) -> (Vec<Vec<f64>>, Vec<Target>) {
    let wave = |n: usize, j: usize| (1.3 * n as f64 + 2.1 * j as f64 + 0.4).sin() * 1.5;
    let rows: Vec<Vec<f64>> =
        (0..count).map(|n| (0..SHAPE.features).map(|j| wave(n, j)).collect()).collect();
    let curved = |x: &Vec<f64>| Target::Class(usize::from(x[0] * x[1] + x[2] > 0.2));
    let targets = rows.iter().map(curved).collect();
    (rows, targets)
}

fn mean_loss(trainer: &Trainer, rows: &[Vec<f64>], targets: &[Target]) -> f64 {
    let one = |(x, &target): (&Vec<f64>, &Target)| {
        let output = forward(&trainer.params, &trainer.spec, x).output;
        loss(trainer.spec.loss, &output, target)
    };
    rows.iter().zip(targets).map(one).sum::<f64>() / rows.len() as f64
}

/// (kind, before, after) of every number.
fn moved(before: &Params, after: &Params) -> Vec<(Kind, f64, f64)> {
    let pairs = before.cells().into_iter().zip(after.cells());
    pairs.map(|((kind, old), (_, new))| (kind, old, new)).collect()
}

#[test]
fn batches_of_one_are_the_papers_loop() {
    let mut start = Params::random(SHAPE, 7);
    start.log_metric = vec![0.0; SHAPE.features];
    start.anchor_scale = vec![vec![1.0; SHAPE.features]; SHAPE.anchors];
    let settings = PaperSettings { rho: 20.0, anchor_rho: 5.0, t0: 100.0, l2: 1e-3 };
    let (rows, targets) = rows(300);
    let sign = |t: &Target| if *t == Target::Class(1) { 1.0 } else { -1.0 };
    let labels: Vec<f64> = targets.iter().map(sign).collect();
    let (expected, expected_loss) = paper_loop(&start, &settings, &rows, &labels);

    let mut trainer = Trainer::new(start.clone(), spec(false), Optimizer::Sgd);
    let mut running = 0.0;
    for t in 0..rows.len() {
        let (row, target) = (&rows[t..=t], &targets[t..=t]);
        running += mean_loss(&trainer, row, target) / rows.len() as f64;
        let fall = |rho: f64| {
            let inverse = Schedule::Inverse { t0: settings.t0 };
            schedule(inverse, rho / settings.t0, t, t)
        };
        let rates = Rates {
            rate: fall(settings.rho),
            anchor_rate: fall(settings.anchor_rho),
            l2: settings.l2,
            weight_decay: 0.0,
        };
        trainer.step(row, target, &rates);
    }

    assert!((running - expected_loss).abs() < 1e-10);
    for (kind, got, want) in moved(&trainer.params, &expected) {
        assert!((got - want).abs() < 1e-9, "{kind:?}: {got} for {want}");
    }
    let travelled = moved(&start, &expected);
    let anchors_moved = |m: &(Kind, f64, f64)| m.0 == Kind::Anchor && (m.1 - m.2).abs() > 0.01;
    assert!(travelled.iter().any(anchors_moved));
}

#[test]
fn the_first_adaptive_step_moves_everything_by_its_own_rate() {
    let (rows, targets) = rows(20);
    for optimizer in [Optimizer::Adam, Optimizer::AdaGrad] {
        let mut trainer = Trainer::new(Params::random(SHAPE, 8), spec(true), optimizer);
        let before = trainer.params.clone();
        trainer.step(&rows, &targets, &RATES);
        for (kind, old, new) in moved(&before, &trainer.params) {
            let rate = if kind == Kind::Anchor { 0.03 } else { 0.01 };
            assert!(((new - old).abs() - rate).abs() < 1e-4 * rate, "{kind:?}");
        }
    }
}

#[test]
fn adam_carries_an_anchor_on_when_its_rows_are_gone() {
    let (rows, targets) = rows(20);
    let mut trainer = Trainer::new(Params::random(SHAPE, 9), spec(true), Optimizer::Adam);
    trainer.step(&rows, &targets, &RATES);
    let before = trainer.params.clone();
    // So far from everything that the nearest anchor alone is active: no anchor has a gradient.
    let far = vec![vec![40.0, -30.0, 20.0]];
    assert_eq!(forward(&before, &trainer.spec, &far[0]).active.len(), 1);
    trainer.step(&far, &[Target::Class(0)], &RATES);
    for (kind, old, new) in moved(&before, &trainer.params) {
        assert!(kind != Kind::Anchor || (new - old).abs() > 1e-3);
    }
}

#[test]
fn frozen_parameters_stay_where_they_are() {
    let (rows, targets) = rows(20);
    let frozen = Spec { learn_anchors: false, ..spec(false) };
    for optimizer in [Optimizer::Sgd, Optimizer::AdaGrad, Optimizer::Adam] {
        let mut trainer = Trainer::new(Params::random(SHAPE, 10), frozen, optimizer);
        let before = trainer.params.clone();
        let rates = Rates { l2: 0.1, weight_decay: 0.1, ..RATES };
        trainer.step(&rows, &targets, &rates);
        for (kind, old, new) in moved(&before, &trainer.params) {
            let learned = matches!(kind, Kind::Bias | Kind::Linear | Kind::Factor);
            assert_eq!(old != new, learned, "{kind:?}");
        }
    }
}

#[test]
fn coupled_and_decoupled_decay_agree_for_plain_descent_alone() {
    let (rows, targets) = rows(20);
    let stepped = |optimizer, l2, weight_decay| {
        let mut trainer = Trainer::new(Params::random(SHAPE, 11), spec(true), optimizer);
        trainer.step(&rows, &targets, &Rates { l2, weight_decay, ..RATES });
        trainer.params
    };
    let gap = |optimizer| {
        let (l2, decay) = (stepped(optimizer, 0.5, 0.0), stepped(optimizer, 0.0, 0.5));
        let gaps = moved(&l2, &decay).into_iter().map(|(_, a, b)| (a - b).abs());
        gaps.fold(0.0, f64::max)
    };
    assert!(gap(Optimizer::Sgd) < 1e-15);
    assert!(gap(Optimizer::Adam) > 1e-3);
    for (kind, none, decayed) in
        moved(&stepped(Optimizer::Adam, 0.0, 0.0), &stepped(Optimizer::Adam, 0.0, 0.5))
    {
        let decays = matches!(kind, Kind::Linear | Kind::Factor);
        assert_eq!(none != decayed, decays, "{kind:?}");
    }
}

#[test]
fn every_optimizer_lowers_the_loss() {
    let (rows, targets) = rows(60);
    for (optimizer, rate) in
        [(Optimizer::Sgd, 0.3), (Optimizer::AdaGrad, 0.1), (Optimizer::Adam, 0.02)]
    {
        let mut trainer = Trainer::new(Params::random(SHAPE, 12), spec(true), optimizer);
        let before = mean_loss(&trainer, &rows, &targets);
        for _ in 0..100 {
            trainer.step(&rows, &targets, &Rates { rate, anchor_rate: rate, ..RATES });
        }
        let after = mean_loss(&trainer, &rows, &targets);
        assert!(after < 0.5 * before, "{optimizer:?}: {before} to {after}");
    }
}

#[test]
fn schedules_pass_through_their_known_points() {
    assert_eq!(schedule(Schedule::Constant, 0.3, 999, 99), 0.3);
    let inverse = Schedule::Inverse { t0: 50.0 };
    assert_eq!(schedule(inverse, 0.3, 0, 0), 0.3);
    assert_eq!(schedule(inverse, 0.3, 50, 1), 0.15);
    let cosine = Schedule::Cosine { total_steps: 8 };
    assert_eq!(schedule(cosine, 0.3, 0, 0), 0.3);
    assert!((schedule(cosine, 0.3, 0, 4) - 0.15).abs() < 1e-15);
    assert!(schedule(cosine, 0.3, 0, 8).abs() < 1e-15);
}

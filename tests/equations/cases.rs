//! What the backends are run on: devices, and problems of every shape that is a tail or an edge.

use llfm::backend::{Device, Placement};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::equations::bridge::{Problem, all_specs};
use crate::gpu;
use crate::oracle::forward::forward;
use crate::oracle::{Coding, Spec};

/// Every backend, and the name of each.
pub(crate) fn devices() -> Vec<(&'static str, Device)> {
    let gpu = gpu::device(Placement::Resident).map(|gpu| ("GPU", gpu));
    [("CPU", Device::Cpu)].into_iter().chain(gpu).collect()
}

/// The same, and the GPU with streamed rows.
pub(crate) fn devices_and_streams() -> Vec<(&'static str, Device)> {
    let stream = gpu::device(Placement::Stream).map(|gpu| ("GPU, streamed rows", gpu));
    devices().into_iter().chain(stream).collect()
}

/// Some of the specs, others for each `seed`: a step of 7 through the 40 visits all parts evenly.
pub(crate) fn some_specs(seed: u64, count: usize) -> impl Iterator<Item = Spec> {
    let specs: Vec<Spec> = all_specs().collect();
    (0..count).map(move |i| specs[(seed as usize * 3 + i * 7) % specs.len()])
}

/// One problem beyond those every spec is run on.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) problem: Problem,
}

fn cases_of(
    name: &str,
    count: usize,
    seed: u64,
    make: impl Fn(Spec) -> Problem,
) -> impl Iterator<Item = Case> {
    let case = |spec| Case { name: format!("{name}, {spec:?}"), problem: settled(make(spec)) };
    let cases: Vec<Case> = some_specs(seed, count).map(case).collect();
    cases.into_iter()
}

/// The problem with each row moved away from where it would change its anchors: there the scores of
/// a fixed number of neighbours jump, and the slopes of the adaptive coding.
fn settled(mut problem: Problem) -> Problem {
    for r in 0..problem.rows.len() {
        let mut tries = 0;
        while changes_soon(&problem, &problem.rows[r]) {
            problem.rows[r].iter_mut().for_each(|x| *x = f64::from((0.9 * *x) as f32));
            tries += 1;
            assert!(tries < 50, "row {r} stays where it changes its anchors");
        }
    }
    problem
}

fn changes_soon(problem: &Problem, row: &[f64]) -> bool {
    let forward = forward(&problem.params, &problem.spec, row);
    let mut u = forward.u;
    u.sort_by(f64::total_cmp);
    let near = |u: f64, limit: f64| (u - limit).abs() < 1e-4 * (1.0 + limit.abs());
    match problem.spec.coding {
        Coding::Single => false,
        Coding::Adaptive => u.iter().any(|&u| near(u, forward.lambda.expect("adaptive"))),
        Coding::Soft { neighbors } | Coding::Inverse { neighbors } => {
            neighbors < u.len() && near(u[neighbors - 1], u[neighbors])
        }
    }
}

/// Problems at the edges of blocks, and of what a model may be.
pub(crate) fn edge_cases() -> Vec<Case> {
    // Anchors, features, factors; rows.
    let shapes = [
        ((6, 5, 2), 1),
        ((1, 4, 3), 6),
        ((5, 1, 2), 9),
        ((35, 17, 1), 33),
        ((9, 65, 2), 65),
        ((64, 33, 0), 129),
        ((12, 129, 3), 40),
        ((7, 784, 2), 5),
        ((5, 6, 15), 20),
        ((4, 5, 31), 17),
        ((200, 3, 2), 30),
    ];
    let mut cases = Vec::new();
    for (seed, (shape, rows)) in (10..).zip(shapes) {
        let make = |spec| Problem::random(spec, shape, rows, seed);
        cases.extend(cases_of(&format!("{shape:?}, {rows} rows"), 4, seed, make));
    }
    cases.extend(cases_of("26 classes", 6, 30, |spec| {
        Problem::with_classes(spec, (5, 7, 3), 26, 37, 30)
    }));
    cases.extend(cases_of("empty rows", 6, 31, |spec| {
        let mut problem = Problem::random(spec, (6, 5, 2), 14, 31);
        [0, 5, 6, 13].into_iter().for_each(|r| problem.rows[r].fill(0.0));
        problem
    }));
    cases.extend(cases_of("all rows empty", 4, 32, |spec| {
        let mut problem = Problem::random(spec, (6, 5, 2), 3, 32);
        problem.rows.iter_mut().flatten().for_each(|x| *x = 0.0);
        problem
    }));
    cases.extend(cases_of("every anchor active", 8, 33, all_active));
    cases
}

/// A row's weight spread over all anchors, however many.
fn all_active(spec: Spec) -> Problem {
    const ANCHORS: usize = 37;
    let coding = match spec.coding {
        Coding::Soft { .. } => Coding::Soft { neighbors: ANCHORS },
        Coding::Inverse { .. } => Coding::Inverse { neighbors: ANCHORS },
        other => other,
    };
    let mut problem = Problem::random(Spec { coding, ..spec }, (ANCHORS, 5, 2), 21, 33);
    problem.params.log_lipschitz.iter_mut().for_each(|l| *l -= 7.0);
    problem
}

/// Problems of random shape, the same in every run.
pub(crate) fn random_cases(count: u64) -> Vec<Case> {
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let shapes = (1..40_usize, 1..50_usize, 0..13_usize, 1..90_usize, 2..8_usize);
    let mut cases = Vec::new();
    for seed in 50..50 + count {
        let (m, p, d, rows, classes) =
            shapes.new_tree(&mut runner).expect("any shape will do").current();
        let make = |spec| Problem::with_classes(spec, (m, p, d), classes, rows, seed);
        let name = format!("({m}, {p}, {d}), {rows} rows, {classes} classes");
        cases.extend(cases_of(&name, 1, seed, make));
    }
    cases
}

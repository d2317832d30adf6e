//! The coding of a row: weights on the simplex, and those of the plain f64 solver of the tests.

use arbitrary::{Result, Unstructured};
use llfm::config;

use super::predict::number;

#[path = "../../tests/oracle/coding.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod solver;

/// The codings as that solver knows them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(dead_code, reason = "a single anchor has nothing to solve")]
enum Coding {
    Single,
    Adaptive,
    Soft { neighbors: usize },
    Inverse { neighbors: usize },
}

/// Errors of single precision in a weight; S, by which a sum of up to 200 terms is divided, is at
/// least 1.
const TOLERANCE: f64 = 2e-5;

/// Checks the coding of the row that an input stands for.
pub fn row(data: &[u8]) {
    if let Ok((coding, distance, multipliers)) = problem(&mut Unstructured::new(data)) {
        check(coding, &distance, &multipliers);
    }
}

fn problem(bytes: &mut Unstructured) -> Result<(Coding, Vec<f32>, Vec<f32>)> {
    let neighbors = bytes.int_in_range(1..=20)?;
    let codings = [
        Coding::Adaptive,
        Coding::Adaptive,
        Coding::Soft { neighbors },
        Coding::Inverse { neighbors },
    ];
    let coding = *bytes.choose(&codings)?;
    let m = bytes.int_in_range(1..=200)?;
    let extreme: bool = bytes.arbitrary()?;
    let same: bool = bytes.arbitrary()?;
    // Few different ones make ties.
    let count = bytes.int_in_range(1..=m)?;
    let shift = if bytes.arbitrary()? { 0.0 } else { number(bytes, extreme)?.abs() };
    let mut some = Vec::new();
    for _ in 0..count {
        some.push((number(bytes, extreme)?.abs() + shift).min(f32::INFINITY));
    }
    let one = number(bytes, extreme)?.abs();
    let mut multipliers = vec![if same { 1.0 } else { one }; m];
    if !same {
        for each in &mut multipliers {
            let step: u8 = bytes.arbitrary().unwrap_or(0);
            *each *= 1.0 + f32::from(step) / 64.0;
        }
    }
    let distance = (0..m).map(|i| some[i * 7 % count]).collect();
    Ok((coding, distance, multipliers))
}

fn check(coding: Coding, distance: &[f32], multipliers: &[f32]) {
    let (name, neighbors) = match coding {
        Coding::Single => (config::Coding::Single, 1),
        Coding::Adaptive => (config::Coding::Adaptive, 1),
        Coding::Soft { neighbors } => (config::Coding::Soft, neighbors),
        Coding::Inverse { neighbors } => (config::Coding::Inverse, neighbors),
    };
    let active = llfm::fuzzing::code(name, neighbors, distance, multipliers);
    let m = distance.len();
    assert!((1..=m).contains(&active.len()), "{} anchors of {m}", active.len());
    if coding != Coding::Adaptive {
        assert_eq!(active.len(), neighbors.min(m));
    }
    let mut gamma = vec![0.0; m];
    for &(anchor, weight) in &active {
        assert!(weight.is_finite() && weight >= 0.0, "γ {weight}");
        assert_eq!(std::mem::replace(&mut gamma[anchor], f64::from(weight)), 0.0, "twice");
    }
    let sum: f64 = gamma.iter().sum();
    assert!((sum - 1.0).abs() < TOLERANCE, "γ sums to {sum}");
    assert!(active.is_sorted_by(|a, b| a.1 >= b.1), "the nearest first: {active:?}");

    let u: Vec<f64> = distance.iter().zip(multipliers).map(|(d, l)| f64::from(d * l)).collect();
    // Where distances overflow nothing but the simplex can be asked for.
    if u.iter().any(|u| !u.is_finite()) {
        return;
    }
    let expected = solver::code(coding, &u).gamma;
    // Of anchors that single precision cannot tell apart either may be taken.
    let falling = |mut all: Vec<f64>| {
        all.sort_by(|a, b| b.total_cmp(a));
        all
    };
    for (found, expected) in falling(gamma).iter().zip(falling(expected)) {
        assert!((found - expected).abs() < TOLERANCE, "γ {found}, {expected} in f64 of {u:?}");
    }
}

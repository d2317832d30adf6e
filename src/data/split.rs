//! Which rows train, which validate, which test: a seeded permutation, the same on every machine.

use rand::Rng;

use crate::error::{Error, Result};
use crate::random::{self, Generator};

/// How rows are dealt out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// Fraction of all rows for testing, from 0 to below 1.
    pub test_fraction: f64,
    /// Fraction of all rows for validation, from 0 to below 1.
    pub valid_fraction: f64,
    /// Seed of the permutation.
    pub seed: u64,
}

/// Row numbers for training, validation and testing, each sorted.
///
/// The first rows of the permutation test, the next validate, the rest trains; sizes are rounded to
/// the nearest row. The generator is Xoshiro256++ seeded by SplitMix64, the shuffle Fisher and
/// Yates' from the end, so another program can draw the same split.
///
/// # Errors
/// Fractions outside their range, and fractions that leave a part without a row.
pub fn split_rows(n: usize, options: &SplitOptions) -> Result<[Vec<usize>; 3]> {
    let (test, valid) = (options.test_fraction, options.valid_fraction);
    for (name, fraction) in [("test-fraction", test), ("valid-fraction", valid)] {
        if !(0.0..1.0).contains(&fraction) {
            let message = format!("--{name} {fraction}: expected a number from 0 to below 1");
            return Err(Error::Usage(message));
        }
    }
    let (n_test, n_valid) = (share(n, test), share(n, valid));
    let starved = (test > 0.0 && n_test == 0) || (valid > 0.0 && n_valid == 0);
    if starved || n_test + n_valid >= n.max(1) {
        return Err(Error::Usage(format!(
            "{n} rows split into {n_test} for testing and {n_valid} for validation leave a part \
             without rows; change the fractions"
        )));
    }
    let mut rows: Vec<usize> = (0..n).collect();
    if n_test + n_valid > 0 {
        shuffle(&mut rows, options.seed);
    }
    let mut train = rows.split_off(n_test + n_valid);
    let mut valid = rows.split_off(n_test);
    train.sort_unstable();
    valid.sort_unstable();
    rows.sort_unstable();
    Ok([train, valid, rows])
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a row count, rounded on purpose"
)]
fn share(n: usize, fraction: f64) -> usize {
    (n as f64 * fraction).round() as usize
}

/// Fisher and Yates' shuffle.
pub(crate) fn shuffle(rows: &mut [usize], seed: u64) {
    let mut random = random::plain(seed);
    for last in (1..rows.len()).rev() {
        rows.swap(last, below(&mut random, last as u64 + 1));
    }
}

/// A number below `bound`, each equally likely: high half of a product, the biased draws repeated.
#[expect(clippy::cast_possible_truncation, reason = "halves of a product; below a usize")]
pub(crate) fn below(random: &mut Generator, bound: u64) -> usize {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(random.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as usize;
        }
    }
}

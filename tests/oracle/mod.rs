//! The f64 oracle: the model straight from its equations, with plain loops.
//!
//! It imports nothing from the crate under test, so that a mistake made there cannot be made here
//! by sharing code. Where there is a choice, the slow and literal formula is taken.
//!
//! | symbol | here | shape |
//! |---|---|---|
//! | Z | `anchors` | `[m][p]` |
//! | l = log L | `log_lipschitz` | `[m]` |
//! | τ, e = exp(τ) | `log_metric` | `[p]` |
//! | t | `anchor_scale` | `[m][p]` |
//! | b, w, V | `bias`, `linear`, `factors` | `[m][c]`, `[m][c][p]`, `[m][c][p][d]` |
//! | u, γ, λ, S | `u`, `gamma`, `lambda`, `normalizer` | `[m]`, `[m]`, one, one |
//! | f, ŷ | `fm`, `output` | `[m][c]`, `[c]` |
//!
//! Another test binary takes it in with
//!
//! ```ignore
//! #[allow(dead_code, reason = "each test binary uses its own part")]
//! mod oracle;
//! ```
#![allow(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what the tests may use"
)]
#![allow(clippy::needless_range_loop, reason = "loops over indices read as the equations do")]

pub mod coding;
pub mod forward;
pub mod gradient;
pub mod loss;
pub mod paper_loop;
pub mod params;
pub mod train;

/// How distances become weights γ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// A plain factorization machine: one anchor, γ = 1.
    Single,
    /// Adaptive number of neighbours (the paper's Algorithm 1).
    Adaptive,
    /// γ ∝ exp(−u) over a fixed number of nearest anchors (eq. 3).
    Soft { neighbors: usize },
    /// γ ∝ 1/(u + 1e-6) over a fixed number of nearest anchors.
    Inverse { neighbors: usize },
}

/// What is multiplied by L to give u.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distance {
    /// d = D, as in the paper.
    SqEuclidean,
    /// d = √D.
    Euclidean,
}

/// The loss ℓ of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Two classes, one channel: softplus(−yŷ) with y = ±1.
    Logistic,
    /// Two classes, one channel: max(0, 1 − yŷ) with y = ±1.
    Hinge,
    /// A channel per class: the negative log of the softmax probability.
    Softmax,
    /// A channel per class: the sum of the logistic losses of each class against the others.
    OneVsRest,
    /// A real target, one channel: ½(ŷ − y)².
    Squared,
}

/// What is computed, and which parameters of the coding are learned beside b, w and V.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    pub coding: Coding,
    pub distance: Distance,
    pub loss: Loss,
    /// Share ε of each label that is spread over the classes alike.
    pub smoothing: f64,
    pub learn_anchors: bool,
    pub learn_lipschitz: bool,
    pub learn_metric: bool,
    pub learn_scale: bool,
}

/// The target of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Class number from 0; with one channel class 1 is y = +1 and class 0 is y = −1.
    Class(usize),
    /// Regression.
    Value(f64),
}

//! Why a row scores as it does: its active anchors, and what each feature and each pair adds.
//!
//! With the weights γ of the row, the blend is one factorization machine:
//!
//! > ŷ(x) = Σᵢ γᵢ bᵢ + Σⱼ (Σᵢ γᵢ wᵢⱼ) xⱼ + Σ_{j<j'} (Σᵢ γᵢ ⟨vᵢⱼ, vᵢⱼ'⟩) xⱼ xⱼ'
//!
//! Its terms are the contributions. They sum to the score and are no approximation; that γ depends on
//! the row too is what the list of anchors tells. Each of E members counts 1/E. Sums are in f64,
//! O(z²·k·d) for a row of z non-zeros and k active anchors.

use std::cmp::Ordering;

use ndarray::{ArrayView1, ArrayView2, s};
use rayon::prelude::*;

use crate::backend::cpu::coded::{Coded, CodedRow, coded};
use crate::data::Features;
use crate::error::Result;
use crate::model::Model;
use crate::outcome::Outcome;

/// Rows explained at a time: enough for every core.
const ROWS: usize = 64;

/// Explains rows with a trained model, on the CPU.
pub struct Explainer<'a> {
    model: &'a Model,
    outcome: Outcome,
    members: Vec<Box<dyn Coded>>,
}

/// Why a row scores as it does. All but `outputs` is in the user's unit for a regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Raw scores ŷ `[C]`, mean of the members; standardised for a regression.
    pub outputs: Vec<f32>,
    /// The channel explained: that of the predicted class, 0 where there is one alone.
    pub channel: usize,
    /// Score of the channel: `bias`, the contributions and `rest` sum to it.
    pub score: f32,
    /// The anchors with a weight, member by member, nearest first.
    pub anchors: Vec<Active>,
    /// Σ γᵢ bᵢ.
    pub bias: f64,
    /// The terms of largest magnitude, largest first.
    pub terms: Vec<Term>,
    /// Sum of the contributions of all other terms.
    pub rest: f64,
}

/// An anchor that a row uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active {
    /// Member of the ensemble, from 0.
    pub member: usize,
    /// Anchor i, from 0.
    pub anchor: usize,
    /// γᵢ; sums to 1 over a member's.
    pub gamma: f32,
    /// fᵢ(x), what the local model says alone.
    pub score: f32,
}

/// What a feature, or a pair of them, adds to the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// The feature, or the first of two.
    pub feature: u32,
    /// The second of two, greater than the first.
    pub other: Option<u32>,
    /// What it adds.
    pub contribution: f64,
}

/// A local model of one channel, as far as it counts.
struct Local<'a> {
    weight: f64,
    linear: ArrayView1<'a, f32>,
    factors: ArrayView2<'a, f32>,
}

impl<'a> Explainer<'a> {
    /// An explainer of rows that are stored as the training rows were.
    pub fn new(model: &'a Model) -> Self {
        let sparse = model.preprocess.is_sparse();
        let members = model.members.iter().map(|one| coded(one, &model.config, sparse)).collect();
        Self { model, outcome: Outcome::of(model), members }
    }

    /// Explains every row with its `most` largest terms, and hands them out in order.
    ///
    /// # Errors
    /// Those of `with`.
    pub fn explain(
        &mut self,
        features: &Features,
        most: usize,
        mut with: impl FnMut(&Explanation) -> Result<()>,
    ) -> Result<()> {
        for first in (0..features.n_rows()).step_by(ROWS) {
            let rows = first..(first + ROWS).min(features.n_rows());
            let coded: Vec<Vec<CodedRow>> =
                self.members.iter_mut().map(|one| one.code_rows(features, rows.clone())).collect();
            let (model, outcome) = (self.model, self.outcome);
            let explained: Vec<Explanation> = (0..rows.len())
                .into_par_iter()
                .map(|r| {
                    let members: Vec<&CodedRow> = coded.iter().map(|rows| &rows[r]).collect();
                    explain(model, outcome, &members, &nonzeros(features, first + r), most)
                })
                .collect();
            explained.iter().try_for_each(&mut with)?;
        }
        Ok(())
    }
}

fn nonzeros(features: &Features, row: usize) -> Vec<(u32, f32)> {
    match features {
        Features::Dense(rows) => {
            (0..).zip(rows.row(row).iter().copied()).filter(|&(_, x)| x != 0.0).collect()
        }
        Features::Sparse(rows) => {
            let (columns, values) = rows.row(row);
            columns.iter().copied().zip(values.iter().copied()).collect()
        }
    }
}

fn explain(
    model: &Model,
    outcome: Outcome,
    members: &[&CodedRow],
    row: &[(u32, f32)],
    most: usize,
) -> Explanation {
    let outputs = mean_outputs(members);
    let n_outputs = outputs.len();
    let channel = if n_outputs == 1 { 0 } else { outcome.class(&outputs) as usize };
    let unit = f64::from(model.target_scale.deviation);
    let mut bias = f64::from(model.target_scale.mean);
    let (mut anchors, mut locals) = (Vec::new(), Vec::new());
    for (m, (coded, parameters)) in members.iter().zip(&model.members).enumerate() {
        for (k, &(anchor, gamma)) in coded.anchors.iter().enumerate() {
            let (i, score) = (anchor as usize, coded.scores[k * n_outputs + channel]);
            anchors.push(Active {
                member: m,
                anchor: i,
                gamma,
                score: outcome.unclamped(&[score]),
            });
            let weight = f64::from(gamma) * unit / members.len() as f64;
            bias += weight * f64::from(parameters.bias[[i, channel]]);
            locals.push(Local {
                weight,
                linear: parameters.linear.slice(s![i, channel, ..]),
                factors: parameters.factors.slice(s![i, channel, .., ..]),
            });
        }
    }
    let mut top = Top::new(most);
    linear_terms(&locals, row, &mut top);
    pair_terms(&locals, row, &mut top);
    let (terms, rest) = top.finish();
    let score = outcome.unclamped(&outputs[channel..]);
    Explanation { score, channel, outputs, anchors, bias, terms, rest }
}

/// The bits of [`Scorer::score`](crate::predict::Scorer::score).
fn mean_outputs(members: &[&CodedRow]) -> Vec<f32> {
    let mut outputs = members[0].outputs.clone();
    for member in &members[1..] {
        outputs.iter_mut().zip(&member.outputs).for_each(|(sum, output)| *sum += output);
    }
    outputs.iter_mut().for_each(|sum| *sum /= members.len() as f32);
    outputs
}

fn linear_terms(locals: &[Local<'_>], row: &[(u32, f32)], top: &mut Top) {
    for &(j, x) in row {
        let weight = |local: &Local| local.weight * f64::from(local.linear[j as usize]);
        let contribution = f64::from(x) * locals.iter().map(weight).sum::<f64>();
        top.push(Term { feature: j, other: None, contribution });
    }
}

fn pair_terms(locals: &[Local<'_>], row: &[(u32, f32)], top: &mut Top) {
    let width: usize = locals.iter().map(|local| local.factors.ncols()).sum();
    if width == 0 {
        return;
    }
    // xⱼvᵢⱼ of every non-zero, the active anchors side by side; and the same times γᵢ.
    let (mut plain, mut weighted) = (Vec::new(), Vec::new());
    for &(j, x) in row {
        for local in locals {
            for &v in local.factors.row(j as usize) {
                let term = f64::from(x) * f64::from(v);
                plain.push(term);
                weighted.push(local.weight * term);
            }
        }
    }
    for (a, left) in weighted.chunks_exact(width).enumerate() {
        for (right, &(other, _)) in plain.chunks_exact(width).zip(row).skip(a + 1) {
            let contribution = left.iter().zip(right).map(|(l, r)| l * r).sum();
            top.push(Term { feature: row[a].0, other: Some(other), contribution });
        }
    }
}

/// The largest terms of many, and the sum of the others.
struct Top {
    most: usize,
    terms: Vec<Term>,
    /// Magnitude below which a term is not among the largest.
    least: f64,
    rest: f64,
}

impl Top {
    fn new(most: usize) -> Self {
        Self { most, terms: Vec::new(), least: 0.0, rest: 0.0 }
    }

    fn push(&mut self, term: Term) {
        if term.contribution.abs() < self.least {
            self.rest += term.contribution;
            return;
        }
        self.terms.push(term);
        if self.terms.len() >= self.most.saturating_mul(2).max(64) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.terms.len() <= self.most {
            return;
        }
        let (_, nth, _) = self.terms.select_nth_unstable_by(self.most, by_magnitude);
        self.least = nth.contribution.abs();
        self.rest += self.terms.drain(self.most..).map(|term| term.contribution).sum::<f64>();
    }

    fn finish(mut self) -> (Vec<Term>, f64) {
        self.prune();
        self.terms.sort_unstable_by(by_magnitude);
        (self.terms, self.rest)
    }
}

/// Largest first; equal ones in the order of their features.
fn by_magnitude(a: &Term, b: &Term) -> Ordering {
    let magnitudes = b.contribution.abs().total_cmp(&a.contribution.abs());
    magnitudes.then((a.feature, a.other).cmp(&(b.feature, b.other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_terms_are_kept_in_order_and_the_others_summed() {
        let mut top = Top::new(3);
        for j in 0..500_u32 {
            let sign = if j % 2 == 0 { 1.0 } else { -1.0 };
            top.push(Term { feature: j, other: None, contribution: sign * f64::from(j * 7 % 500) });
        }
        let (terms, rest) = top.finish();
        let magnitudes: Vec<f64> = terms.iter().map(|term| term.contribution.abs()).collect();
        assert_eq!(magnitudes, [499.0, 498.0, 497.0]);
        let kept: f64 = terms.iter().map(|term| term.contribution).sum();
        // As many even magnitudes as odd ones, and the sign is that of the magnitude.
        assert_eq!(kept + rest, -250.0);
    }

    #[test]
    fn no_terms_are_kept_where_none_are_wanted() {
        let mut top = Top::new(0);
        for j in 0..100 {
            top.push(Term { feature: j, other: Some(j + 1), contribution: 0.5 });
        }
        assert_eq!(top.finish(), (Vec::new(), 50.0));
    }
}

//! Update rules on slices: SGD, AdaGrad, Adam, with coupled L2 and decoupled decay.

use std::ops::Range;

use crate::anchor_dropout::AnchorDropout;
use crate::config::Optimizer;
use crate::simd::{Quads, as_quads_mut};

/// What one step's updates need beside the gradient.
#[derive(Debug, Clone, Copy)]
pub struct StepRates {
    /// Number of the step, from 1 (Adam's bias correction).
    pub step: u64,
    /// Step size of biases, linear weights, factors, log L, metric and scales.
    pub rate: f32,
    /// Step size of the anchors.
    pub anchor_rate: f32,
    /// ε of label smoothing; 0: none.
    pub label_smoothing: f32,
    /// Which anchors the step hides from its rows.
    pub anchor_dropout: AnchorDropout,
}

/// An update rule with this step's constants worked in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    rule: Optimizer,
    pub(crate) rate: f32,
    /// Gradient gains `l2 · θ`.
    pub(crate) l2: f32,
    /// θ is first multiplied by this.
    pub(crate) keep: f32,
    /// 1 / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ) of Adam, else 1.
    pub(crate) correction: (f32, f32),
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

impl Update {
    /// The rule at `step` with a step size and no penalty.
    pub(crate) fn new(rule: Optimizer, step: u64, rate: f32) -> Self {
        let power = |beta: f32| f64::from(beta).powi(step.min(1_000_000) as i32);
        let correction = match rule {
            Optimizer::Adam => {
                ((1.0 / (1.0 - power(BETA1))) as f32, (1.0 / (1.0 - power(BETA2)).sqrt()) as f32)
            }
            Optimizer::AdaGrad | Optimizer::Sgd => (1.0, 1.0),
        };
        Self { rule, rate, l2: 0.0, keep: 1.0, correction }
    }

    /// The same with L2 in the gradient and decay beside it.
    pub(crate) fn with_penalty(self, l2: f32, weight_decay: f32) -> Self {
        Self { l2, keep: 1.0 - self.rate * weight_decay, ..self }
    }

    /// Whether the rule keeps first moments, and second ones.
    pub(crate) fn keeps(&self) -> (bool, bool) {
        (self.rule == Optimizer::Adam, self.rule != Optimizer::Sgd)
    }

    /// Whether parameters with a zero gradient keep their values and moments.
    pub(crate) fn skips_zero_gradient(&self) -> bool {
        self.rule != Optimizer::Adam && self.l2 == 0.0 && self.keep == 1.0
    }

    /// Moves `theta` by `gradient`, elementwise; `moments` are the rule's own memory.
    #[inline(always)]
    pub(crate) fn apply(&self, theta: &mut [f32], gradient: &[f32], moments: MomentsMut<'_>) {
        match self.rule {
            Optimizer::Sgd => {
                for (t, g) in theta.iter_mut().zip(gradient) {
                    self.sgd(t, *g);
                }
            }
            Optimizer::AdaGrad => {
                for ((t, g), sum) in theta.iter_mut().zip(gradient).zip(moments.second) {
                    self.adagrad(t, *g, sum);
                }
            }
            Optimizer::Adam => {
                let state = moments.first.iter_mut().zip(moments.second);
                for ((t, g), (m, v)) in theta.iter_mut().zip(gradient).zip(state) {
                    self.adam(t, *g, m, v);
                }
            }
        }
    }

    /// The same for a record, as copies: the compiler then knows that they do not overlap.
    #[inline(always)]
    pub(crate) fn apply_quads<const Q: usize>(
        &self,
        theta: &mut Quads<Q>,
        gradient: &Quads<Q>,
        moments: MomentsMut<'_>,
    ) {
        let MomentsMut { first, second } = moments;
        let (first, second) = (as_quads_mut::<Q>(first), as_quads_mut::<Q>(second));
        let mut t = *theta;
        match self.rule {
            Optimizer::Sgd => {
                for q in 0..Q {
                    for l in 0..4 {
                        self.sgd(&mut t[q][l], gradient[q][l]);
                    }
                }
            }
            Optimizer::AdaGrad => {
                let mut sum = second[0];
                for q in 0..Q {
                    for l in 0..4 {
                        self.adagrad(&mut t[q][l], gradient[q][l], &mut sum[q][l]);
                    }
                }
                second[0] = sum;
            }
            Optimizer::Adam => {
                let (mut m, mut v) = (first[0], second[0]);
                for q in 0..Q {
                    for l in 0..4 {
                        self.adam(&mut t[q][l], gradient[q][l], &mut m[q][l], &mut v[q][l]);
                    }
                }
                (first[0], second[0]) = (m, v);
            }
        }
        *theta = t;
    }

    #[inline(always)]
    fn sgd(&self, t: &mut f32, g: f32) {
        let g = self.l2.mul_add(*t, g);
        *t = self.rate.mul_add(-g, *t * self.keep);
    }

    #[inline(always)]
    fn adagrad(&self, t: &mut f32, g: f32, sum: &mut f32) {
        let g = self.l2.mul_add(*t, g);
        *sum = g.mul_add(g, *sum);
        *t = self.rate.mul_add(-(g / (sum.sqrt() + EPSILON)), *t * self.keep);
    }

    #[inline(always)]
    fn adam(&self, t: &mut f32, g: f32, m: &mut f32, v: &mut f32) {
        let (first_up, second_up) = self.correction;
        let g = self.l2.mul_add(*t, g);
        *m = BETA1.mul_add(*m, (1.0 - BETA1) * g);
        *v = BETA2.mul_add(*v, (1.0 - BETA2) * (g * g));
        let step = (*m * first_up) / v.sqrt().mul_add(second_up, EPSILON);
        *t = self.rate.mul_add(-step, *t * self.keep);
    }
}

/// An optimizer's memory beside a tensor, of the tensor's layout; empty where the rule keeps none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// A part of [`Moments`].
#[derive(Debug, Default)]
pub(crate) struct MomentsMut<'a> {
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
}

impl Moments {
    /// Zeros for `len` parameters.
    pub(crate) fn new(rule: Optimizer, len: usize) -> Self {
        let first = if rule == Optimizer::Adam { len } else { 0 };
        let second = if rule == Optimizer::Sgd { 0 } else { len };
        Self { first: vec![0.0; first], second: vec![0.0; second] }
    }

    /// Calls `visit` with the bytes of the first moments and of the second ones, where there are any.
    pub(crate) fn visit(
        &mut self,
        names: [&'static str; 2],
        visit: &mut dyn FnMut(&'static str, &mut [u8]),
    ) {
        for (name, moments) in names.into_iter().zip([&mut self.first, &mut self.second]) {
            if !moments.is_empty() {
                visit(name, bytemuck::cast_slice_mut(moments));
            }
        }
    }

    /// All of them.
    pub(crate) fn view(&mut self) -> MomentsMut<'_> {
        MomentsMut { first: &mut self.first, second: &mut self.second }
    }
}

impl<'a> MomentsMut<'a> {
    /// Cuts off the first `len` parameters' moments.
    pub(crate) fn take(&mut self, len: usize) -> MomentsMut<'a> {
        MomentsMut { first: take(&mut self.first, len), second: take(&mut self.second, len) }
    }

    /// The moments of some of the parameters.
    #[inline(always)]
    pub(crate) fn part(&mut self, span: Range<usize>) -> MomentsMut<'_> {
        self.reborrow().into_part(span)
    }

    /// The same, for as long as these live.
    #[inline(always)]
    pub(crate) fn into_part(self, span: Range<usize>) -> MomentsMut<'a> {
        // A rule without memory has no cells.
        let cells = |moments: &[f32]| if moments.is_empty() { 0..0 } else { span.clone() };
        let (first, second) = (cells(self.first), cells(self.second));
        MomentsMut { first: &mut self.first[first], second: &mut self.second[second] }
    }

    /// The same moments for a shorter time.
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> MomentsMut<'_> {
        MomentsMut { first: self.first, second: self.second }
    }
}

/// Cuts the first `len` elements off a slice that is either that long or empty.
pub(crate) fn take<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let whole = std::mem::take(slice);
    let (head, tail) = whole.split_at_mut(len.min(whole.len()));
    *slice = tail;
    head
}

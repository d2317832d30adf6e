//! Blend of a row's local models, its loss, and what each pair contributes to the gradient.
//!
//! ŷ_c = Σᵢ γᵢ fᵢ_c. With g_c = ∂ℓ/∂ŷ_c, aᵢ = Σ_c g_c fᵢ_c, φ = Σ γᵢ aᵢ and ā the mean of a:
//! adaptive ∂ℓ/∂uᵢ = [(φ − aᵢ) − kγᵢ(φ − ā)] / S; soft γᵢ(φ − aᵢ); inverse γᵢ(φ − aᵢ)ωᵢ.
//! The paper's (13) and (14) hold λ fixed, which is not the gradient.
//!
//! scores `[n_pairs, C]`, γ, targets, weights → outputs `[rows, C]`, loss, coefficients `[pairs, C]`
//! and slopes `[pairs]`, both divided by the batch's rows; ℓ is the row's loss times its weight. One task a chunk of rows. O(n_pairs·C).

use std::slice;

use crate::config::{Coding, Loss};
use crate::gpu::shaders::{Shader, shader};
use crate::kernel::ROW_CHUNK;
use crate::kernel::local_coding::{INVERSE_FLOOR, Pair};
use crate::kernel::pair_list::RowChunk;
use crate::loss;
use crate::simd::vectorized;

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("blend", "blend", ["step", "math", "pair"], |_, step, _| step.rows as usize);

/// The targets of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BatchTargets<'a> {
    /// Class of each row.
    Classes(&'a [u32]),
    /// Standardised value of each row.
    Values(&'a [f32]),
}

/// What the loss of a batch reads beside its outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLabels<'a> {
    pub(crate) targets: BatchTargets<'a>,
    /// Weight of each row; none: all 1.
    pub(crate) weights: Option<&'a [f32]>,
}

/// What a blend needs beside the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blend {
    pub(crate) coding: Coding,
    pub(crate) loss: Loss,
    /// ε of label smoothing in this step.
    pub(crate) smoothing: f32,
    /// Output channels C.
    pub(crate) outputs: usize,
    /// 1 / b.
    pub(crate) inverse_batch: f32,
    /// Whether the slopes with respect to u are wanted.
    pub(crate) slopes: bool,
}

impl Blend {
    /// Outputs alone: ŷ of each row of the chunk.
    pub(crate) fn outputs(&self, chunk: &mut RowChunk, scores: &[f32]) {
        vectorized(
            #[inline(always)]
            || self.sum_outputs(chunk, scores),
        );
    }

    #[inline(always)]
    fn sum_outputs(&self, chunk: &mut RowChunk, scores: &[f32]) {
        let c = self.outputs;
        chunk.outputs.clear();
        if self.coding == Coding::Single {
            // A row's only pair has weight 1, and the slots are the rows.
            debug_assert_eq!(chunk.pairs.len(), chunk.n_rows());
            let first = chunk.pairs.first().map_or(0, |pair| pair.slot as usize * c);
            chunk.outputs.extend_from_slice(&scores[first..][..chunk.n_rows() * c]);
            return;
        }
        chunk.outputs.resize(chunk.n_rows() * c, 0.0);
        for (r, out) in chunk.outputs.chunks_exact_mut(c).enumerate() {
            let span = chunk.ends[r] as usize..chunk.ends[r + 1] as usize;
            for pair in &chunk.pairs[span] {
                let f = &scores[pair.slot as usize * c..][..c];
                for (y, f) in out.iter_mut().zip(f) {
                    *y = pair.gamma.mul_add(*f, *y);
                }
            }
        }
    }

    /// Outputs, loss and gradient coefficients of the chunk's rows.
    pub(crate) fn backward(&self, chunk: &mut RowChunk, scores: &[f32], labels: BatchLabels<'_>) {
        vectorized(
            #[inline(always)]
            || self.differentiate(chunk, scores, labels),
        );
    }

    #[inline(always)]
    fn differentiate(&self, chunk: &mut RowChunk, scores: &[f32], labels: BatchLabels<'_>) {
        self.sum_outputs(chunk, scores);
        self.losses(chunk, labels);
        let c = self.outputs;
        chunk.coefficients.clear();
        chunk.slopes.resize(chunk.pairs.len(), 0.0);
        if self.coding == Coding::Single {
            chunk.coefficients.extend_from_slice(&chunk.outputs);
        } else {
            chunk.coefficients.resize(chunk.pairs.len() * c, 0.0);
            self.share_slopes(chunk, scores);
        }
    }

    /// Loss of the chunk's rows; their outputs become ∂ℓ/∂ŷ / b.
    #[inline(always)]
    fn losses(&self, chunk: &mut RowChunk, labels: BatchLabels<'_>) {
        let (n, c) = (chunk.n_rows(), self.outputs);
        let mut losses = [0.0; ROW_CHUNK];
        let losses = &mut losses[..n];
        match labels.targets {
            BatchTargets::Classes(classes) => {
                debug_assert_eq!(classes.len(), n);
                loss::smoothed_losses(
                    self.loss,
                    self.smoothing,
                    c,
                    &mut chunk.outputs,
                    classes,
                    losses,
                );
            }
            BatchTargets::Values(values) => {
                debug_assert_eq!((c, values.len()), (1, n));
                for ((score, value), loss) in chunk.outputs.iter_mut().zip(values).zip(&mut *losses)
                {
                    *loss = loss::squared(slice::from_mut(score), *value);
                }
            }
        }
        if let Some(weights) = labels.weights {
            let rows = chunk.outputs.chunks_exact_mut(c).zip(&mut *losses);
            for ((slopes, loss), weight) in rows.zip(weights) {
                *loss *= weight;
                let share = self.inverse_batch * weight;
                slopes.iter_mut().for_each(|g| *g *= share);
            }
        } else {
            chunk.outputs.iter_mut().for_each(|g| *g *= self.inverse_batch);
        }
        chunk.loss = losses.iter().map(|&loss| f64::from(loss)).sum();
    }

    /// What each pair takes of its row's ∂ℓ/∂ŷ, and its ∂ℓ/∂u.
    #[inline(always)]
    fn share_slopes(&self, chunk: &mut RowChunk, scores: &[f32]) {
        let c = self.outputs;
        for (r, slopes) in chunk.outputs.chunks_exact(c).enumerate() {
            let span = chunk.ends[r] as usize..chunk.ends[r + 1] as usize;
            let pairs = &chunk.pairs[span.clone()];
            let coefficients = chunk.coefficients[span.start * c..].chunks_exact_mut(c);
            for (pair, coefficients) in pairs.iter().zip(coefficients) {
                for (out, g) in coefficients.iter_mut().zip(slopes) {
                    *out = pair.gamma * g;
                }
            }
            if self.slopes {
                let out = &mut chunk.slopes[span];
                self.distance_slopes(pairs, slopes, scores, chunk.normalizers[r], out);
            }
        }
    }

    /// ∂ℓ/∂u of one row's pairs.
    #[inline(always)]
    fn distance_slopes(
        &self,
        pairs: &[Pair],
        g: &[f32],
        scores: &[f32],
        normalizer: f32,
        out: &mut [f32],
    ) {
        let (mut phi, mut total) = (0.0, 0.0);
        for (pair, a) in pairs.iter().zip(out.iter_mut()) {
            let f = &scores[pair.slot as usize * g.len()..][..g.len()];
            *a = 0.0;
            for (g, f) in g.iter().zip(f) {
                *a = g.mul_add(*f, *a);
            }
            phi = pair.gamma.mul_add(*a, phi);
            total += *a;
        }
        let k = pairs.len() as f32;
        let mean = total / k;
        for (pair, out) in pairs.iter().zip(out) {
            let below = phi - *out;
            *out = match self.coding {
                Coding::Single => unreachable!("its slopes are those of the row"),
                Coding::Adaptive => (below - k * pair.gamma * (phi - mean)) / normalizer,
                Coding::Soft => pair.gamma * below,
                Coding::Inverse => pair.gamma * below / (pair.u + INVERSE_FLOOR),
            };
        }
    }
}

//! The kernels of a mini-batch, one file each, in the order a step runs them.
//!
//! | kernel | reads | writes |
//! |---|---|---|
//! | [`anchor_distance`], [`anchor_distance_csr`] | rows, anchors, metric | distance `[b, m]` |
//! | [`local_coding`] | distance, L (or, on a GPU, rows and anchors where both are few) | active anchors and γ of each row |
//! | [`pair_list`] | active anchors | (row, anchor) pairs bucketed by anchor |
//! | [`fm_score`], [`fm_score_csr`] | rows, pairs, local models | q and f of each pair |
//! | [`blend`] | f, γ, targets | loss, coefficients of each pair |
//! | [`fm_update`], [`fm_update_csr`] | rows, pairs, coefficients, q | w, V |
//! | [`anchor_update`], [`anchor_update_csr`] | rows, pairs, coefficients | anchors, metric, scale |
//! | [`head_update`] | pairs, coefficients, each anchor's part of the metric's gradient | bias, log L, metric of dense rows |
//!
//! Neither update reads what the other writes. Every output has one writer that sums in a fixed
//! order, so a step gives the same bits whatever the number of threads.

pub(crate) mod anchor_distance;
pub(crate) mod anchor_distance_csr;
pub(crate) mod anchor_update;
pub(crate) mod anchor_update_csr;
pub(crate) mod blend;
pub(crate) mod fm_score;
pub(crate) mod fm_score_csr;
pub(crate) mod fm_update;
pub(crate) mod fm_update_csr;
pub(crate) mod head_update;
pub(crate) mod local_coding;
pub(crate) mod pair_list;

use crate::gpu::shaders::Shader;
use crate::model::Parameters;
use crate::simd::padded;

/// Rows that one task codes and blends.
pub(crate) const ROW_CHUNK: usize = 64;

/// Every shader, in the order of a step.
pub(crate) const SHADERS: [Shader; 19] = [
    anchor_distance::SHADER,
    anchor_distance_csr::NORM_SHADER,
    anchor_distance_csr::SHADER,
    local_coding::SHADER,
    local_coding::SUBGROUP_SHADER,
    local_coding::SORTED_SHADER,
    local_coding::FUSED_SHADER,
    local_coding::FUSED_SUBGROUP_SHADER,
    pair_list::SHADER,
    fm_score::SHADER,
    fm_score::PAIRS_SHADER,
    fm_score_csr::SHADER,
    blend::SHADER,
    fm_update::SHADER,
    fm_update_csr::SHADER,
    anchor_update::SHADER,
    head_update::SHADER,
    anchor_update_csr::SHADER,
    anchor_update_csr::METRIC_SHADER,
];

/// Sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Anchors m.
    pub(crate) anchors: usize,
    /// Features p.
    pub(crate) features: usize,
    /// Output channels C.
    pub(crate) outputs: usize,
    /// Factors d.
    pub(crate) factors: usize,
    /// Length of an (anchor, feature) record in memory: per channel v₀ … v_{d−1}, w, then padding.
    pub(crate) stride: usize,
}

impl Shape {
    /// Sizes of `parameters`, records padded to a multiple of `lanes`.
    pub(crate) fn new(parameters: &Parameters, lanes: usize) -> Self {
        let (features, outputs, factors) = parameters.sizes();
        Self::of([parameters.n_anchors(), features, outputs, factors], lanes)
    }

    /// Sizes m, p, C and d.
    pub(crate) fn of([anchors, features, outputs, factors]: [usize; 4], lanes: usize) -> Self {
        let stride = (outputs * (factors + 1)).next_multiple_of(lanes);
        Self { anchors, features, outputs, factors, stride }
    }

    /// A row's length in the batch: p in whole vectors.
    pub(crate) fn row_stride(&self) -> usize {
        padded(self.features)
    }

    /// Length of a row of distances: m in whole vectors.
    pub(crate) fn anchor_stride(&self) -> usize {
        padded(self.anchors)
    }
}

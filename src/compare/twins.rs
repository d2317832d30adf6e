//! The CPU kernels fed with what a GPU kernel read, beside what the GPU kernel wrote.
//!
//! Each kernel is judged alone: errors of the kernels before it are part of its inputs, on both
//! sides. Only live cells are compared: rows of the batch, slots of its pairs, its columns.

mod anchors;
mod blend;
mod coding;
mod distance;
mod heads;
mod models;
mod rule;
mod score;
pub(in crate::compare) mod view;

use super::Checked;
use crate::backend::gpu::trace::Trace;
use crate::config::TrainConfig;
use view::View;

/// What the kernel wrote and should have written, an element an output.
pub(crate) fn expected(trace: &Trace, config: &TrainConfig) -> Vec<Checked> {
    let view = View::new(trace, config);
    if !view.is_sane() {
        // A kernel before left numbers that point nowhere.
        return vec![view.checked("inputs", vec![f64::NAN], vec![0.0])];
    }
    match trace.kernel {
        "anchor_distance" => distance::dense(&view),
        "anchor_norm_csr" => distance::norms(&view),
        "anchor_distance_csr" => distance::sparse(&view),
        "anchor_coding" => coding::anchor_coding(&view),
        "local_coding" => coding::local_coding(&view),
        "pair_list" => coding::pair_list(&view),
        "fm_score" => score::dense(&view),
        "fm_score_csr" => score::sparse(&view),
        "blend" => blend::blend(&view),
        "head_update" => heads::head_update(&view),
        "fm_update" => models::dense(&view),
        "fm_update_csr" => models::sparse(&view),
        "anchor_update" => anchors::dense(&view),
        "anchor_update_csr" => anchors::sparse(&view),
        "metric_update_csr" => anchors::metric_of_columns(&view),
        kernel => unreachable!("`{kernel}` has no twin"),
    }
}

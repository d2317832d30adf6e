//! Every kernel alone against plain loops in f64, written from the equations.
//!
//! The loops read what the kernel read, in the layout of the device, and share nothing with the CPU
//! kernels: an error that both backends make is seen here. Only live cells are compared.

mod anchors;
mod blend;
mod coding;
mod distance;
mod limit;
mod models;
mod rule;
mod score;

use super::Checked;
use super::twins::view::{View, wide};
use crate::backend::gpu::trace::Trace;
use crate::config::TrainConfig;
pub(super) use limit::limit;

/// What the kernel wrote and should have written, an element an output.
pub(super) fn expected(trace: &Trace, config: &TrainConfig) -> Vec<Checked> {
    let view = View::new(trace, config);
    match trace.kernel {
        "anchor_distance" => distance::dense(&view),
        "anchor_norm_csr" => distance::norms(&view),
        "anchor_distance_csr" => distance::sparse(&view),
        "anchor_coding" => coding::anchor_coding(&view),
        "local_coding" => coding::local_coding(&view),
        "pair_list" => coding::pair_list(&view),
        "fm_score" | "fm_score_csr" => score::fm_score(&view),
        "blend" => blend::blend(&view),
        "head_update" => models::head_update(&view),
        "fm_update" | "fm_update_csr" => models::fm_update(&view),
        "anchor_update" => anchors::dense(&view),
        "anchor_update_csr" => anchors::sparse(&view),
        "metric_update_csr" => anchors::metric_csr(&view),
        kernel => unreachable!("`{kernel}` has no equations"),
    }
}

/// A buffer as the kernel found it.
fn before(view: &View<'_>, name: &str) -> Vec<f64> {
    wide(view.before(name))
}

/// A buffer as the kernel left it.
fn after(view: &View<'_>, name: &str) -> Vec<f64> {
    wide(view.after(name))
}

/// Row of the data as (column, value); of dense rows every column.
fn row_of(view: &View<'_>, data_row: usize) -> Vec<(usize, f64)> {
    if view.trace.before.has("rows") {
        return view.dense_row(data_row).into_iter().map(f64::from).enumerate().collect();
    }
    let starts: &[u32] = view.before("row_starts");
    let entries: &[[u32; 2]] = view.before("entries");
    let span = starts[data_row] as usize..starts[data_row + 1] as usize;
    let number = |[column, bits]: &[u32; 2]| (*column as usize, f64::from(f32::from_bits(*bits)));
    entries[span].iter().map(number).collect()
}

/// κ and u·∂ℓ/∂u by slot.
fn pulls(view: &View<'_>) -> Vec<[f64; 2]> {
    view.before::<[f32; 2]>("pulls").iter().map(|pull| pull.map(f64::from)).collect()
}

#[cfg(test)]
mod tests;

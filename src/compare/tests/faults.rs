//! A wrong constant in one shader is found, in the line of its kernel.

use super::cases::{Case, dense_inverse, dense_plain, dense_soft, sparse_adam};
use crate::compare::{Row, kernels};
use crate::gpu::testing::edited_gpu;

/// The lines of a comparison on a device with one text of one kernel replaced.
fn with_fault(case: &Case, kernel: &str, from: &str, to: &str) -> Option<Vec<Row>> {
    let gpu = edited_gpu(kernel, from, to)?;
    // A text that is not in the source is an error.
    Some(kernels(&case.data(), &case.config, &gpu).unwrap())
}

/// The kernel fails; every other one, which had its outputs for inputs, passes.
#[track_caller]
fn is_found(case: &Case, kernel: &str, from: &str, to: &str) {
    let Some(rows) = with_fault(case, kernel, from, to) else { return };
    for row in rows {
        assert_eq!(row.pass, row.name != kernel, "{kernel}: {from} → {to}: {row:?}");
    }
}

#[test]
fn wrong_constants_of_dense_kernels_are_found() {
    let (plain, soft, inverse) = (dense_plain(), dense_soft(), dense_inverse());
    is_found(&plain, "anchor_distance", "fma(x, scale.yyyy", "fma(x, scale.xxxx");
    is_found(&plain, "local_coding", "ADAPTIVE_LIMIT: f32 = 1.0", "ADAPTIVE_LIMIT: f32 = 0.3");
    is_found(&plain, "local_coding", "+ m2 >= 1.0", "+ m2 >= 0.8");
    is_found(&plain, "local_coding", "0x846ca68bu", "0x846ca68du");
    is_found(&plain, "local_coding", "< best.t && is_seen(i)", "< best.t");
    is_found(&plain, "local_coding", "l * (0.5 / max", "l * (0.51 / max");
    is_found(&soft, "local_coding", "exp_f32(-next.t)", "exp_f32(-1.001 * next.t)");
    is_found(&inverse, "local_coding", "INVERSE_FLOOR: f32 = 1e-6", "INVERSE_FLOOR: f32 = 1e-2");
    is_found(&plain, "fm_score", "0.5 *", "0.51 *");
    is_found(&plain, "blend", "(phi - mean)", "(phi + mean)");
    is_found(&soft, "blend", "0.5 * away * away", "0.501 * away * away");
    is_found(&inverse, "blend", "1.0 / 3.0", "1.0 / 3.1");
    is_found(&plain, "head_update", "BETA1: f32 = 0.9;", "BETA1: f32 = 0.91;");
    is_found(&plain, "fm_update", "BETA2: f32 = 0.999;", "BETA2: f32 = 0.9985;");
    is_found(&soft, "fm_update", "EPSILON: f32 = 1e-8", "EPSILON: f32 = 1e-3");
    is_found(&plain, "fm_update", "vec4(step.l2)", "vec4(1.5 * step.l2)");
    is_found(&plain, "fm_update", "* step.keep", "* 1.0");
    is_found(&plain, "anchor_update", "2.0 * weight * t * sum", "2.02 * weight * t * sum");
    is_found(&plain, "head_update", "0.5 * moved.theta", "0.51 * moved.theta");
}

#[test]
fn wrong_constants_of_sparse_kernels_are_found() {
    let case = sparse_adam();
    is_found(&case, "anchor_norm_csr", "sum = fma(", "sum = 1.001 * fma(");
    is_found(&case, "anchor_distance_csr", "fma(-2.0", "fma(-2.02");
    is_found(&case, "fm_score_csr", "0.5 *", "0.51 *");
    is_found(&case, "fm_update_csr", "own = fma(ax, x, own)", "own = fma(ax, 1.0, own)");
    is_found(&case, "fm_update_csr", "step.second_up", "1.0");
    is_found(&case, "anchor_update_csr", "fma(-2.0 * z", "fma(-2.02 * z");
    is_found(&case, "metric_update_csr", "BETA1: f32 = 0.9;", "BETA1: f32 = 0.91;");
}

#[test]
fn wrong_counts_are_found() {
    let case = dense_plain();
    for (kernel, from, to) in [
        ("pair_list", "scan(lane, before).y", "scan(lane, before).y + 1u"),
        (
            "pair_list",
            "anchor_totals[anchor].pairs += slot",
            "anchor_totals[anchor].pairs += 1u + slot",
        ),
        ("pair_list", "anchor_totals[anchor].gamma +=", "anchor_totals[anchor].gamma ="),
        ("pair_list", "slot + counted.x", "slot + counted.x + 1u"),
        ("pair_list", "Pair(row, order[", "Pair(row, order[1u + "),
    ] {
        let Some(rows) = with_fault(&case, kernel, from, to) else { return };
        // Those after it may stumble over what points nowhere.
        assert!(rows.iter().any(|row| row.name == kernel && !row.pass), "{kernel}: {rows:?}");
    }
}

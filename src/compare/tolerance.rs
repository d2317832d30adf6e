//! How far the GPU may be from the CPU, in one table.

/// The largest error that passes, and why it may be that large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Entry point, or `steps` and `run`.
    pub kernel: &'static str,
    /// What is compared.
    pub output: &'static str,
    /// Error that still passes, relative to the largest magnitude expected of that output.
    pub limit: f64,
    /// What rounding it covers, and how that grows.
    pub reason: &'static str,
}

macro_rules! tolerances {
    ($($kernel:literal, $output:literal, $limit:literal, $reason:literal;)*) => {
        /// The tolerances of `llfm compare`, with their reasons.
        ///
        /// A kernel gets the same numbers as its CPU twin. Both compute in f32 (relative rounding
        /// ε = 6·10⁻⁸), but a GPU may fuse a product with a sum or not, and sums in another order,
        /// so that a sum of n terms differs by up to n·ε, and by √n·ε as a rule. Errors are relative to
        /// the largest magnitude of the output. Tolerances leave room for both; they are far below
        /// what a wrong constant, index or sign does.
        ///
        /// | kernel | output | tolerance | reason |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $kernel, "` | ", $output, " | ", $limit, " | ", $reason, " |")])*
        pub const TOLERANCES: &[Tolerance] = &[$(
            Tolerance { kernel: $kernel, output: $output, limit: $limit, reason: $reason },
        )*];
    };
}

tolerances! {
    "anchor_distance", "distance", 1e-5, "a sum of p squares, none of them negative";
    "anchor_norm_csr", "norm_parts", 1e-5, "a sum of p squares, against f64";
    "anchor_distance_csr", "distance", 2e-5, "the norm less what the row takes off it, which may cancel";
    "local_coding", "gamma", 2e-5, "1/S enlarges the rounding of u; continuous where an anchor comes or goes";
    "local_coding", "normalizer", 2e-5, "k·√((1 − M₂)/k), where 1 − M₂ may cancel";
    "local_coding", "u and pull", 1e-6, "one product, for plain distances one quotient";
    "anchor_coding", "distance", 1e-5, "a sum of p squares, none of them negative";
    "anchor_coding", "gamma", 2e-5, "1/S enlarges the rounding of u; continuous where an anchor comes or goes";
    "anchor_coding", "normalizer", 2e-5, "k·√((1 − M₂)/k), where 1 − M₂ may cancel";
    "anchor_coding", "u and pull", 1e-6, "one product, for plain distances one quotient";
    "pair_list", "total gamma", 1e-5, "a sum of b weights that runs over the steps";
    "fm_score", "sums", 1e-5, "sums of p products";
    "fm_score", "own sums", 1e-5, "a sum of p products, against f64";
    "fm_score", "scores", 5e-5, "‖q‖² − Σx²r cancels where pairs of features add little";
    "fm_score_csr", "sums", 1e-5, "sums over the non-zeros of a row";
    "fm_score_csr", "own sums", 1e-5, "a sum over the non-zeros of a row, against f64";
    "fm_score_csr", "scores", 5e-5, "‖q‖² − Σx²r cancels where pairs of features add little";
    "blend", "outputs", 2e-5, "slopes of a loss of k·C products, through exp";
    "blend", "row_losses", 2e-5, "the loss of k·C products, through exp and log";
    "blend", "scores", 2e-5, "γ times a slope";
    "blend", "pulls", 1e-4, "differences φ − a of sums over k and C, divided by S";
    "blend", "log slopes", 1e-4, "the same times u";
    "head_update", "gradient", 2e-5, "a sum over the pairs of an anchor, or over the anchors";
    "head_update", "first moment", 2e-5, "follows the gradient";
    "head_update", "second moment", 2e-5, "follows its square";
    "head_update", "step", 1e-5, "one root and one quotient, against f64";
    "head_update", "L", 2e-6, "exp, within 1.3 units in the last place on both sides";
    "head_update", "weight", 2e-6, "exp, within 1.3 units in the last place on both sides";
    "head_update", "kappa_totals", 2e-5, "a sum over the pairs of an anchor, against f64";
    "head_update", "step_losses", 1e-5, "a sum of b losses, against f64";
    "fm_update", "gradient", 2e-5, "sums over the pairs of an anchor";
    "fm_update", "first moment", 2e-5, "follows the gradient";
    "fm_update", "second moment", 2e-5, "follows its square";
    "fm_update", "step", 1e-5, "one root and one quotient, against f64";
    "fm_update", "r", 1e-6, "a sum of d squares, against f64";
    "fm_update_csr", "gradient", 2e-5, "sums over the pairs of a column and anchor";
    "fm_update_csr", "first moment", 2e-5, "follows the gradient";
    "fm_update_csr", "second moment", 2e-5, "follows its square";
    "fm_update_csr", "step", 1e-5, "one root and one quotient, against f64";
    "fm_update_csr", "r", 1e-6, "a sum of d squares, against f64";
    "anchor_update", "gradient", 2e-5, "sums over the pairs of an anchor";
    "anchor_update", "first moment", 2e-5, "follows the gradient";
    "anchor_update", "second moment", 2e-5, "follows its square";
    "anchor_update", "step", 1e-5, "one root and one quotient, against f64";
    "anchor_update", "parts", 2e-5, "sums over the pairs of an anchor";
    "anchor_update_csr", "gradient", 5e-5, "N − 2zM + Kz², which may cancel";
    "anchor_update_csr", "first moment", 5e-5, "follows the gradient";
    "anchor_update_csr", "second moment", 5e-5, "follows its square";
    "anchor_update_csr", "step", 1e-5, "one root and one quotient, against f64";
    "anchor_update_csr", "parts", 5e-5, "N − 2zM + Kz², which may cancel, against f64";
    "metric_update_csr", "gradient", 2e-5, "a sum over the anchors";
    "metric_update_csr", "first moment", 2e-5, "follows the gradient";
    "metric_update_csr", "second moment", 2e-5, "follows its square";
    "metric_update_csr", "step", 1e-5, "one root and one quotient, against f64";
    "metric_update_csr", "weight", 2e-6, "exp, within 1.3 units in the last place on both sides";
    "steps", "sgd", 1e-4, "20 steps pass on each other's rounding, and the coding enlarges it";
    "steps", "adagrad", 2e-1, "one element: the first step of a parameter is the sign of its gradient, and of many gradients a few are smaller than their rounding and go either way";
    "steps", "adam", 2e-1, "one element: the same for every step while a gradient stays near zero";
    "steps", "mean", 1e-1, "root mean square over the elements, whatever the rule: few go either way, but with a single feature, or the same value in a column of all rows, gradients cancel and steps follow rounding alone";
    "steps", "loss", 2e-3, "a mean over the rows of 20 steps, with such parameters";
    "run", "accuracy", 3e-3, "0.3 points, at least two rows, at most 5 points: thousands of steps drift apart within the noise of training";
    "run", "rmse", 5e-3, "0.5 %, for the same reason";
}

/// The tolerance of an output. What stands in no table, counts and places and what may not move, must
/// be equal.
pub(crate) fn limit(kernel: &str, output: &str) -> f64 {
    let entry = TOLERANCES.iter().find(|entry| entry.kernel == kernel && entry.output == output);
    entry.map_or(0.0, |entry| entry.limit)
}
